// SPDX-License-Identifier: GPL-2.0

// A caller gets from a VMA to its mm, whose mmap lock is held for writing.
// error: E0599
// message: no method named `mm` found for reference `&VmaUnderWrite`

include!("prelude.rs");

#[cfg(not(twin))]
use kernel::mm::vma::VmaUnderWrite as View;
#[cfg(twin)]
use VmaRef as View;

pub fn start(vma: &View) -> bool {
    vma.mm().mmget_not_zero().is_some()
}
