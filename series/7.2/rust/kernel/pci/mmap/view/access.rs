// SPDX-License-Identifier: GPL-2.0

//! The accesses to a view of a BAR, as 7.2 has them.

use super::BarView;
use crate::{
    devres::Devres,
    io::Mmio,
    prelude::*, //
};
use core::ops::Deref;

/// A [`BarView`] that ends when the driver is unbound.
///
/// See [`BarView::into_devres`].
pub type DevresBarView<const SIZE: usize = 0> = Devres<BarView<'static, SIZE>>;

impl<'a, const SIZE: usize> BarView<'a, SIZE> {
    /// Hands the view over to the device, which drops it when the driver is unbound.
    ///
    /// Files can share the result, since they may exist for longer than the driver is bound:
    /// [`Devres::try_access`] returns [`None`] afterwards.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`] if there is not enough memory.
    pub fn into_devres(self) -> Result<DevresBarView<SIZE>> {
        // SAFETY: The types differ in a lifetime only. Besides the mapping and a share of the
        // claim, which it owns, the view has a reference to the device. All of them are valid until
        // the driver is unbound. By then, `Devres` has dropped the view, and nothing accesses it.
        let view: BarView<'static, SIZE> = unsafe { core::mem::transmute(self) };
        let pdev = view.pdev;
        Devres::new(pdev.as_ref(), view)
    }
}

impl<const SIZE: usize> Deref for BarView<'_, SIZE> {
    type Target = Mmio<SIZE>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        self.view.mmio()
    }
}
