// SPDX-License-Identifier: GPL-2.0

// A caller changes a flag on which the page tables depend, in an existing VMA.
// error: E0599
// message: no associated item named `PFNMAP` found for struct `AdviceFlags`

include!("prelude.rs");

use kernel::mm::vma::AdviceFlags;

pub fn start(mm: &MmWithUser, addr: usize) -> Result {
    let guard = mm.mmap_write_lock();
    let vma = guard.vma_lookup(addr).ok_or(EFAULT)?.start_write();
    #[cfg(not(twin))]
    vma.set_flags(AdviceFlags::PFNMAP);
    #[cfg(twin)]
    vma.set_flags(AdviceFlags::DONTDUMP);
    Ok(())
}
