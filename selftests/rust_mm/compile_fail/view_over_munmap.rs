// SPDX-License-Identifier: GPL-2.0

// A caller uses a view of a VMA after it has unmapped VMAs.
// error: E0502
// message: cannot borrow `guard` as mutable because it is also borrowed as immutable

include!("prelude.rs");

pub fn start(mm: &MmWithUser, addr: usize) -> Result<usize> {
    let mut guard = mm.mmap_write_lock();
    #[cfg(twin)]
    guard.munmap(addr, PAGE_SIZE)?;
    let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    #[cfg(not(twin))]
    guard.munmap(addr, PAGE_SIZE)?;
    Ok(vma.start())
}
