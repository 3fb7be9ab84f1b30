// SPDX-License-Identifier: GPL-2.0

//! Claims of a device's memory, and what uses them.

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
        Cache,
        PfnRange,
        PfnSlice, //
    },
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    }, //
};
use core::{
    ops::Range,
    ptr::NonNull, //
};

/// A claim in the resource tree, at the place of a device's resource and at no other.
///
/// Not a [`Region`](crate::io::resource::Region): it may be placed into the resource of another
/// device, and it is released by its addresses. A driver that moves the BARs of other devices
/// (`pci_resize_resource()`) removes the claims in them, and may put our BAR back. By then, another
/// driver may have claimed the same addresses.
///
/// What uses the memory has a [`Share`] of the claim: the code that revokes it from user space when
/// the driver is unbound, and the driver's own views of it.
///
/// # Invariants
///
/// - `raw` is a claim of memory with these PFNs, which contains no RAM. Nothing but the device has
///   addresses in their pages.
/// - The device has `size` bytes there, starting with the first page.
#[pin_data]
pub(crate) struct Claim {
    raw: RawClaim,
    pfns: PfnRange,
    size: usize,
    /// The pages of the shares, and their cache modes.
    ///
    /// Shares that overlap have the same mode.
    #[pin]
    shares: Mutex<KVec<(Range<usize>, Cache)>>,
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
        Arc::pin_init(
            pin_init!(Self {
                raw,
                pfns,
                size,
                shares <- new_mutex!(KVec::new()),
            }),
            GFP_KERNEL,
        )
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

/// Pages of a claim that are used with one cache mode.
///
/// On x86, the mode is also reserved in the kernel, if it is
/// [`WriteCombined`](Cache::WriteCombined): the kernel would use another one.
///
/// # Invariants
///
/// `pages` are pages of the claim, at least one. With this mode, they are an entry in its list, and
/// reserved if it is `WriteCombined`.
pub(crate) struct Share {
    claim: Arc<Claim>,
    pages: Range<usize>,
    cache: Cache,
}

impl Share {
    /// Uses pages of a claim with a cache mode.
    ///
    /// # Errors
    ///
    /// - [`EBUSY`] if another share has one of the pages with another mode; or, on x86, if another
    ///   mode is reserved for one of them that is to be write-combined.
    /// - [`EINVAL`] if `pages` is empty, or the claim does not have all of them.
    /// - [`ENOMEM`] if there is not enough memory.
    pub(crate) fn new(claim: &Arc<Claim>, pages: Range<usize>, cache: Cache) -> Result<Self> {
        let pfns = claim.pfns.slice(pages.start, pages.len())?;
        if pages.is_empty() {
            return Err(EINVAL);
        }
        let mut shares = claim.shares.lock();
        let differs = |(other, mode): &(Range<usize>, Cache)| {
            *mode != cache && other.start < pages.end && pages.start < other.end
        };
        if shares.iter().any(differs) {
            return Err(EBUSY);
        }
        shares.push((pages.clone(), cache), GFP_KERNEL)?;
        if cache == Cache::WriteCombined {
            // SAFETY: The pages are device memory, and there is at least one.
            let ret = unsafe { bindings::rust_mem_reserve_wc(pfns.start_pfn(), pfns.nr_pages()) };
            if let Err(err) = to_result(ret) {
                shares.pop();
                return Err(err);
            }
        }
        // INVARIANT: The pages are in the claim, in the list, and reserved.
        Ok(Self {
            claim: claim.clone(),
            pages,
            cache,
        })
    }

    /// Returns the PFNs of the pages.
    #[inline]
    pub(super) fn pfns(&self) -> Result<PfnSlice<'_>> {
        self.claim.pfns.slice(self.pages.start, self.pages.len())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut shares = self.claim.shares.lock();
        let own = (self.pages.clone(), self.cache);
        if let Some(at) = shares.iter().position(|share| *share == own) {
            let _ = shares.remove(at);
        }
        if self.cache == Cache::WriteCombined {
            let pfn = self.claim.pfns.start_pfn() + self.pages.start;
            // SAFETY: By the type invariants, the mode is reserved for these pages.
            unsafe { bindings::rust_mem_free_wc(pfn, self.pages.len()) };
        }
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
