// SPDX-License-Identifier: GPL-2.0

//! The section that a revocation waits for.

use super::Revocation;
use crate::{
    bindings,
    types::NotThreadSafe, //
};

/// A guard for a section that a revocation waits for.
///
/// # Invariants
///
/// This thread is in a section of the revocation, which this value owns.
pub struct RevocationGuard<'a> {
    pub(super) revocation: &'a Revocation,
    pub(super) _not_send: NotThreadSafe,
}

impl Drop for RevocationGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariants, this thread is in a section of the revocation, which this
        // value owns. The section ends once, here.
        unsafe { bindings::rust_mm_revocation_leave(self.revocation.sections.get()) };
    }
}
