// SPDX-License-Identifier: GPL-2.0

// A caller write-locks a VMA under the mmap read lock.
// error: E0599
// message: no method named `start_write` found for reference `&VmaUnderMmap`

include!("prelude.rs");

pub fn start(mm: &MmWithUser, addr: usize) -> Result {
    #[cfg(not(twin))]
    let guard = mm.mmap_read_lock();
    #[cfg(twin)]
    let guard = mm.mmap_write_lock();
    guard.vma_lookup(addr).ok_or(EFAULT)?.start_write();
    Ok(())
}
