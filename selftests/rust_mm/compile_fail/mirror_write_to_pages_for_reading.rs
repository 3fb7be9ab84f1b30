// SPDX-License-Identifier: GPL-2.0

// A driver writes to pages that it has faulted in for reading.
// error: E0599
// message: no method named `write_at` found for struct `ValidPages<'_, ReadOnly>`

include!("prelude.rs");

use kernel::mm::{
    gup::{
        ReadOnly,
        ReadWrite, //
    },
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

pub fn write(mirror: &Mirror<Mmu>, addr: usize) -> Result {
    #[cfg(not(twin))]
    type A = ReadOnly;
    #[cfg(twin)]
    type A = ReadWrite;
    let _ = (
        Mirror::<Mmu>::fault::<ReadOnly>,
        Mirror::<Mmu>::fault::<ReadWrite>,
    );
    let (guard, pages) = mirror.fault_locked::<A>(addr, 1)?;
    let valid = guard.pages(&pages).ok_or(EAGAIN)?;
    valid.write_at(0, b"x")
}
