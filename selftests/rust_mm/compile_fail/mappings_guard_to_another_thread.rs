// SPDX-License-Identifier: GPL-2.0

// The lock of a file's mappings, given up by another thread.
// error: E0277
// message: `*mut ()` cannot be sent between threads safely

include!("prelude.rs");

fn send<T: Send>(_: T) {}

pub fn give(space: &AddressSpace) {
    let mappings = space.i_mmap_lock_read();
    #[cfg(not(twin))]
    send(mappings);
    #[cfg(twin)]
    send(mappings.is_empty());
}
