// SPDX-License-Identifier: GPL-2.0

//! The accesses to a view of a BAR, as 7.3 has them.

use super::BarView;
use crate::{
    devres::DevresLt,
    io::{
        IoBase,
        Mmio,
        MmioBackend,
        Region, //
    },
    prelude::*,
    types::{
        CovariantForLt,
        ForLt, //
    }, //
};

impl<const SIZE: usize> ForLt for BarView<'static, SIZE> {
    type Of<'a> = BarView<'a, SIZE>;
}

// SAFETY: `BarView<'a, SIZE>` is covariant over `'a`: it holds `&'a Device<Bound>`, which is
// covariant, and nothing else that depends on `'a`.
unsafe impl<const SIZE: usize> CovariantForLt for BarView<'static, SIZE> {}

/// A [`BarView`] that ends when the driver is unbound.
///
/// See [`BarView::into_devres`].
pub type DevresBarView<const SIZE: usize = 0> = DevresLt<BarView<'static, SIZE>>;

impl<'a, const SIZE: usize> BarView<'a, SIZE> {
    /// Hands the view over to the device, which drops it when the driver is unbound.
    ///
    /// Files can share the result, since they may exist for longer than the driver is bound:
    /// [`DevresLt::try_access`] returns [`None`] afterwards.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`] if there is not enough memory.
    pub fn into_devres(self) -> Result<DevresBarView<SIZE>> {
        let pdev = self.pdev;
        // SAFETY: Besides the mapping and a share of the claim, which it owns, the view has a
        // reference to the device. All of them are valid until the driver is unbound.
        unsafe { DevresLt::new(pdev.as_ref(), self) }
    }
}

impl<'a, const SIZE: usize> IoBase<'a> for &'a BarView<'_, SIZE> {
    type Backend = MmioBackend;
    type Target = Region<SIZE>;

    #[inline]
    fn as_view(self) -> Mmio<'a, Self::Target> {
        self.view.mmio()
    }
}
