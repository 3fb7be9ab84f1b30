// SPDX-License-Identifier: GPL-2.0

//! Where drivers meet the layer: the `mmap_prepare` hooks of the kernel's kinds of files.

use crate::{
    miscdevice::MiscDevice,
    types::ForeignOwnable, //
};

pub(crate) mod misc;

/// A kind of file that can be mapped: every misc device is.
///
/// What [`VmOperations`](super::ops::VmOperations) belong to.
pub trait MapFile: Sized + 'static {
    /// What the private data of the file is wrapped in.
    type Ptr: ForeignOwnable + Send + Sync + 'static;
}

impl<T: MiscDevice + 'static> MapFile for T
where
    T::Ptr: 'static,
{
    type Ptr = T::Ptr;
}
