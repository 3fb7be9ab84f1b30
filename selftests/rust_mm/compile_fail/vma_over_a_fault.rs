// SPDX-License-Identifier: GPL-2.0

// A caller uses a VMA after a fault that may have dropped the mmap lock.
// error: E0502
// message: cannot borrow `guard` as mutable because it is also borrowed as immutable

include!("prelude.rs");

use kernel::mm::pgtable::FaultAccess;

pub fn end(mm: &MmWithUser, addr: usize) -> Result<usize> {
    let mut guard = mm.mmap_read_lock();
    let vma = guard.vma_lookup(addr).ok_or(EINVAL)?;
    guard.fixup_user_fault(addr, FaultAccess::Read)?;
    #[cfg(twin)]
    let vma = guard.vma_lookup(addr).ok_or(EINVAL)?;
    Ok(vma.end())
}
