// SPDX-License-Identifier: GPL-2.0

//! Where drivers meet the layer: the `mmap_prepare` hooks of the kernel's kinds of files.

pub(crate) mod misc;
