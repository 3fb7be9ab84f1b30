// SPDX-License-Identifier: GPL-2.0

//! The section that a revocation waits for.

use super::Revocation;
use crate::{
    bindings,
    ffi::c_int,
    types::NotThreadSafe, //
};

/// A guard for a section that a revocation waits for.
///
/// # Invariants
///
/// `index` comes from `srcu_read_lock` of the revocation, on this thread.
pub struct RevocationGuard<'a> {
    pub(super) revocation: &'a Revocation,
    pub(super) index: c_int,
    pub(super) _not_send: NotThreadSafe,
}

impl Drop for RevocationGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariants, `index` comes from `srcu_read_lock` of this `srcu`, on
        // this thread. The section ends once, here.
        unsafe { bindings::srcu_read_unlock(self.revocation.srcu.get(), self.index) };
    }
}
