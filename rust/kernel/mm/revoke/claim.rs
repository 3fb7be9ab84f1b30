// SPDX-License-Identifier: GPL-2.0

//! Claims of a device's memory.

use crate::{
    bindings,
    error::from_err_ptr,
    io::resource::{
        Resource,
        ResourceSize, //
    },
    mm::memory::{
        pfn::device_frames,
        PfnRange, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc, //
};
use core::ptr::NonNull;

/// A claim in the resource tree, at the place of a device's resource and at no other.
///
/// Not a [`Region`](crate::io::resource::Region): it may be placed into the resource of another
/// device, and it is released by its addresses. A driver that moves the BARs of other devices
/// (`pci_resize_resource()`) removes the claims in them, and may put our BAR back. By then, another
/// driver may have claimed the same addresses.
///
/// What uses the memory has a share of the claim: the code that revokes it from user space when the
/// driver is unbound, and the driver's own views of it.
///
/// # Invariants
///
/// - `raw` is a claim of memory with these PFNs, which contains no RAM. Nothing but the device has
///   addresses in their pages.
/// - The device has `size` bytes there, starting with the first page.
pub(crate) struct Claim {
    raw: RawClaim,
    pfns: PfnRange,
    size: usize,
}

impl Claim {
    /// Claims the whole of a resource, with a copy of the name.
    ///
    /// The claim must be dropped while the resource exists, or must be leaked.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the resource is empty, is not page-aligned, or contains RAM.
    /// - [`EBUSY`] if another claim or resource overlaps it.
    /// - [`ENOMEM`] if there is not enough memory.
    pub(crate) fn new(resource: &Resource, name: &CStr) -> Result<Arc<Self>> {
        Self::make(resource, name, false)
    }

    /// Claims the whole of a resource as [`new`](Self::new) does, and all of its last page.
    ///
    /// Only for a bus that has all of its devices in the resource tree. For other resources, what
    /// follows in the page may belong to a device whose driver claims nothing.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), but the end of the resource need not be page-aligned. [`EBUSY`]
    /// also if another resource is in its last page.
    #[cfg_attr(not(CONFIG_PCI), allow(dead_code))]
    pub(crate) fn of_whole_pages(resource: &Resource, name: &CStr) -> Result<Arc<Self>> {
        Self::make(resource, name, true)
    }

    fn make(resource: &Resource, name: &CStr, whole_pages: bool) -> Result<Arc<Self>> {
        let mut len = resource.size();
        if whole_pages {
            let page = PAGE_SIZE as ResourceSize;
            len = len.checked_next_multiple_of(page).ok_or(EINVAL)?;
        }
        let pfns = device_frames(resource.start(), len)?;
        let size = usize::try_from(resource.size())?;
        let raw = RawClaim::new(resource, name, whole_pages)?;
        // INVARIANT: The resource was just claimed, and has `size` bytes. `device_frames` has
        // checked that its memory contains no RAM. If the resource ends within a page, the rest of
        // the page is claimed too.
        Ok(Arc::new(Self { raw, pfns, size }, GFP_KERNEL)?)
    }

    /// Returns the PFNs of the claimed memory.
    #[inline]
    pub(crate) fn pfns(&self) -> &PfnRange {
        &self.pfns
    }

    /// Returns the number of bytes that the device has in the claimed memory.
    #[inline]
    #[cfg_attr(not(CONFIG_PCI), allow(dead_code))]
    pub(crate) fn size(&self) -> usize {
        self.size
    }
}

/// A claim of C's.
///
/// # Invariants
///
/// The pointer is that of a claim which this value owns.
struct RawClaim(NonNull<bindings::rust_mem_claim>);

// SAFETY: Any thread may release a claim.
unsafe impl Send for RawClaim {}
// SAFETY: A reference to it allows nothing.
unsafe impl Sync for RawClaim {}

impl RawClaim {
    fn new(resource: &Resource, name: &CStr, whole_pages: bool) -> Result<Self> {
        let resource = core::ptr::from_ref(resource).cast_mut().cast();
        // SAFETY: The resource is valid, and the function takes the lock of the resource tree. It
        // copies the name.
        let raw = unsafe { bindings::rust_mem_claim(resource, name.as_char_ptr(), whole_pages) };
        // INVARIANT: The resource was just claimed, and this value owns the claim.
        Ok(Self(NonNull::new(from_err_ptr(raw)?).ok_or(ENOMEM)?))
    }
}

impl Drop for RawClaim {
    fn drop(&mut self) {
        // SAFETY:
        // - By the type invariants, this value owns the claim, which is not used after this.
        // - The resources that the claim is in still exist: the driver's data and the devres
        //   entries, which share the claim, are dropped while the driver is being unbound, so
        //   before the resources of a device. What follows the device's resource in its last page
        //   is in the window of its bus, which exists for longer than the device.
        unsafe { bindings::rust_mem_release(self.0.as_ptr()) };
    }
}
