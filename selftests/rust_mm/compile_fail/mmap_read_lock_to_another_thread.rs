// SPDX-License-Identifier: GPL-2.0

// A caller hands the guard of the mmap read lock to another thread.
// error: E0599
// message: `MmapReadGuard<'_>: Send`

include!("prelude.rs");

pub fn start(mm: &MmWithUser) {
    let guard = mm.mmap_read_lock();
    #[cfg(not(twin))]
    Handed(guard).to_another_thread();
    #[cfg(twin)]
    Handed(guard).to_this_thread();
}
