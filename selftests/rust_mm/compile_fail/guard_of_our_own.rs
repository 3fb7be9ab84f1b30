// SPDX-License-Identifier: GPL-2.0

// A caller implements the trait of the mmap lock guards for a type that holds no lock.
// error: E0277
// message: the trait bound `NoGuard: kernel::mm::iter::sealed::Guard` is not satisfied

include!("prelude.rs");

use kernel::mm::iter::MmapLocked;

struct NoGuard;

#[cfg(not(twin))]
impl MmapLocked for NoGuard {
    type View = kernel::mm::vma::VmaUnderMmap;
}

pub fn start(mm: &MmWithUser) -> usize {
    let _ = NoGuard;
    mm.mmap_read_lock().vmas(0..usize::MAX).count()
}
