// SPDX-License-Identifier: GPL-2.0

//! Fault-around: pages that are mapped before they are accessed.

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

/// A page is read that is not there, and the driver may map what it has around it.
///
/// # Invariants
///
/// - As the context's, but for sleeping: the RCU read lock is held, so it is not allowed.
/// - `pgoffs` are page offsets of the VMA, all in the one page table that also maps the address of
///   the fault.
pub struct FaultAround<O> {
    context: Context<O>,
    pgoffs: Range<usize>,
    /// Is the page of the fault itself there?
    done: Cell<bool>,
    /// Is the page table locked?
    busy: Cell<bool>,
}

impl<O: VmOperations> FaultAround<O> {
    /// # Safety
    ///
    /// `vmf` must be a fault that the kernel has called `map_pages` for, with these page offsets, and
    /// that this thread is handling; its VMA must have the operations `O` and live private data.
    #[inline]
    pub(in crate::mm::ops) unsafe fn from_raw(
        vmf: NonNull<bindings::vm_fault>,
        pgoffs: Range<usize>,
    ) -> Self {
        // INVARIANT: As the caller promises.
        Self {
            // SAFETY: As the caller promises, but for sleeping: neither the context nor its view of
            // the VMA, which can sleep, are given out.
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

    /// Returns the data of the VMA; with [`PerFile`](crate::mm::ops::PerFile), the device.
    #[inline]
    pub fn data(&self) -> DataRef<'_, O> {
        self.vma().data()
    }

    /// Returns the page offset in the file of the page that is read.
    #[inline]
    pub fn pgoff(&self) -> usize {
        self.context.fixed().pgoff
    }

    /// Returns the page offsets of the pages that may be mapped. That of the page which is read is
    /// one of them.
    #[inline]
    pub fn pgoffs(&self) -> Range<usize> {
        self.pgoffs.clone()
    }

    /// Has the page been mapped that is read? Then there is no call of
    /// [`fault`](VmOperations::fault).
    #[inline]
    pub(in crate::mm::ops) fn is_done(&self) -> bool {
        self.done.get()
    }
}

impl<O: VmOperations<Memory: Paged>> FaultAround<O> {
    /// Maps pages: `page` is asked for each of [`pgoffs`](Self::pgoffs), in order, and answers with a
    /// folio and the index of a page in it, or with nothing.
    ///
    /// Returns how many were mapped. Where something is mapped already, that stays. Each mapping takes a
    /// reference; a folio that has [too many](Folio#references) is left out. Nothing is mapped before the
    /// first page table of the region exists, which the first `fault` there makes.
    ///
    /// # Context
    ///
    /// Must not sleep, nor may `page`: from the first page on, the lock of the page table is held
    /// (a spinlock). So a lock of the driver's is best taken around the call; a mutex by `try_lock`.
    /// Called by `page`, it does nothing.
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
                    // SAFETY: By the type invariants, the fault is being handled on this thread,
                    // under RCU.
                    match unsafe { PageTable::lock(self.context.vmf, self.pgoffs.start) } {
                        Some(locked) => table.insert(locked),
                        None => break,
                    }
                }
            };
            // SAFETY: The page offset is one of the page table's, and the page that of a folio with
            // a reference, in a VMA that is not a PFNMAP one.
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

/// The page table of a fault, locked.
///
/// # Invariants
///
/// `first` is the entry of page offset `first_pgoff`, in the page table that maps the address of the
/// fault `vmf`, of which this value holds the lock. The fault is being handled on this thread.
struct PageTable {
    vmf: NonNull<bindings::vm_fault>,
    first: NonNull<bindings::pte_t>,
    first_pgoff: usize,
    _not_send: NotThreadSafe,
}

// Not generic, and not inlined: modules cannot call what `lock` and its `drop` call.
impl PageTable {
    /// Locks the page table, if there is one.
    ///
    /// # Safety
    ///
    /// `vmf` must be a fault that is being handled on this thread until the result is dropped;
    /// `first_pgoff` must be one of the page offsets that the kernel has called `map_pages` with.
    #[inline(never)]
    unsafe fn lock(vmf: NonNull<bindings::vm_fault>, first_pgoff: usize) -> Option<Self> {
        // SAFETY: The fault is being handled, the caller says.
        let addr = unsafe { address_of(vmf, first_pgoff) };
        // SAFETY: The PMD and the VMA are those of the fault, which is locked, and the page table is
        // that of an address in the VMA.
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
        // INVARIANT: Just locked.
        Some(Self {
            vmf,
            first,
            first_pgoff,
            _not_send: NotThreadSafe,
        })
    }

    /// Maps a page, unless there is something.
    ///
    /// # Safety
    ///
    /// - `pgoff` must be one that the kernel has called `map_pages` with, not below `first_pgoff`.
    /// - The VMA must not be a PFNMAP one.
    /// - `page` must be a page of a folio that has a reference.
    unsafe fn map(&self, pgoff: usize, page: NonNull<bindings::page>) -> bool {
        // SAFETY: By the type invariants, the fault is being handled.
        let addr = unsafe { address_of(self.vmf, pgoff) };
        // SAFETY: The kernel calls with page offsets of a single page table, which is locked.
        unsafe {
            let pte = self.first.add(pgoff - self.first_pgoff);
            insert::around_page(self.vmf, pte, page, addr)
        }
    }
}

impl Drop for PageTable {
    #[inline(never)]
    fn drop(&mut self) {
        // SAFETY: By the type invariants, it is ours to unlock.
        unsafe { bindings::pte_unmap_unlock(self.first.as_ptr(), (*self.vmf.as_ptr()).ptl) };
    }
}

/// Returns the address of a page offset near that of the fault.
///
/// # Safety
///
/// The fault must be being handled.
unsafe fn address_of(vmf: NonNull<bindings::vm_fault>, pgoff: usize) -> usize {
    // SAFETY: As the caller promises.
    let fixed = unsafe { &(*vmf.as_ptr()).__bindgen_anon_1 };
    // The kernel calls with page offsets whose addresses are in the VMA.
    (fixed.address & PAGE_MASK).wrapping_add(pgoff.wrapping_sub(fixed.pgoff) << PAGE_SHIFT)
}
