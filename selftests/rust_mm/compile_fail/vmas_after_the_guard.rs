// SPDX-License-Identifier: GPL-2.0

// A caller uses an iterator over VMAs after dropping the mmap lock.
// error: E0505
// message: cannot move out of `guard` because it is borrowed

include!("prelude.rs");

use kernel::mm::iter::MmapLocked;

pub fn start(mm: &MmWithUser) -> Option<usize> {
    let guard = mm.mmap_read_lock();
    let mut vmas = guard.vmas(0..usize::MAX);
    #[cfg(not(twin))]
    drop(guard);
    let start = vmas.next()?.start();
    #[cfg(twin)]
    drop(guard);
    Some(start)
}
