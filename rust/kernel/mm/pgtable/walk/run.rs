// SPDX-License-Identifier: GPL-2.0

//! Runs of entries that are alike.

use super::{
    locked,
    raw::Table, //
};
use crate::{
    bindings,
    mm::pgtable::{
        Entry,
        Level,
        LockedEntry,
        State, //
    },
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    types::NotThreadSafe, //
};
use core::{
    mem::MaybeUninit,
    ops::Range, //
};

/// A run of neighbouring entries in a table of the lowest level that are alike, whose page table
/// lock is held.
///
/// They have the same [`State`], and the same bits that the methods return. A run ends where an
/// entry differs, at the end of the table, and at the end of the range that is walked, so the next
/// run may be like this one. The PFNs of the entries need not be consecutive:
/// [`pfns`](Self::pfns) and [`entries`](Self::entries) read each of them.
///
/// # Context
///
/// As for [`LockedEntry`].
///
/// # Invariants
///
/// - `range` consists of pages whose entries are in `table`, and is not empty.
/// - `first` is what the first of these entries is. They all have its kind and its flags.
pub struct LockedRun<'a> {
    table: &'a Table,
    range: Range<usize>,
    first: bindings::rust_pgtable_entry,
    _not_send: NotThreadSafe,
}

impl<'a> LockedRun<'a> {
    /// Returns the run that starts at an address of a table.
    ///
    /// # Safety
    ///
    /// - `start` must be a multiple of the page size, and not below the address that the table was
    ///   locked for.
    /// - `end` must be above `start`, a multiple of the page size, and not above the end of the
    ///   addresses that C is calling `pmd_entry` for.
    #[inline]
    pub(super) unsafe fn new(table: &'a Table, start: usize, end: usize) -> Self {
        // SAFETY: The safety requirements of this function are those of `run`.
        let (first, end) = unsafe { table.run(start, end) };
        // INVARIANT: By the safety requirements of this function, `table` has the entries up to
        // the `end` of before. C has returned how far they are like the first, which they are in
        // at least one page.
        Self {
            table,
            range: start..end,
            first,
            _not_send: NotThreadSafe,
        }
    }

    /// Returns the first entry of the run.
    #[inline]
    fn first(&self) -> Entry {
        Entry {
            start: self.range.start,
            end: self.range.start + PAGE_SIZE,
            level: Level::Pte,
            raw: self.first,
        }
    }

    /// Returns the first of the addresses that the run covers.
    #[inline]
    pub fn addr(&self) -> usize {
        self.range.start
    }

    /// Returns the addresses that the run covers.
    #[inline]
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Returns the length of [`range`](Self::range) in bytes, which is never zero.
    #[expect(clippy::len_without_is_empty)]
    #[inline]
    pub fn len(&self) -> usize {
        self.range.end - self.range.start
    }

    /// Returns the number of entries, which is never zero.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        self.len() >> PAGE_SHIFT
    }

    /// Returns the kind of the entries.
    #[inline]
    pub fn state(&self) -> State {
        self.first().state()
    }

    /// Returns whether the entries map memory.
    #[inline]
    pub fn is_present(&self) -> bool {
        self.first().is_present()
    }

    /// Returns whether user space may write through the entries.
    #[inline]
    pub fn is_writable(&self) -> bool {
        self.first().is_writable()
    }

    /// Returns whether the entries are dirty: see [`Entry::is_dirty`].
    #[inline]
    pub fn is_dirty(&self) -> bool {
        self.first().is_dirty()
    }

    /// Returns whether the entries are young: see [`Entry::is_young`].
    #[inline]
    pub fn is_young(&self) -> bool {
        self.first().is_young()
    }

    /// Returns whether the kernel counts the memory as part of this mapping: see
    /// [`Entry::is_normal`].
    #[inline]
    pub fn is_normal(&self) -> bool {
        self.first().is_normal()
    }

    /// Returns an iterator over the PFNs of the pages that the entries map.
    ///
    /// It is empty if they [map none](Self::is_present).
    ///
    /// # Context
    ///
    /// As for [`LockedEntry`].
    ///
    /// # Examples
    ///
    /// A walk that collects the PFNs of pages that can be written:
    ///
    /// ```
    /// use core::{convert::Infallible, ops::ControlFlow};
    /// use kernel::{
    ///     mm::{
    ///         pgtable::{
    ///             walk_page_range_vma,
    ///             LockedRun,
    ///             PageWalk, //
    ///         },
    ///         testing::*,
    ///     },
    ///     page::PAGE_SIZE, //
    /// };
    ///
    /// struct Writable(KVec<usize>);
    ///
    /// #[vtable]
    /// impl PageWalk for Writable {
    ///     type Break = Infallible;
    ///
    ///     fn pte_run(&mut self, run: &LockedRun<'_>) -> ControlFlow<Infallible> {
    ///         if run.is_writable() {
    ///             for pfn in run.pfns() {
    ///                 // Under the lock, nothing can be allocated: the rest is left out.
    ///                 let _ = self.0.push_within_capacity(pfn);
    ///             }
    ///         }
    ///         ControlFlow::Continue(())
    ///     }
    /// }
    ///
    /// let mm = UserMm::attach()?;
    /// let addr = mm.mmap_anonymous(4 * PAGE_SIZE)?;
    /// mm.write(addr, b"one")?;
    /// mm.write(addr + 2 * PAGE_SIZE, b"two")?;
    ///
    /// let mut writable = Writable(KVec::with_capacity(4, GFP_KERNEL)?);
    /// let guard = mm.current().mmap_read_lock();
    /// let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    /// walk_page_range_vma(vma, addr..addr + 4 * PAGE_SIZE, &mut writable)?;
    /// assert_eq!(writable.0.len(), 2);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn pfns(&self) -> Pfns<'_> {
        let next = match self.is_present() {
            true => self.range.start,
            false => self.range.end,
        };
        // INVARIANT: None of the PFNs has been read. If the entries are not present, none is left.
        Pfns {
            run: self,
            next,
            batch: [const { MaybeUninit::uninit() }; BATCH],
            read: 0..0,
        }
    }

    /// Returns an iterator that reads the entries one by one.
    ///
    /// For the PFNs alone, [`pfns`](Self::pfns) is faster.
    ///
    /// The hardware may set bits of entries meanwhile, so an entry can be dirty or young by now
    /// where the run is not.
    ///
    /// # Context
    ///
    /// As for [`LockedEntry`].
    ///
    /// # Examples
    ///
    /// A walk that looks for the address at which a PFN is mapped:
    ///
    /// ```
    /// use core::ops::ControlFlow;
    /// use kernel::{
    ///     mm::{
    ///         pgtable::{
    ///             walk_page_range_vma,
    ///             LockedRun,
    ///             PageWalk, //
    ///         },
    ///         testing::*,
    ///     },
    ///     page::PAGE_SIZE, //
    /// };
    ///
    /// struct Search(usize);
    ///
    /// #[vtable]
    /// impl PageWalk for Search {
    ///     type Break = usize;
    ///
    ///     fn pte_run(&mut self, run: &LockedRun<'_>) -> ControlFlow<usize> {
    ///         match run.entries().find(|entry| entry.pfn() == Some(self.0)) {
    ///             Some(entry) => ControlFlow::Break(entry.addr()),
    ///             None => ControlFlow::Continue(()),
    ///         }
    ///     }
    /// }
    ///
    /// let mm = UserMm::attach()?;
    /// let addr = mm.mmap_anonymous(PAGE_SIZE)?;
    /// let guard = mm.current().mmap_read_lock();
    /// let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    /// let found = walk_page_range_vma(vma, addr..addr + PAGE_SIZE, &mut Search(1))?;
    /// assert_eq!(found, None);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn entries(&self) -> impl ExactSizeIterator<Item = LockedEntry<'_>> {
        (0..self.nr_pages()).map(|index| {
            let start = self.range.start + index * PAGE_SIZE;
            let raw = match self.state() {
                // An empty entry does not change while the page table lock is held.
                State::None => self.first,
                // SAFETY: By the type invariants, the addresses of the range are those of pages
                // whose entries are in the table.
                _ => unsafe { self.table.read(start) },
            };
            locked(start..start + PAGE_SIZE, Level::Pte, raw)
        })
    }
}

/// How many PFNs are read together.
const BATCH: usize = 16;

/// An iterator over the PFNs of a run, which [`LockedRun::pfns`] returns.
///
/// # Invariants
///
/// - The elements of `batch` whose indices are in `read`, which is not above `BATCH`, are
///   initialised.
/// - `next` is the address of a page of the run, or the end of the run. If it is not the end, the
///   entries are present.
pub struct Pfns<'a> {
    run: &'a LockedRun<'a>,
    /// The address of the first page whose PFN is not in `batch`.
    next: usize,
    batch: [MaybeUninit<usize>; BATCH],
    read: Range<usize>,
}

impl Pfns<'_> {
    /// Reads the next PFNs, if there are any.
    #[inline(never)]
    fn fill(&mut self) {
        let left = (self.run.range.end - self.next) >> PAGE_SHIFT;
        let len = left.min(BATCH);
        let Some(out @ [_, ..]) = self.batch.get_mut(..len) else {
            return;
        };
        // SAFETY: By the type invariants, `next` is the address of a page of the run, whose entries
        // are present. It has at least `len` pages from there on, and `out` has `len` elements,
        // which is not zero. By its type invariants, the table has their entries.
        unsafe { self.run.table.pfns(self.next, out) };
        // INVARIANT: The elements were just initialised, and those of `len` pages were read.
        self.next += len << PAGE_SHIFT;
        self.read = 0..len;
    }
}

impl Iterator for Pfns<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.read.is_empty() {
            self.fill();
        }
        let pfn = self.batch.get(self.read.next()?)?;
        // SAFETY: The index was in `read`, so by the type invariants, the element is initialised.
        Some(unsafe { pfn.assume_init_read() })
    }

    /// As the default, without a look at the batch for each PFN: `sum()` and `for_each()` use it.
    #[inline]
    fn fold<B, F: FnMut(B, usize) -> B>(mut self, init: B, mut add: F) -> B {
        let mut folded = init;
        loop {
            if self.read.is_empty() {
                self.fill();
            }
            let Some(batch @ [_, ..]) = self.batch.get(self.read.clone()) else {
                return folded;
            };
            for pfn in batch {
                // SAFETY: The index is in `read`, so by the type invariants, the element is
                // initialised.
                folded = add(folded, unsafe { pfn.assume_init_read() });
            }
            self.read = 0..0;
        }
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = ((self.run.range.end - self.next) >> PAGE_SHIFT) + self.read.len();
        (left, Some(left))
    }
}

impl ExactSizeIterator for Pfns<'_> {}
