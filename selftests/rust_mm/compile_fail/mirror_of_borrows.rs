// SPDX-License-Identifier: GPL-2.0

// The data of a mirror borrows from the stack. A mirror that is leaked would outlive it.
// error: E0478 E0495
// message: lifetime parameter instantiated with the lifetime `'a` as defined here

include!("prelude.rs");

use kernel::mm::mirror::{
    Invalidation,
    MirrorOps, //
};

#[cfg(not(twin))]
struct Mmu<'a>(&'a usize);
#[cfg(twin)]
struct Mmu<'a>(usize, core::marker::PhantomData<fn(&'a ())>);

#[cfg(not(twin))]
#[vtable]
impl<'a> MirrorOps for Mmu<'a> {
    type State = ();

    fn invalidate(&self, _: &mut (), _: &Invalidation) {}
}

#[cfg(twin)]
#[vtable]
impl MirrorOps for Mmu<'static> {
    type State = ();

    fn invalidate(&self, _: &mut (), _: &Invalidation) {}
}
