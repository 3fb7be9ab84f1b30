// SPDX-License-Identifier: GPL-2.0

// A caller takes a VMA read lock under the mmap write lock, which does not wait for such a reader.
// error: E0599
// message: no method named `vma_start_read_locked` found for struct `MmapWriteGuard`

include!("prelude.rs");

pub fn start(mm: &MmWithUser, addr: usize) -> bool {
    let guard = mm.mmap_write_lock();
    #[cfg(twin)]
    let guard = guard.downgrade();
    guard.vma_start_read_locked(addr).is_some()
}
