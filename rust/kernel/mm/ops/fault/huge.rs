// SPDX-License-Identifier: GPL-2.0

//! Faults that can be answered with a PMD or PUD mapping.

use crate::{
    bindings,
    mm::{
        memory::{
            pfn::Insertion,
            Folio,
            Frames, //
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

/// The size of a PMD or PUD mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HugeOrder {
    /// The size that one PMD maps.
    Pmd,
    /// The size that one PUD maps.
    Pud,
}

impl HugeOrder {
    /// Returns the size for an order of the kernel's, if it is one of these.
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
        // SAFETY: C only reads variables that do not change after boot.
        let shift = unsafe {
            match self {
                HugeOrder::Pmd => bindings::PMD_SHIFT(),
                HugeOrder::Pud => bindings::PUD_SHIFT(),
            }
        };
        1 << shift
    }

    /// Returns `false`: a PMD or PUD mapping is never empty.
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
    /// The driver has installed a leaf.
    Inserted(Inserted<'a>),
    /// The kernel tries the next smaller size, and [`fault`](crate::mm::ops::VmOperations::fault)
    /// in the end.
    Fallback,
}

impl HugeAnswer<'_> {
    /// Returns the answer for an insertion: a fallback if the architecture has no such leaves.
    #[inline]
    fn of(placed: bool) -> Self {
        if placed {
            HugeAnswer::Inserted(Inserted::new())
        } else {
            HugeAnswer::Fallback
        }
    }
}

/// The context of [`huge_fault`](VmOperations::huge_fault): an access to a page that is not mapped,
/// where a PMD or PUD mapping is possible.
///
/// The access can also be a write to a leaf that is mapped read-only.
pub struct HugeFault<O> {
    pub(super) context: Context<O>,
    order: HugeOrder,
    /// The result of `pgoff_range`, which the layer needs as well as the driver.
    pgoffs: Option<Range<usize>>,
}

impl<O: VmOperations> HugeFault<O> {
    /// # Safety
    ///
    /// `vmf` must be a fault that the kernel has called `huge_fault` for, with this order, and that
    /// this thread is handling while the value exists. Its VMA must have the operations `O` and
    /// live private data.
    #[inline]
    pub(in crate::mm::ops) unsafe fn from_raw(
        vmf: NonNull<bindings::vm_fault>,
        order: HugeOrder,
    ) -> Self {
        let mut fault = Self {
            // SAFETY: By the safety requirements of this function, this thread is handling `vmf`,
            // and the VMA has the operations `O` and live private data. The kernel calls
            // `huge_fault` with the VMA lock or the mmap lock held, where sleeping is allowed.
            context: unsafe { Context::new(vmf) },
            order,
            pgoffs: None,
        };
        let len = order.len();
        let start = fault.address() & !(len - 1);
        if fault.vma().contains_pages(start, len) {
            fault.pgoffs = fault
                .vma()
                .pgoff_at(start)
                .map(|first| first..first + order.nr_pages());
        }
        fault
    }

    common_methods!();

    /// Returns the size that the kernel asks for.
    #[inline]
    pub fn order(&self) -> HugeOrder {
        self.order
    }

    /// Returns the page offsets that a leaf of this size at the address of the fault maps, or
    /// [`None`] if it would extend past the VMA.
    ///
    /// The C functions that insert a leaf check only its first address against the VMA.
    #[inline]
    pub fn pgoff_range(&self) -> Option<Range<usize>> {
        self.pgoffs.clone()
    }

    /// Returns whether the access is a write that a leaf would not permit, so that the fault would
    /// be repeated endlessly.
    ///
    /// - The protection of the VMA does not permit writing yet (write-notify): the kernel wants to
    ///   see the first write to each page, for `page_mkwrite`, `pfn_mkwrite`, soft-dirty bits, or
    ///   userfaultfd.
    /// - The protection did not permit it when an entry was made that is still there. An insertion
    ///   leaves the entry as it is. After a fallback, the kernel splits it.
    #[inline]
    fn is_tracked_write(&self) -> bool {
        if !self.is_write() {
            return false;
        }
        let pud = self.order == HugeOrder::Pud;
        // SAFETY: By the type invariants of the context, the VMA is locked at least for reading, so
        // its protection does not change, and this thread is handling the fault. The kernel has set
        // the pointer to the entry of this level.
        unsafe {
            !bindings::vma_page_prot_writable(self.vma().as_ptr())
                || bindings::rust_mm_fault_huge_is_occupied(self.context.as_ptr(), pud)
        }
    }
}

impl<O: VmOperations<Memory = Pfn>> HugeFault<O> {
    /// Maps PFNs with one leaf, or falls back to a smaller size.
    ///
    /// `first` is the index in `pfns` of the PFN for the first address of the leaf, whose page
    /// offset is the start of [`pgoff_range`](Self::pgoff_range). An address must get the same PFN
    /// here and in [`fault`](VmOperations::fault), at any size of the leaf.
    ///
    /// It falls back if
    ///
    /// - `pfns` does not have all the PFNs for the leaf,
    /// - the first PFN is not aligned to the size of the leaf,
    /// - the leaf would extend past the VMA,
    /// - the access is a write, and the kernel tracks first writes to pages (write-notify) or an
    ///   entry is there already,
    /// - the architecture has no such leaves,
    /// - the PFNs are coherent memory of a device,
    /// - the PFNs are [revocable](crate::mm::revoke::RevocableMemory), and the leaf would be a PUD
    ///   one, or the mapping lacks one of these:
    ///   - [`DONTCOPY`](crate::mm::flags::SetFlags::DONTCOPY). `fork` may copy a leaf during a
    ///     revocation, which does not find the copy.
    ///   - IO, as with `on_io_fault`. With it, user space cannot clear DONTCOPY.
    ///   - a file with `get_unmapped_area`, which a driver has for leaves anyway. `mremap` could
    ///     hide a leaf as `fork` can, so the layer looks for leaves when it moves a VMA. Of such
    ///     files, it moves one VMA at a time.
    ///
    /// After `mremap`, an access is a fault again.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`FaultError::Oom`] if there is not enough memory for page tables.
    /// - [`FaultError::SigBus`] if the PFNs are revocable, and are revoked or could not be revoked
    ///   from this mapping.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{
    ///     ops::{FaultError, HugeAnswer, HugeFault, Pfn, VmOperations},
    ///     DeviceMemory, //
    /// };
    ///
    /// /// The `huge_fault` of a driver that maps the memory of a device.
    /// fn huge_fault<'a, O>(
    ///     vmf: &'a HugeFault<O>,
    ///     memory: &DeviceMemory,
    /// ) -> Result<HugeAnswer<'a>, FaultError>
    /// where
    ///     O: VmOperations<Memory = Pfn>,
    /// {
    ///     let Some(pgoffs) = vmf.pgoff_range() else {
    ///         return Ok(HugeAnswer::Fallback);
    ///     };
    ///     vmf.insert_pfns(memory.pfns().all(), pgoffs.start)
    /// }
    /// ```
    pub fn insert_pfns<F: Frames>(
        &self,
        pfns: F,
        first: usize,
    ) -> Result<HugeAnswer<'_>, FaultError> {
        // SAFETY: The VMA is locked while this thread handles the fault, and keeps its file open.
        let keeps_leaves = || unsafe { bindings::rust_mm_vma_keeps_leaves(self.vma().as_ptr()) };
        // A PUD leaf that is split is cleared, and the code that zaps a part of its range then
        // takes a leaf that a fault has just put there for a broken table.
        if F::REVOCABLE && (self.order == HugeOrder::Pud || !keeps_leaves()) {
            return Ok(HugeAnswer::Fallback);
        }
        // A leaf has the protection of the VMA.
        if pfns.ram_mode().is_some() {
            return Ok(HugeAnswer::Fallback);
        }
        let (pfns, _section) = pfns.enter(Insertion(()), self.vma().mapping())?;
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
        // SAFETY:
        // - By the type invariants of the context, this thread is handling the fault, with the VMA
        //   lock or the mmap lock held.
        // - With `Pfn` memory, the VMA is a PFNMAP one, which is not copy-on-write: `with_ops` has
        //   checked that. It has all addresses of the leaf.
        // - `pfn` is aligned. By the type invariants of `pfns`, user space may access all the PFNs
        //   until `_section` is dropped.
        let placed = unsafe { insert::leaf_of_pfns(self.context.vmf, pfn, pud) }?;
        Ok(HugeAnswer::of(placed))
    }
}

impl<O: VmOperations<Memory = Ordinary>> HugeFault<O> {
    /// Maps a folio with one leaf, or falls back to a smaller size.
    ///
    /// It falls back if
    ///
    /// - the folio does not have the size of the leaf, or that is the size of a PUD mapping,
    /// - the folio has [too many references](Folio#references),
    /// - the leaf would extend past the VMA,
    /// - the mapping is private,
    /// - the access is a write, and the kernel tracks first writes to pages (write-notify) or an
    ///   entry is there already,
    /// - the architecture has no such leaves.
    ///
    /// The mapping takes a reference to the folio.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// [`FaultError::Oom`] if there is not enough memory for page tables.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{
    ///     ops::{FaultError, HugeAnswer, HugeFault, Ordinary, VmOperations},
    ///     Folio, //
    /// };
    ///
    /// /// The `huge_fault` of a driver with one folio, which it maps at page offset 0.
    /// fn huge_fault<'a, O>(
    ///     vmf: &'a HugeFault<O>,
    ///     folio: &Folio,
    /// ) -> Result<HugeAnswer<'a>, FaultError>
    /// where
    ///     O: VmOperations<Memory = Ordinary>,
    /// {
    ///     match vmf.pgoff_range() {
    ///         Some(pgoffs) if pgoffs.start == 0 => vmf.insert_folio(folio),
    ///         _ => Ok(HugeAnswer::Fallback),
    ///     }
    /// }
    /// ```
    pub fn insert_folio(&self, folio: &Folio) -> Result<HugeAnswer<'_>, FaultError> {
        let order = folio.mappable_order();
        if order.is_none_or(|order| 1 << order != self.order.nr_pages())
            || self.pgoff_range().is_none()
        {
            return Ok(HugeAnswer::Fallback);
        }
        // A private mapping could not be written to afterwards: the kernel cannot make a
        // copy-on-write page from a leaf of a driver's folio.
        if !self.vma().is_shared() || self.is_tracked_write() {
            return Ok(HugeAnswer::Fallback);
        }
        let HugeOrder::Pmd = self.order else {
            return Ok(HugeAnswer::Fallback);
        };
        // SAFETY: By the type invariants of the context, this thread is handling the fault, with
        // the VMA lock or the mmap lock held. With `Ordinary` memory, the VMA is neither a PFNMAP
        // nor a MIXEDMAP one. It is shared, and has all addresses of the leaf. `folio` is borrowed,
        // so it has a reference, and it has the size of the leaf.
        let placed = unsafe { insert::leaf_of_folio(self.context.vmf, folio) }?;
        Ok(HugeAnswer::of(placed))
    }
}
