// SPDX-License-Identifier: GPL-2.0

// A caller unmaps VMAs while it iterates over them.
// error: E0502
// message: cannot borrow `guard` as mutable because it is also borrowed as immutable

include!("prelude.rs");

use kernel::mm::iter::MmapLocked;

pub fn start(mm: &MmWithUser) -> Result {
    let mut guard = mm.mmap_write_lock();
    #[cfg(not(twin))]
    for vma in guard.vmas(0..usize::MAX) {
        guard.munmap(vma.start(), PAGE_SIZE)?;
    }
    #[cfg(twin)]
    while let Some(addr) = guard.vmas(0..usize::MAX).next().map(|vma| vma.start()) {
        guard.munmap(addr, PAGE_SIZE)?;
    }
    Ok(())
}
