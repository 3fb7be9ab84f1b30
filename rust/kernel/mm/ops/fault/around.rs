// SPDX-License-Identifier: GPL-2.0

//! Fault-around: mapping pages before they are accessed.

use crate::{
    bindings,
    mm::{
        memory::Folio,
        ops::{
            fault::Context,
            DataRef,
            DriverVmaInfo,
            Paged,
            VmOperations, //
        }, //
    },
    types::NotThreadSafe, //
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
    /// [too many references](Folio#references) are left out. Nothing is mapped before the region
    /// has its page table, which the first [`fault`](VmOperations::fault) there allocates.
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
        let mut batch = Batch::new(self.context.vmf, self.pgoffs.start);
        let mut count = 0;
        for pgoff in self.pgoffs() {
            batch.push(page(pgoff).and_then(|(folio, index)| folio.page(index)));
            if batch.is_full() || pgoff + 1 == self.pgoffs.end {
                // SAFETY: By the type invariants, this thread is handling the fault, under RCU.
                // The pages of the batch are for page offsets of `map_pages`. With `Paged` memory,
                // the VMA is not a PFNMAP one. The folios of the pages are borrowed for `'x`, which
                // outlasts this call, so they have references.
                let (mapped, done) = unsafe { batch.map() };
                count += mapped;
                if done {
                    self.done.set(true);
                }
            }
        }
        self.busy.set(false);
        count
    }
}

/// The most pages of a [`Batch`]: those of the kernel's default window, with pages of 4 KiB.
const BATCH: usize = 16;

/// Pages that are mapped together.
///
/// # Invariants
///
/// The first `len` elements of `pages` are initialised. `len` is at most [`BATCH`].
struct Batch {
    vmf: NonNull<bindings::vm_fault>,
    /// The page offset of the first page.
    pgoff: usize,
    /// Null for a page offset that is left out.
    pages: [MaybeUninit<*mut bindings::page>; BATCH],
    len: usize,
    _not_send: NotThreadSafe,
}

impl Batch {
    #[inline]
    fn new(vmf: NonNull<bindings::vm_fault>, pgoff: usize) -> Self {
        // INVARIANT: None of the elements needs to be initialised.
        Self {
            vmf,
            pgoff,
            pages: [const { MaybeUninit::uninit() }; BATCH],
            len: 0,
            _not_send: NotThreadSafe,
        }
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.len == BATCH
    }

    /// Adds the page for the next page offset, unless the batch is full.
    #[inline]
    fn push(&mut self, page: Option<NonNull<bindings::page>>) {
        if let Some(slot) = self.pages.get_mut(self.len) {
            slot.write(page.map_or(ptr::null_mut(), NonNull::as_ptr));
            // INVARIANT: The element was just initialised, and `len` was a valid index.
            self.len += 1;
        }
    }

    /// Maps the pages, and makes the batch one for the page offsets that follow.
    ///
    /// Returns the number of pages that were mapped, and whether the page of the fault is one of
    /// them.
    ///
    /// Not generic and not inlined: all drivers share it.
    ///
    /// # Safety
    ///
    /// - The kernel must have called `map_pages` for the fault `vmf`, with page offsets that
    ///   include those of the batch, and this thread must be handling it.
    /// - The VMA must not be a PFNMAP one.
    /// - The pages must be pages of folios that have references.
    #[inline(never)]
    unsafe fn map(&mut self) -> (usize, bool) {
        let (pgoff, len) = (self.pgoff, self.len);
        // INVARIANT: No element needs to be initialised. The caller has passed `BATCH` pages or
        // less.
        self.len = 0;
        self.pgoff = pgoff.wrapping_add(len);
        // SAFETY:
        // - By the safety requirements of this function, this thread is handling `vmf` in
        //   `map_pages`, for these page offsets, and the VMA is not a PFNMAP one.
        // - By the type invariants, the first `len` pages are initialised. By the safety
        //   requirements of this function, their folios have references.
        let mapped = unsafe {
            bindings::rust_mm_fault_around_map(
                self.vmf.as_ptr(),
                pgoff,
                self.pages.as_ptr().cast(),
                len as u32,
            )
        };
        // SAFETY: By the safety requirements of this function, `vmf` is valid. C does not change
        // the field.
        let fault = unsafe { (*self.vmf.as_ptr()).__bindgen_anon_1.pgoff };
        let index = fault.wrapping_sub(pgoff);
        (
            mapped.count_ones() as usize,
            index < len && mapped & (1 << index) != 0,
        )
    }
}
