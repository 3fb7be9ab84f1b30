// SPDX-License-Identifier: GPL-2.0

// A caller hands the guard of an i_mmap lock to another thread.
// error: E0599
// message: `IMmapReadGuard<'_>: Send`

include!("prelude.rs");

pub fn give(space: &AddressSpace) {
    let mappings = space.i_mmap_lock_read();
    #[cfg(not(twin))]
    Handed(mappings).to_another_thread();
    #[cfg(twin)]
    Handed(mappings).to_this_thread();
}
