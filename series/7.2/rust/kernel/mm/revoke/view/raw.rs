// SPDX-License-Identifier: GPL-2.0

//! The accessors of a view: before 7.3, an `Mmio` with a size.

use super::View;
use crate::{
    io::{
        Mmio,
        MmioRaw, //
    },
    prelude::*, //
};

/// The address and the length of a view.
pub(super) type Raw<const SIZE: usize> = MmioRaw<SIZE>;

/// Returns the accessors of a view, or [`EINVAL`] if `len` is less than `SIZE`.
#[inline]
pub(super) fn raw<const SIZE: usize>(addr: usize, len: usize) -> Result<Raw<SIZE>> {
    MmioRaw::new(addr, len)
}

impl<const SIZE: usize> View<SIZE> {
    /// Returns the mapping.
    #[inline]
    pub(crate) fn mmio(&self) -> &Mmio<SIZE> {
        // SAFETY: By the type invariants, the memory is mapped while this value exists.
        unsafe { Mmio::from_raw(&self.io) }
    }
}
