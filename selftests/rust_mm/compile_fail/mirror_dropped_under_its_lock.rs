// SPDX-License-Identifier: GPL-2.0

// A driver drops a mirror while it holds its lock, so that removing it would wait forever.
// error: E0505
// message: cannot move out of `mirror` because it is borrowed

include!("prelude.rs");

use kernel::mm::{
    mirror::{
        Invalidation,
        Mirror,
        MirrorOps, //
    }, //
};

struct Mmu;

#[vtable]
impl MirrorOps for Mmu {
    type State = ();

    fn invalidate(&self, _: &mut (), _: &Invalidation) {}
}

pub fn stop(mirror: Pin<KBox<Mirror<Mmu>>>) {
    let guard = mirror.lock();
    #[cfg(not(twin))]
    drop(mirror);
    drop(guard);
    #[cfg(twin)]
    drop(mirror);
}
