// SPDX-License-Identifier: GPL-2.0

// A driver refuses an invalidation that may sleep.
// error: E0053
// message: method `invalidate` has an incompatible type for trait

include!("prelude.rs");

use kernel::mm::mirror::{
    Invalidation,
    MirrorOps,
    WouldBlock, //
};

struct Busy;

#[vtable]
impl MirrorOps for Busy {
    type State = ();

    #[cfg(not(twin))]
    fn invalidate(&self, _: &mut (), _: &Invalidation) -> Result<(), WouldBlock> {
        Err(WouldBlock)
    }

    #[cfg(twin)]
    fn invalidate(&self, _: &mut (), _: &Invalidation) {}

    #[cfg(twin)]
    fn try_invalidate(&self, _: &mut (), _: &Invalidation) -> Result<(), WouldBlock> {
        Err(WouldBlock)
    }
}
