// SPDX-License-Identifier: GPL-2.0

//! PCI BARs that user space can map.
//!
//! C header: [`include/linux/pci.h`](srctree/include/linux/pci.h)

use super::Device;
use crate::{
    bindings,
    device::Bound,
    io::resource::Resource,
    mm::{
        revoke::{
            Claim,
            RevocableMemory,
            Revocation,
            View, //
        },
        Cache, //
    },
    prelude::*,
    sync::Arc, //
};
use core::ops::Range;

mod view;

pub use view::{
    BarView,
    DevresBarView, //
};

/// A memory BAR that a driver has claimed, for its own accesses and for user space.
///
/// [`iomap_region`](Device::iomap_region) claims a BAR as well, so it cannot be used for a BAR that
/// user space maps. The driver takes all that it needs from one claim instead: views of registers
/// with [`iomap`](Self::iomap), and pages for user space with [`map`](Self::map). These may be
/// different parts of the BAR, or the same. The claim ends when none of them is left.
///
/// # Limits
///
/// - User space gets whole pages. What lies in such a page, user space can access, also if the
///   driver has a view of it: a register that only the driver may use must be in a page that is not
///   mapped.
/// - A BAR that does not start at a page boundary cannot be claimed: it shares its first page with
///   something else. The kernel can be told to move it there (`pci=resource_alignment=`).
/// - The claim of the rest of a page keeps the kernel from resizing the window of the bridge, as
///   that of VFIO does.
///
/// # Invariants
///
/// `claim` is a claim of a memory BAR of `pdev`.
///
/// # Examples
///
/// A device with registers for the driver in the first page of a BAR, and doorbells for user space
/// in the pages after it:
///
/// ```
/// use kernel::{
///     io::Io,
///     mm::revoke::{
///         RevocableMemory,
///         Revocation, //
///     },
///     pci,
///     sync::Arc, //
/// };
///
/// /// Called from `probe`, when the device is enabled.
/// fn claim<'a>(
///     pdev: &'a pci::Device<kernel::device::Bound>,
///     revocation: &Arc<Revocation>,
/// ) -> Result<(pci::BarView<'a, 0x100>, RevocableMemory)> {
///     let bar = pdev.claim_bar(2, c"my device")?;
///     let registers = bar.iomap_sized::<0x100>(0)?;
///     registers.write32(1, 0x10);
///     let doorbells = bar.map(1..bar.nr_pages(), revocation)?;
///     Ok((registers, doorbells))
/// }
/// ```
pub struct ClaimedBar<'a> {
    pdev: &'a Device<Bound>,
    claim: Arc<Claim>,
}

impl<'a> ClaimedBar<'a> {
    /// Returns the size of the BAR in bytes, which is not zero.
    #[inline]
    pub fn size(&self) -> usize {
        self.claim.size()
    }

    /// Returns the number of pages that the BAR has a part in, which is not zero.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        self.claim.pfns().nr_pages()
    }

    /// Maps a part of the BAR for the driver's own accesses.
    ///
    /// `range` counts bytes from the start of the BAR. The offsets of the accesses count from the
    /// start of `range`, and are checked when they are made; see
    /// [`iomap_sized`](Self::iomap_sized) for checks at compile time.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`EBUSY`] if a page of the range is [write-combined](Self::map_write_combined).
    /// - [`EINVAL`] if the range is empty or extends past the BAR, or if its start or its length is
    ///   not a multiple of 4.
    /// - [`ENOMEM`] if there is not enough memory.
    pub fn iomap(&self, range: Range<usize>) -> Result<BarView<'a>> {
        Ok(BarView::new(self.pdev, View::new(&self.claim, range)?))
    }

    /// Maps `SIZE` bytes of the BAR, starting at `offset`, for the driver's own accesses.
    ///
    /// The offsets of the accesses count from `offset`, and can be checked at compile time.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// As [`iomap`](Self::iomap).
    pub fn iomap_sized<const SIZE: usize>(&self, offset: usize) -> Result<BarView<'a, SIZE>> {
        let end = offset.checked_add(SIZE).ok_or(EINVAL)?;
        let view = View::new(&self.claim, offset..end)?;
        Ok(BarView::new(self.pdev, view))
    }

    /// Makes pages of the BAR available to user space.
    ///
    /// `pages` counts pages from the start of the BAR; index 0 of the returned memory is
    /// `pages.start`. The driver can call this for several parts of the BAR, also with different
    /// revocations.
    ///
    /// When the driver is unbound, `revocation` revokes the memory. It waits for fault handlers,
    /// with the device lock held.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`EBUSY`] if one of the pages is [write-combined](Self::map_write_combined).
    /// - [`EINVAL`] if `pages` is empty or extends past the BAR.
    /// - [`ENODEV`] if `revocation` is used up: if several devices share it, the first of them that
    ///   is unbound uses it up.
    /// - [`ENOMEM`] if there is not enough memory. `revocation` can be used up then.
    pub fn map(
        &self,
        pages: Range<usize>,
        revocation: &Arc<Revocation>,
    ) -> Result<RevocableMemory> {
        self.memory(pages, Cache::NonCached, revocation)
    }

    /// Makes pages of the BAR available to user space as [`map`](Self::map) does, write-combined.
    ///
    /// For memory, such as a frame buffer: the processor collects writes, which reach the device
    /// later and in larger pieces. The mode must also be that of the mapping:
    /// `on_io_fault(memory.cache())`. All that uses one of these pages has the same mode, so the
    /// driver's views, and pages from [`map`](Self::map), must be others. On x86, the mode is also
    /// reserved in the kernel, which maps pages uncached for which none is.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// Those of [`map`](Self::map). [`EBUSY`] also, on x86, if another mode is reserved for one of
    /// the pages: root may have mapped it through sysfs. A driver that must work then falls back to
    /// [`map`](Self::map).
    pub fn map_write_combined(
        &self,
        pages: Range<usize>,
        revocation: &Arc<Revocation>,
    ) -> Result<RevocableMemory> {
        self.memory(pages, Cache::WriteCombined, revocation)
    }

    fn memory(
        &self,
        pages: Range<usize>,
        cache: Cache,
        revocation: &Arc<Revocation>,
    ) -> Result<RevocableMemory> {
        RevocableMemory::new(self.pdev.as_ref(), &self.claim, pages, cache, revocation)
    }
}

impl Device<Bound> {
    /// Claims all of a memory BAR, for accesses by the driver and by user space.
    ///
    /// A BAR can be smaller than a page, and end within one. The claim then includes the rest of
    /// the page, so that no other device gets addresses there that user space could access.
    ///
    /// The device must be [enabled](Device::enable_device_mem); otherwise accesses do not reach its
    /// memory.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`EBUSY`] if a part of the BAR has been claimed already, if another device has the same
    ///   addresses, or if something else is in the last page of the BAR.
    /// - [`EINVAL`] if there is no such BAR (0 to 5), if it is not a memory BAR, if no addresses
    ///   are assigned to it, if it does not start at a page boundary, or if it cannot be mapped on
    ///   this architecture.
    /// - [`ENOMEM`] if there is not enough memory.
    ///
    /// # Examples
    ///
    /// See [`ClaimedBar`].
    pub fn claim_bar(&self, bar: u32, name: &CStr) -> Result<ClaimedBar<'_>> {
        // SAFETY: The device is valid, since `self` is a reference, and a driver is bound to it.
        let resource = unsafe { bindings::rust_pci_mem_bar(self.as_raw(), bar) };
        if resource.is_null() {
            return Err(EINVAL);
        }
        // SAFETY: The resource is the device's, so it is valid as long as the device. While a
        // driver is bound to the device, only the resource's links to other resources change.
        let resource = unsafe { Resource::from_raw(resource) };
        // The driver is bound while the `ClaimedBar` exists, and what is made of it. All of them
        // are dropped while the device exists.
        let claim = Claim::of_whole_pages(resource, name)?;
        // INVARIANT: The claim is that of a memory BAR of this device.
        Ok(ClaimedBar { pdev: self, claim })
    }

    /// Claims all of a memory BAR for mapping it into user space.
    ///
    /// This is [`claim_bar`](Self::claim_bar) and [`ClaimedBar::map`] of all its pages, for a BAR
    /// that the driver does not access itself.
    ///
    /// The device must be [enabled](Device::enable_device_mem); otherwise accesses do not reach its
    /// memory.
    ///
    /// When the driver is unbound, `revocation` revokes the memory, and then the claim ends. The
    /// revocation waits for fault handlers, with the device lock held.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// Those of [`claim_bar`](Self::claim_bar) and [`ClaimedBar::map`].
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     device::Core,
    ///     mm::{
    ///         revoke::{
    ///             RevocableMemory,
    ///             Revocation, //
    ///         },
    ///         MapFile, //
    ///     },
    ///     pci,
    ///     sync::Arc, //
    /// };
    ///
    /// /// The first lines of a `probe`. `F` is the type of the files that map the memory.
    /// fn claim<F: MapFile>(pdev: &pci::Device<Core<'_>>) -> Result<RevocableMemory> {
    ///     pdev.enable_device_mem()?;
    ///     let revocation = Arc::pin_init(Revocation::new::<F>(), GFP_KERNEL)?;
    ///     pdev.map_bar(2, c"my registers", &revocation)
    /// }
    /// ```
    pub fn map_bar(
        &self,
        bar: u32,
        name: &CStr,
        revocation: &Arc<Revocation>,
    ) -> Result<RevocableMemory> {
        let bar = self.claim_bar(bar, name)?;
        bar.map(0..bar.nr_pages(), revocation)
    }
}
