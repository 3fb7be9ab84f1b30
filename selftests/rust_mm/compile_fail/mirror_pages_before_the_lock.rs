// SPDX-License-Identifier: GPL-2.0

// A driver accesses pages that it has faulted in, without checking under the lock that they are
// still mapped.
// error: E0599
// message: no method named `read_at` found for struct `Faulted`

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
    let faulted = mirror.fault::<ReadOnly>(addr, 1)?;
    #[cfg(not(twin))]
    return faulted.read_at(0, out);
    #[cfg(twin)]
    {
        let (guard, pages) = faulted.lock()?;
        guard.pages(&pages).ok_or(EAGAIN)?.read_at(0, out)
    }
}
