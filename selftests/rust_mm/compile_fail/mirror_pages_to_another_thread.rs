// SPDX-License-Identifier: GPL-2.0

// A driver hands pages that are mapped while it holds a lock to another thread.
// error: E0599
// message: `ValidPages<'_, ReadOnly>: Send`

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

pub fn hand_over(mirror: &Mirror<Mmu>, addr: usize) -> Result {
    let (guard, pages) = mirror.fault_locked::<ReadOnly>(addr, 1)?;
    let valid = guard.pages(&pages).ok_or(EAGAIN)?;
    #[cfg(not(twin))]
    Handed(valid).to_another_thread();
    #[cfg(twin)]
    Handed(valid).to_this_thread();
    Ok(())
}
