// SPDX-License-Identifier: GPL-2.0

//! A driver's own view of a BAR that user space can map.

use super::{
    ClaimedBar,
    Device, //
};
use crate::{
    bindings,
    device::Bound,
    devres::DevresLt,
    io::{
        IoBase,
        Mmio,
        MmioBackend,
        MmioRaw,
        Region, //
    },
    mm::revoke::Claim,
    page::PAGE_SHIFT,
    prelude::*,
    sync::Arc,
    types::{
        CovariantForLt,
        ForLt, //
    }, //
};
use core::ops::Range;

/// A part of a memory BAR, mapped for the driver's own accesses.
///
/// [`ClaimedBar::iomap`] makes it. Accesses are those of [`Io`](crate::io::Io), as with a
/// [`Bar`](crate::pci::Bar): naturally aligned, little-endian, and checked against the range.
///
/// # Invariants
///
/// `io` is a mapping of memory that `_claim` claims, and ends when this value is dropped.
pub struct BarView<'a, const SIZE: usize = 0> {
    pdev: &'a Device<Bound>,
    io: MmioRaw<Region<SIZE>>,
    _claim: Arc<Claim>,
}

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
    pub(super) fn new(bar: &ClaimedBar<'a>, range: Range<usize>) -> Result<Self> {
        let len = range.end.checked_sub(range.start).ok_or(EINVAL)?;
        // C takes a length of 0 for all the rest, and cuts what extends past the BAR.
        if len == 0 || range.end > bar.size || (range.start | len) & 3 != 0 {
            return Err(EINVAL);
        }
        let (pdev, start) = (bar.pdev, range.start);
        // SAFETY: The device is valid, and the BAR is one of its memory BARs, which is claimed. The
        // range is not empty, and is in the BAR.
        let addr = unsafe { bindings::pci_iomap_range(pdev.as_raw(), bar.bar, start, len) };
        if addr.is_null() {
            return Err(ENOMEM);
        }
        let io = MmioRaw::new_region(addr as usize, len).inspect_err(|_| {
            // SAFETY: The memory was mapped just now, for this device.
            unsafe { bindings::pci_iounmap(pdev.as_raw(), addr) }
        })?;
        // INVARIANT: The memory is mapped, and is a part of the claimed BAR.
        let view = Self {
            pdev,
            io,
            _claim: bar.claim.clone(),
        };
        // On x86, the view has the mode that is reserved for one of its pages, and then the mode is
        // that of all: reservations that overlap have the same mode.
        let first = bar.claim.pfns().start_pfn() + (start >> PAGE_SHIFT);
        // SAFETY: The page is device memory.
        if unsafe { bindings::rust_mem_is_wc(first) } {
            return Err(EBUSY);
        }
        Ok(view)
    }

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

impl<const SIZE: usize> Drop for BarView<'_, SIZE> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the memory is mapped, and this value owns the mapping.
        unsafe { bindings::pci_iounmap(self.pdev.as_raw(), self.io.addr() as *mut c_void) };
    }
}

impl<'a, const SIZE: usize> IoBase<'a> for &'a BarView<'_, SIZE> {
    type Backend = MmioBackend;
    type Target = Region<SIZE>;

    #[inline]
    fn as_view(self) -> Mmio<'a, Self::Target> {
        // SAFETY: By the type invariants, the memory is mapped while this value exists.
        unsafe { Mmio::from_raw(self.io) }
    }
}
