// SPDX-License-Identifier: GPL-2.0

//! The accessors of a view: in 7.3, those of a `Region`.

use super::View;
use crate::{
    io::{
        Mmio,
        MmioRaw,
        Region, //
    },
    prelude::*, //
};

/// The address and the length of a view.
pub(super) type Raw<const SIZE: usize> = MmioRaw<Region<SIZE>>;

/// Returns the accessors of a view, or [`EINVAL`] if `len` is less than `SIZE`.
#[inline]
pub(super) fn raw<const SIZE: usize>(addr: usize, len: usize) -> Result<Raw<SIZE>> {
    MmioRaw::new_region(addr, len)
}

impl<const SIZE: usize> View<SIZE> {
    /// Returns the mapping.
    #[inline]
    pub(crate) fn mmio(&self) -> Mmio<'_, Region<SIZE>> {
        // SAFETY: By the type invariants, the memory is mapped while this value exists, and aligned
        // to 4 bytes, as a `Region` is.
        unsafe { Mmio::from_raw(self.io) }
    }
}
