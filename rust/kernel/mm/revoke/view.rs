// SPDX-License-Identifier: GPL-2.0

//! Memory of a claim, mapped for the accesses of the driver.

use super::claim::{
    Claim,
    Share, //
};
use crate::{
    bindings,
    io::PhysAddr,
    mm::memory::Cache,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::Arc, //
};
use core::ops::Range;

mod raw;

/// A part of a claim, mapped for the driver's own accesses.
///
/// # Invariants
///
/// `io` is a mapping of memory that `_share` has a share of, aligned to 4 bytes. It ends when this
/// value is dropped.
pub(crate) struct View<const SIZE: usize> {
    io: raw::Raw<SIZE>,
    _share: Share,
}

impl<const SIZE: usize> View<SIZE> {
    /// Maps a range of bytes.
    ///
    /// The view must be dropped while the resource of the claim exists, or must be leaked.
    ///
    /// # Errors
    ///
    /// - [`EBUSY`] if a page of it is used with another cache mode.
    /// - [`EINVAL`] if the range is empty, extends past the device's memory, or is smaller than
    ///   `SIZE`, or if its start or its length is not a multiple of 4.
    /// - [`ENOMEM`] if there is not enough memory.
    pub(crate) fn new(claim: &Arc<Claim>, range: Range<usize>) -> Result<Self> {
        let len = range.end.checked_sub(range.start).ok_or(EINVAL)?;
        if len == 0 || len < SIZE || range.end > claim.size() || (range.start | len) & 3 != 0 {
            return Err(EINVAL);
        }
        let pages = range.start >> PAGE_SHIFT..range.end.div_ceil(PAGE_SIZE);
        let share = Share::new(claim, pages, Cache::NonCached)?;
        let start = (claim.pfns().start_pfn() as PhysAddr) << PAGE_SHIFT;
        // SAFETY: The range is not empty, and is device memory.
        let addr = unsafe { bindings::ioremap(start + range.start as PhysAddr, len) };
        if addr.is_null() {
            return Err(ENOMEM);
        }
        // This cannot fail: the address is as aligned as the start of the range, and the length was
        // checked.
        let io = raw::raw(addr as usize, len)?;
        // INVARIANT: The memory is mapped, and `share` has a share of it. The start of the range is
        // a multiple of 4.
        Ok(Self { io, _share: share })
    }

    /// Returns the address of the mapping in the kernel.
    #[inline]
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn addr(&self) -> usize {
        self.io.addr()
    }
}

impl<const SIZE: usize> Drop for View<SIZE> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the memory is mapped, and this value owns the mapping.
        unsafe { bindings::iounmap(self.io.addr() as *mut c_void) };
    }
}
