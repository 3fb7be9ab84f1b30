// SPDX-License-Identifier: GPL-2.0

//! Fault-around: mapping pages before they are accessed.

use crate::{
    bindings,
    mm::{
        memory::Folio,
        ops::{
            fault::Context,
            insert,
            DataRef,
            DriverVmaInfo,
            Paged,
            VmOperations, //
        }, //
    },
    page::{
        PAGE_MASK,
        PAGE_SHIFT, //
    },
    types::NotThreadSafe, //
};
use core::{
    cell::Cell,
    ops::Range,
    ptr::NonNull, //
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
    /// Whether the page table is locked.
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
    /// # Context
    ///
    /// Does not sleep, and `page` must not sleep: the lock of the page table, a spinlock, is held
    /// from the first page on. So take a lock of the driver's before the call, and if it is a
    /// mutex, with `try_lock`. A call from `page` does nothing.
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
        let mut table = None;
        let mut count = 0;
        for pgoff in self.pgoffs() {
            let Some(page) = page(pgoff).and_then(|(folio, index)| folio.page(index)) else {
                continue;
            };
            let table = match &table {
                Some(table) => table,
                None => {
                    // SAFETY: By the type invariants, this thread is handling the fault, under RCU,
                    // while `table` exists. `pgoffs.start` is one of the page offsets of
                    // `map_pages`.
                    match unsafe { PageTable::lock(self.context.vmf, self.pgoffs.start) } {
                        Some(locked) => table.insert(locked),
                        None => break,
                    }
                }
            };
            // SAFETY: `pgoff` is one of the page offsets of `map_pages`, and not below the first.
            // With `Paged` memory, the VMA is not a PFNMAP one. `page` is a page of a folio that is
            // borrowed, so it has a reference.
            let mapped = unsafe { table.map(pgoff, page) };
            count += usize::from(mapped);
            if mapped && pgoff == self.pgoff() {
                self.done.set(true);
            }
        }
        drop(table);
        self.busy.set(false);
        count
    }
}

/// The locked page table of a fault.
///
/// # Invariants
///
/// - This thread is handling the fault `vmf`, and holds the lock of the page table that maps the
///   address of the fault.
/// - `first` is the entry of page offset `first_pgoff` in that page table.
struct PageTable {
    vmf: NonNull<bindings::vm_fault>,
    first: NonNull<bindings::pte_t>,
    first_pgoff: usize,
    _not_send: NotThreadSafe,
}

// Not generic and not inlined: modules cannot call the C functions that `lock` and `drop` call.
impl PageTable {
    /// Locks the page table of a fault, if there is one.
    ///
    /// # Safety
    ///
    /// This thread must be handling the fault `vmf` until the result is dropped. `first_pgoff` must
    /// be one of the page offsets that the kernel has called `map_pages` with.
    #[inline(never)]
    unsafe fn lock(vmf: NonNull<bindings::vm_fault>, first_pgoff: usize) -> Option<Self> {
        // SAFETY: By the safety requirements of this function, this thread is handling `vmf`.
        let addr = unsafe { address_of(vmf, first_pgoff) };
        // SAFETY: By the safety requirements of this function, this thread is handling `vmf` in
        // `map_pages`. `addr` is an address in its VMA, and the PMD of the fault is above it.
        let first = unsafe {
            let fixed = &(*vmf.as_ptr()).__bindgen_anon_1;
            bindings::pte_offset_map_lock(
                (*fixed.vma).vm_mm,
                (*vmf.as_ptr()).pmd,
                addr,
                &raw mut (*vmf.as_ptr()).ptl,
            )
        };
        let first = NonNull::new(first)?;
        // INVARIANT: C has just locked the page table, and `first` is the entry of `addr`.
        Some(Self {
            vmf,
            first,
            first_pgoff,
            _not_send: NotThreadSafe,
        })
    }

    /// Maps a page, unless something is mapped there, and returns whether it has.
    ///
    /// # Safety
    ///
    /// - `pgoff` must be one of the page offsets that the kernel has called `map_pages` with, and
    ///   not below `first_pgoff`.
    /// - The VMA must not be a PFNMAP one.
    /// - `page` must be a page of a folio that has a reference.
    unsafe fn map(&self, pgoff: usize, page: NonNull<bindings::page>) -> bool {
        // SAFETY: By the type invariants, this thread is handling `vmf`.
        let addr = unsafe { address_of(self.vmf, pgoff) };
        // SAFETY: By the type invariants, the page table is locked. By the safety requirements of
        // this function, `pgoff` has an entry in it, the VMA is not a PFNMAP one, and the folio of
        // `page` has a reference.
        unsafe {
            let pte = self.first.add(pgoff - self.first_pgoff);
            insert::around_page(self.vmf, pte, page, addr)
        }
    }
}

impl Drop for PageTable {
    #[inline(never)]
    fn drop(&mut self) {
        // SAFETY: By the type invariants, this thread holds the lock, and `first` is an entry of
        // the page table.
        unsafe { bindings::pte_unmap_unlock(self.first.as_ptr(), (*self.vmf.as_ptr()).ptl) };
    }
}

/// Returns the address of the page with page offset `pgoff`, which is near that of the fault.
///
/// # Safety
///
/// This thread must be handling the fault `vmf`.
unsafe fn address_of(vmf: NonNull<bindings::vm_fault>, pgoff: usize) -> usize {
    // SAFETY: By the safety requirements of this function, `vmf` is valid. C does not change these
    // fields.
    let fixed = unsafe { &(*vmf.as_ptr()).__bindgen_anon_1 };
    // This does not overflow: the kernel passes page offsets whose addresses are in the VMA.
    (fixed.address & PAGE_MASK).wrapping_add(pgoff.wrapping_sub(fixed.pgoff) << PAGE_SHIFT)
}
