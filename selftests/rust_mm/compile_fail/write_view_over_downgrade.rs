// SPDX-License-Identifier: GPL-2.0

// A caller uses a write-locked VMA after downgrading the mmap lock, which drops all VMA write
// locks.
// error: E0505
// message: cannot move out of `guard` because it is borrowed

include!("prelude.rs");

use kernel::mm::vma::AdviceFlags;

pub fn start(mm: &MmWithUser, addr: usize) -> Result {
    let guard = mm.mmap_write_lock();
    let vma = guard.vma_lookup(addr).ok_or(EFAULT)?.start_write();
    #[cfg(twin)]
    vma.set_flags(AdviceFlags::DONTDUMP);
    let _guard = guard.downgrade();
    #[cfg(not(twin))]
    vma.set_flags(AdviceFlags::DONTDUMP);
    Ok(())
}
