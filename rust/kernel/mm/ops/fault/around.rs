// SPDX-License-Identifier: GPL-2.0

//! Fault-around: mapping pages before they are accessed.

use crate::{
    bindings,
    mm::{
        memory::{
            Folio,
            Slots, //
        },
        ops::{
            fault::Context,
            DataRef,
            DriverVmaInfo,
            Paged,
            VmOperations, //
        }, //
    },
    prelude::*, //
};
use core::{
    cell::Cell,
    mem::MaybeUninit,
    ops::Range,
    ptr::{
        self,
        NonNull, //
    }, //
};

/// The context of [`map_pages`](VmOperations::map_pages): a read of a page that is not mapped,
/// around which the driver may map pages.
///
/// # Invariants
///
/// - The invariants of `Context` hold, except that sleeping is not allowed: the RCU read lock is
///   held.
/// - `pgoffs` are page offsets of the VMA, and the page table that maps the address of the fault
///   has the entries of all of them.
pub struct FaultAround<O> {
    context: Context<O>,
    pgoffs: Range<usize>,
    /// Whether the page of the fault itself has been mapped.
    done: Cell<bool>,
    /// Whether pages are being mapped.
    busy: Cell<bool>,
}

impl<O: VmOperations> FaultAround<O> {
    /// # Safety
    ///
    /// `vmf` must be a fault that the kernel has called `map_pages` for, with these page offsets,
    /// and that this thread is handling while the value exists. Its VMA must have the operations
    /// `O` and live private data.
    #[inline]
    pub(in crate::mm::ops) unsafe fn from_raw(
        vmf: NonNull<bindings::vm_fault>,
        pgoffs: Range<usize>,
    ) -> Self {
        // INVARIANT: By the safety requirements of this function, `pgoffs` are those that the
        // kernel has called `map_pages` with: all of them in the VMA and in one page table.
        Self {
            // SAFETY: By the safety requirements of this function, this thread is handling `vmf`,
            // and the VMA has the operations `O` and live private data. The kernel calls
            // `map_pages` with the VMA lock or the mmap lock held. Sleeping is not allowed, so this
            // type gives out neither the context nor its `DriverVma`, which sleeps.
            context: unsafe { Context::new(vmf) },
            pgoffs,
            done: Cell::new(false),
            busy: Cell::new(false),
        }
    }

    /// Returns the VMA.
    #[inline]
    pub fn vma(&self) -> &DriverVmaInfo<O> {
        self.context.vma()
    }

    /// Returns the data of the VMA; with [`PerFile`](crate::mm::ops::PerFile) data, the device.
    #[inline]
    pub fn data(&self) -> DataRef<'_, O> {
        self.vma().data()
    }

    /// Returns the page offset in the file of the page that is read.
    #[inline]
    pub fn pgoff(&self) -> usize {
        self.context.fixed().pgoff
    }

    /// Returns the page offsets of the pages that may be mapped.
    ///
    /// The range includes the page that is read.
    #[inline]
    pub fn pgoffs(&self) -> Range<usize> {
        self.pgoffs.clone()
    }

    /// Returns whether the page that is read has been mapped, so that the kernel need not call
    /// [`fault`](VmOperations::fault).
    #[inline]
    pub(in crate::mm::ops) fn is_done(&self) -> bool {
        self.done.get()
    }
}

impl<O: VmOperations<Memory: Paged>> FaultAround<O> {
    /// Maps the pages that `page` returns, and returns how many it has mapped.
    ///
    /// This calls `page` for each of [`pgoffs`](Self::pgoffs), in order. `page` returns a folio and
    /// the index of a page in it, or [`None`] for a page offset that is left out.
    ///
    /// If something is mapped for a page offset already, it remains mapped. Each page that is
    /// mapped takes a reference to its folio. Pages whose memory is broken or whose folio has
    /// [too many references](Folio#references) are left out.
    ///
    /// The pages are mapped some at a time, so that the lock of the page table is taken, and the
    /// pages are counted, once for all of them.
    ///
    /// # Context
    ///
    /// Does not sleep, and `page` must not sleep: the RCU read lock is held. So take a lock of the
    /// driver's before the call, and if it is a mutex, with `try_lock`. A call from `page` does
    /// nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::{
    ///         ops::{FaultAround, Ordinary, VmOperations},
    ///         Folio, //
    ///     },
    ///     sync::{aref::ARef, Mutex}, //
    /// };
    ///
    /// /// The `map_pages` of a driver that allocates its pages when they are accessed.
    /// fn map_pages<O>(vmf: &FaultAround<O>, pages: &Mutex<KVec<Option<ARef<Folio>>>>)
    /// where
    ///     O: VmOperations<Memory = Ordinary>,
    /// {
    ///     // If another thread holds the mutex, each page has a fault of its own.
    ///     let Some(pages) = pages.try_lock() else {
    ///         return;
    ///     };
    ///     vmf.map(|pgoff| Some((pages.get(pgoff)?.as_deref()?, 0)));
    /// }
    /// ```
    pub fn map<'x>(&self, mut page: impl FnMut(usize) -> Option<(&'x Folio, usize)>) -> usize {
        if self.busy.replace(true) {
            return 0;
        }
        let mut count = 0;
        let mut pgoff = self.pgoffs.start;
        while pgoff < self.pgoffs.end {
            let mut pages = [const { MaybeUninit::uninit() }; BATCH];
            let len = (self.pgoffs.end - pgoff).min(BATCH);
            let mut next = pgoff;
            let batch = pages.get_mut(..len).unwrap_or_default();
            for slot in batch.iter_mut() {
                let page = page(next).and_then(|(folio, index)| folio.page(index));
                slot.write(page.map_or(ptr::null_mut(), NonNull::as_ptr));
                // This does not wrap: `next` is below the end of `pgoffs`.
                next = next.wrapping_add(1);
            }
            // SAFETY:
            // - By the type invariants, this thread is handling the fault, under RCU, and the page
            //   offsets are ones of `map_pages`. With `Paged` memory, the VMA is not a PFNMAP one.
            // - All elements of `batch` were just initialised, and there are from 1 to `BATCH`.
            // - The folios of the pages are borrowed for `'x`, which outlasts this call, so they
            //   have references.
            let mapped = unsafe { map_batch(self.context.vmf, pgoff, batch) };
            count += mapped.count_ones() as usize;
            let fault = self.pgoff().wrapping_sub(pgoff);
            if fault < len && mapped & (1 << fault) != 0 {
                self.done.set(true);
            }
            pgoff = next;
        }
        self.busy.set(false);
        count
    }

    /// Maps the pages that slots have, and returns how many it has mapped.
    ///
    /// It maps nothing if the file of the VMA does not have the address space `mapping`, unless
    /// that is null. Other than that, this is [`map`](Self::map).
    ///
    /// # Safety
    ///
    /// If pages leave a slot during the call, they must be unmapped from `mapping`, from the page
    /// offset that is the index of the slot.
    pub(in crate::mm) unsafe fn map_slots(
        &self,
        slots: &Slots,
        mapping: *mut bindings::address_space,
    ) -> usize {
        if !self.context.maps(mapping) {
            return 0;
        }
        let mut count = 0;
        let mut pgoff = self.pgoffs.start;
        for slots in slots.within(self.pgoffs()).chunks(SLOTS_AT_ONCE) {
            // SAFETY:
            // - By the type invariants, this thread is handling the fault, under RCU, and the page
            //   offsets are ones of `map_pages`. With `Paged` memory, the VMA is not a PFNMAP one.
            // - There are from 1 to `SLOTS_AT_ONCE` slots, which are for the page offsets from
            //   `pgoff` on. By the safety requirements of this function, the pages that leave them
            //   are unmapped from the VMA.
            let mapped = unsafe {
                bindings::rust_mm_fault_around_map(
                    self.context.as_ptr(),
                    pgoff,
                    slots.as_ptr().cast(),
                    slots.len() as c_uint,
                )
            };
            count += mapped.count_ones() as usize;
            let fault = self.pgoff().wrapping_sub(pgoff);
            if fault < slots.len() && mapped & (1 << fault) != 0 {
                self.done.set(true);
            }
            // This does not wrap: it is at most the end of `pgoffs`.
            pgoff = pgoff.wrapping_add(slots.len());
        }
        count
    }
}

/// The most slots whose pages are mapped together: as many as C returns bits for.
const SLOTS_AT_ONCE: usize = usize::BITS as usize;

/// The most pages that are mapped together: those of the kernel's default window, with pages of
/// 4 KiB.
const BATCH: usize = 16;

/// Maps pages at consecutive page offsets, the first one at `pgoff`, unless something is mapped
/// there, and returns the set of those that were mapped: bit 0 stands for the first one.
///
/// A null pointer stands for a page offset that is left out.
///
/// # Safety
///
/// - The kernel must have called `map_pages` for the fault `vmf`, with page offsets that include
///   those of the pages, and this thread must be handling it.
/// - The VMA must not be a PFNMAP one.
/// - There must be from 1 to [`BATCH`] pages, all of which must be initialised. They must be pages
///   of folios that have references.
#[inline]
unsafe fn map_batch(
    vmf: NonNull<bindings::vm_fault>,
    pgoff: usize,
    pages: &[MaybeUninit<*mut bindings::page>],
) -> usize {
    // SAFETY: By the safety requirements of this function, this thread is handling `vmf` in
    // `map_pages`, for these page offsets, and the VMA is not a PFNMAP one. The pages are
    // initialised, fit into a `c_uint`, and their folios have references.
    unsafe {
        bindings::rust_mm_fault_around_map(
            vmf.as_ptr(),
            pgoff,
            pages.as_ptr().cast(),
            pages.len() as c_uint,
        )
    }
}
