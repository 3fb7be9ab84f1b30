// SPDX-License-Identifier: GPL-2.0

// A driver uses the result of one read section for a second one.
// error: E0382
// message: use of moved value: `faulted`

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

pub fn twice(mirror: &Mirror<Mmu>, addr: usize) -> Result {
    let faulted = mirror.fault::<ReadOnly>(addr, 1)?;
    drop(faulted.lock()?);
    #[cfg(twin)]
    let faulted = mirror.fault::<ReadOnly>(addr, 1)?;
    drop(faulted.lock()?);
    Ok(())
}
