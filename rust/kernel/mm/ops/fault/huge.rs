// SPDX-License-Identifier: GPL-2.0

//! Faults that may be answered with a huge page.

use crate::{
    bindings,
    mm::{
        memory::{
            Folio,
            PfnSlice, //
        },
        ops::{
            fault::{
                common_methods,
                Context, //
            },
            insert,
            DataRef,
            DriverVma,
            FaultError,
            Inserted,
            Ordinary,
            Pfn,
            VmOperations, //
        }, //
    },
    page::{
        PAGE_MASK,
        PAGE_SHIFT, //
    },
    prelude::*, //
};
use core::{
    ops::Range,
    ptr::NonNull, //
};

/// The size of a huge page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HugeOrder {
    /// What one entry of a page middle directory maps.
    Pmd,
    /// What one entry of a page upper directory maps.
    Pud,
}

impl HugeOrder {
    /// Returns the order that the kernel means, if it is one of these.
    #[inline]
    pub(in crate::mm::ops) fn from_raw(order: c_uint) -> Option<Self> {
        let pages = 1usize.checked_shl(order)?;
        [Self::Pmd, Self::Pud]
            .into_iter()
            .find(|huge| huge.nr_pages() == pages)
    }

    /// Returns the size in bytes.
    #[inline]
    pub fn len(self) -> usize {
        #[cfg(not(CONFIG_PPC_BOOK3S_64))]
        let shift = match self {
            HugeOrder::Pmd => bindings::PMD_SHIFT,
            HugeOrder::Pud => bindings::PUD_SHIFT,
        };
        // The kernel chooses radix or hash page tables at boot; their entries differ in size.
        #[cfg(CONFIG_PPC_BOOK3S_64)]
        // SAFETY: The function reads variables that do not change after boot.
        let shift = unsafe {
            match self {
                HugeOrder::Pmd => bindings::PMD_SHIFT(),
                HugeOrder::Pud => bindings::PUD_SHIFT(),
            }
        };
        1 << shift
    }

    /// A huge page is never empty.
    #[inline]
    pub fn is_empty(self) -> bool {
        false
    }

    /// Returns the number of base pages.
    #[inline]
    pub fn nr_pages(self) -> usize {
        self.len() >> PAGE_SHIFT
    }
}

/// The answer of [`huge_fault`](crate::mm::ops::VmOperations::huge_fault).
#[derive(Debug)]
#[must_use = "the answer of the handler"]
pub enum HugeAnswer<'a> {
    /// It is mapped.
    Inserted(Inserted<'a>),
    /// Try something smaller; in the end, [`fault`](crate::mm::ops::VmOperations::fault).
    Fallback,
}

impl HugeAnswer<'_> {
    /// Returns the answer to an insertion that was made, or that the architecture does not have.
    #[inline]
    fn of(placed: bool) -> Self {
        if placed {
            HugeAnswer::Inserted(Inserted::new())
        } else {
            HugeAnswer::Fallback
        }
    }
}

/// A page is accessed where a huge page could be.
pub struct HugeFault<O> {
    pub(super) context: Context<O>,
    order: HugeOrder,
}

impl<O: VmOperations> HugeFault<O> {
    /// # Safety
    ///
    /// `vmf` must be a fault that the kernel has called `huge_fault` for, with this order, and that
    /// this thread is handling; its VMA must have the operations `O` and live private data.
    #[inline]
    pub(in crate::mm::ops) unsafe fn from_raw(
        vmf: NonNull<bindings::vm_fault>,
        order: HugeOrder,
    ) -> Self {
        Self {
            // SAFETY: As the caller promises; the kernel holds the locks.
            context: unsafe { Context::new(vmf) },
            order,
        }
    }

    common_methods!();

    /// Returns the size that is asked for.
    #[inline]
    pub fn order(&self) -> HugeOrder {
        self.order
    }

    /// Returns the page offsets that a huge page at this place would cover, if it is all in the VMA.
    ///
    /// The kernel's own functions look at the first address only.
    pub fn pgoff_range(&self) -> Option<Range<usize>> {
        let len = self.order.len();
        let start = self.address() & !(len - 1);
        if !self.vma().contains_pages(start, len) {
            return None;
        }
        let first = self.vma().pgoff_at(start)?;
        Some(first..first + self.order.nr_pages())
    }

    /// Is it a write that a huge entry would not make possible, so that the same fault would come again
    /// without end?
    ///
    /// - The protection of the VMA does not allow writing yet: the kernel wants to see the first write
    ///   to each page, for `page_mkwrite`, for soft-dirty bits, or for userfaultfd.
    /// - It did not when an entry was made that is still there. An insertion leaves that as it is; the
    ///   kernel splits it if we fall back.
    #[inline]
    fn is_tracked_write(&self) -> bool {
        if !self.is_write() {
            return false;
        }
        let pud = self.order == HugeOrder::Pud;
        // SAFETY: The VMA is locked for reading, so its protection does not change. The fault is being
        // handled, and has an entry of that level.
        unsafe {
            !bindings::vma_page_prot_writable(self.vma().as_ptr())
                || bindings::rust_mm_fault_huge_is_occupied(self.context.as_ptr(), pud)
        }
    }
}

impl<O: VmOperations<Memory = Pfn>> HugeFault<O> {
    /// Maps frames by one entry, from the one with index `first` on, or falls back to something
    /// smaller.
    ///
    /// It falls back if the frames are not aligned as the addresses are, or if there are too few.
    ///
    /// What is mapped at an address must not depend on the size by which it is mapped.
    ///
    /// Frames that can be taken away ([`RevocableMemory`](crate::mm::revoke::RevocableMemory)) are not mapped like
    /// this: a revocation may miss a huge entry that the kernel is just copying.
    ///
    /// # Errors
    ///
    /// [`FaultError::Oom`] if there is not enough memory for page tables.
    pub fn insert_pfns(
        &self,
        pfns: PfnSlice<'_>,
        first: usize,
    ) -> Result<HugeAnswer<'_>, FaultError> {
        let nr_pages = self.order.nr_pages();
        let fits = first
            .checked_add(nr_pages)
            .is_some_and(|end| end <= pfns.nr_pages());
        if !fits || self.pgoff_range().is_none() || self.is_tracked_write() {
            return Ok(HugeAnswer::Fallback);
        }
        let pfn = pfns.start_pfn() + first;
        if pfn & (nr_pages - 1) != 0 {
            return Ok(HugeAnswer::Fallback);
        }
        let pud = self.order == HugeOrder::Pud;
        // SAFETY: The fault is being handled, under a lock that allows installing. The VMA is a PFNMAP
        // one which is not copy-on-write: `with_ops` has seen to that. The range is in the VMA, the
        // frame is aligned, and user space may have all of them.
        let placed = unsafe { insert::leaf_of_pfns(self.context.vmf, pfn, pud) }?;
        Ok(HugeAnswer::of(placed))
    }
}

impl<O: VmOperations<Memory = Ordinary>> HugeFault<O> {
    /// Maps a folio by one entry, or falls back to something smaller.
    ///
    /// It falls back if the folio does not have the size, or the VMA not the room, or if the folio has
    /// [too many references](Folio#references).
    ///
    /// # Errors
    ///
    /// [`FaultError::Oom`] if there is not enough memory for page tables.
    pub fn insert_folio(&self, folio: &Folio) -> Result<HugeAnswer<'_>, FaultError> {
        let order = folio.mappable_order();
        if order.is_none_or(|order| 1 << order != self.order.nr_pages())
            || self.pgoff_range().is_none()
        {
            return Ok(HugeAnswer::Fallback);
        }
        // A private mapping could not be written to afterwards: the kernel has no way to make a
        // private copy of a huge page that is a driver's.
        if !self.vma().is_shared() || self.is_tracked_write() {
            return Ok(HugeAnswer::Fallback);
        }
        let HugeOrder::Pmd = self.order else {
            return Ok(HugeAnswer::Fallback);
        };
        // SAFETY: The fault is being handled, under a lock that allows installing. The VMA is shared, and
        // the range is in it. The folio, which is borrowed, is of just this size.
        let placed = unsafe { insert::leaf_of_folio(self.context.vmf, folio) }?;
        Ok(HugeAnswer::of(placed))
    }
}
