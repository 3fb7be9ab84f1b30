// SPDX-License-Identifier: GPL-2.0

// A driver accesses pages that it mirrors after releasing the lock, when they may be unmapped.
// error: E0505
// message: cannot move out of `guard` because it is borrowed

include!("prelude.rs");

use kernel::mm::{
    gup::ReadOnly,
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

pub fn read(mirror: &Mirror<Mmu>, addr: usize, out: &mut [u8]) -> Result {
    let (guard, pages) = mirror.fault_locked::<ReadOnly>(addr, 1)?;
    let valid = guard.pages(&pages).ok_or(EAGAIN)?;
    #[cfg(not(twin))]
    drop(guard);
    valid.read_at(0, out)?;
    #[cfg(twin)]
    drop(guard);
    Ok(())
}
