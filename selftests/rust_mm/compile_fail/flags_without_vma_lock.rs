// SPDX-License-Identifier: GPL-2.0

// A caller changes the flags of a VMA without write-locking the VMA.
// error: E0599
// message: no method named `set_flags` found for reference `&VmaUnderWrite`

include!("prelude.rs");

use kernel::mm::vma::AdviceFlags;

pub fn start(mm: &MmWithUser, addr: usize) -> Result {
    let guard = mm.mmap_write_lock();
    let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    #[cfg(twin)]
    let vma = vma.start_write();
    vma.set_flags(AdviceFlags::DONTDUMP);
    Ok(())
}
