// SPDX-License-Identifier: GPL-2.0

// A caller uses a view of a write-locked VMA after a `munmap` in its middle has split the VMA.
// error: E0502
// message: cannot borrow `guard` as mutable because it is also borrowed as immutable

include!("prelude.rs");

use kernel::mm::vma::AdviceFlags;

pub fn start(mm: &MmWithUser, addr: usize) -> Result {
    let mut guard = mm.mmap_write_lock();
    let vma = guard.vma_lookup(addr).ok_or(EFAULT)?.start_write();
    let middle = vma.start() + PAGE_SIZE;
    #[cfg(twin)]
    vma.set_flags(AdviceFlags::DONTDUMP);
    guard.munmap(middle, PAGE_SIZE)?;
    #[cfg(not(twin))]
    vma.set_flags(AdviceFlags::DONTDUMP);
    Ok(())
}
