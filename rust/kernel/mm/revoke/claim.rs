// SPDX-License-Identifier: GPL-2.0

//! Claims of a device's memory, and of its cache mode.

use crate::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    io::resource::{
        Resource,
        ResourceSize, //
    },
    mm::memory::{
        pfn::device_frames,
        PfnRange,
        PfnSlice, //
    },
    page::PAGE_SIZE,
    prelude::*, //
};
use core::ptr::NonNull;

/// A claim in the resource tree, at the place of a device's resource and at no other.
///
/// Not a [`Region`](crate::io::resource::Region): it may be placed into the resource of another
/// device, and it is released by its addresses. A driver that moves the BARs of other devices
/// (`pci_resize_resource()`) removes the claims in them, and may put our BAR back. By then, another
/// driver may have claimed the same addresses.
///
/// The users of the memory share the claim: the code that revokes it from user space when the
/// driver is unbound, and the driver's own views of it.
///
/// # Invariants
///
/// - `raw` is that of a claim which this value owns.
/// - `pfns` are those of the claimed memory, which contains no RAM. Nothing but the device has
///   addresses in their pages.
pub(crate) struct Claim {
    raw: NonNull<bindings::rust_mem_claim>,
    pfns: PfnRange,
}

// SAFETY: Any thread may release a claim.
unsafe impl Send for Claim {}
// SAFETY: A reference only allows reading the PFNs, which do not change.
unsafe impl Sync for Claim {}

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
    pub(crate) fn new(resource: &Resource, name: &CStr) -> Result<Self> {
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
    pub(crate) fn of_whole_pages(resource: &Resource, name: &CStr) -> Result<Self> {
        Self::make(resource, name, true)
    }

    fn make(resource: &Resource, name: &CStr, whole_pages: bool) -> Result<Self> {
        let mut size = resource.size();
        if whole_pages {
            let page = PAGE_SIZE as ResourceSize;
            size = size.checked_next_multiple_of(page).ok_or(EINVAL)?;
        }
        let pfns = device_frames(resource.start(), size)?;
        let resource = core::ptr::from_ref(resource).cast_mut().cast();
        // SAFETY: The resource is valid, and the function takes the lock of the resource tree. It
        // copies the name.
        let raw = unsafe { bindings::rust_mem_claim(resource, name.as_char_ptr(), whole_pages) };
        let raw = NonNull::new(from_err_ptr(raw)?).ok_or(ENOMEM)?;
        // INVARIANT: The resource was just claimed, and this value owns the claim. `device_frames`
        // has checked that its memory contains no RAM. If the resource ends within a page, the rest
        // of the page is claimed too.
        Ok(Self { raw, pfns })
    }

    /// Returns the PFNs of the claimed memory.
    #[inline]
    pub(crate) fn pfns(&self) -> &PfnRange {
        &self.pfns
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // SAFETY:
        // - By the type invariants, this value owns the claim, which is not used after this.
        // - The resource that the claim is in still exists: the driver's data and the devres
        //   entries, which share the claim, are dropped while the driver is being unbound, so
        //   before the resources of a device. The claim is in no resource of another device.
        unsafe { bindings::rust_mem_release(self.raw.as_ptr()) };
    }
}

/// A reservation of the write-combined mode for pages of a claim.
///
/// # Invariants
///
/// `nr_pages` pages, starting at `pfn`, are reserved by this value.
pub(super) struct WriteCombined {
    pfn: usize,
    nr_pages: usize,
}

impl WriteCombined {
    /// Reserves the mode.
    ///
    /// # Errors
    ///
    /// - [`EBUSY`] if another mode is reserved for a part of the memory, also for a view of the
    ///   driver.
    /// - [`ENOMEM`] if there is not enough memory.
    pub(super) fn new(pfns: PfnSlice<'_>) -> Result<Self> {
        let (pfn, nr_pages) = (pfns.start_pfn(), pfns.nr_pages());
        if nr_pages == 0 {
            return Err(EINVAL);
        }
        // SAFETY: The pages are device memory, and there is at least one.
        to_result(unsafe { bindings::rust_mem_reserve_wc(pfn, nr_pages) })?;
        // INVARIANT: The mode was just reserved.
        Ok(Self { pfn, nr_pages })
    }
}

impl Drop for WriteCombined {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the mode is reserved.
        unsafe { bindings::rust_mem_free_wc(self.pfn, self.nr_pages) };
    }
}
