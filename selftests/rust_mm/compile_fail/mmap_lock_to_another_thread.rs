// SPDX-License-Identifier: GPL-2.0

// The mmap write lock, given up by another thread.
// error: E0277
// message: cannot be sent between threads safely

include!("prelude.rs");

fn on_any_thread<T: Send>(_: T) {}

pub fn start(mm: &MmWithUser) {
    let guard = mm.mmap_write_lock();
    #[cfg(not(twin))]
    on_any_thread(guard);
    #[cfg(twin)]
    {
        drop(guard);
        on_any_thread(mm);
    }
}
