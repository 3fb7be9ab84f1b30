// SPDX-License-Identifier: GPL-2.0

//! Tests of runs of entries, and of tables that change while a walk is on its way to them.

use super::*;
#[cfg(all(CONFIG_PT_RECLAIM, CONFIG_TRANSPARENT_HUGEPAGE))]
use crate::{
    mm::{
        pgtable::FaultAccess,
        tests::threads::elsewhere,
        MmWithUser, //
    },
    sync::aref::ARef, //
};
use core::{
    convert::Infallible,
    ops::Range, //
};

/// What a run says, with pages of the walked range in place of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Said {
    pages: (usize, usize),
    state: State,
    writable: bool,
    dirty: bool,
    young: bool,
    normal: bool,
}

impl Said {
    fn of(pages: Range<usize>, state: State) -> Self {
        Self {
            pages: (pages.start, pages.end),
            state,
            writable: false,
            dirty: false,
            young: false,
            normal: false,
        }
    }

    /// Pages that were written to.
    fn written(pages: Range<usize>) -> Self {
        Self {
            writable: true,
            dirty: true,
            young: true,
            normal: true,
            ..Self::of(pages, State::Present)
        }
    }
}

/// A walker that records runs, and the entries that each of them consists of.
///
/// It allocates nothing, since it is called under a spinlock.
struct Runs {
    start: usize,
    runs: KVec<Said>,
    /// The PFNs of the entries, in order; 0 for entries without one.
    pfns: KVec<usize>,
    /// Whether an entry was unlike its run.
    unlike: bool,
    /// The number of runs after which the walk stops.
    stop_after: usize,
}

impl Runs {
    fn new(start: usize) -> Result<Self> {
        Ok(Self {
            start,
            runs: KVec::with_capacity(16, GFP_KERNEL)?,
            pfns: KVec::with_capacity(512, GFP_KERNEL)?,
            unlike: false,
            stop_after: usize::MAX,
        })
    }
}

#[vtable]
impl PageWalk for Runs {
    type Break = usize;

    fn pte_run(&mut self, run: &LockedRun<'_>) -> ControlFlow<usize> {
        let page = |addr: usize| (addr - self.start) / PAGE_SIZE;
        let said = Said {
            pages: (page(run.addr()), page(run.range().end)),
            state: run.state(),
            writable: run.is_writable(),
            dirty: run.is_dirty(),
            young: run.is_young(),
            normal: run.is_normal(),
        };
        self.unlike |= run.len() != run.nr_pages() * PAGE_SIZE
            || run.is_present() != (run.state() == State::Present)
            || run.entries().len() != run.nr_pages();
        // The iterator over the PFNs finds those that the entries have, in order.
        let mut pfns = run.pfns();
        let mut left = if run.is_present() { run.nr_pages() } else { 0 };
        let mut next = run.addr();
        for entry in run.entries() {
            self.unlike |= entry.range() != (next..next + PAGE_SIZE)
                || entry.level() != Level::Pte
                || entry.state() != run.state()
                || entry.is_writable() != run.is_writable()
                || entry.is_normal() != run.is_normal();
            next += PAGE_SIZE;
            let _ = self.pfns.push_within_capacity(entry.pfn().unwrap_or(0));
            if entry.is_present() {
                self.unlike |= pfns.len() != left || pfns.next() != entry.pfn();
                left -= 1;
            }
        }
        self.unlike |= next != run.range().end || pfns.next().is_some();
        // `fold` goes on where `next` has stopped, in the middle of what is read together.
        let sum = |values: &mut dyn Iterator<Item = usize>| values.fold(0, usize::wrapping_add);
        let all = sum(&mut run
            .entries()
            .filter_map(|entry| entry.pfn().filter(|_| run.is_present())));
        let mut pfns = run.pfns();
        let first = pfns.next().unwrap_or(0);
        self.unlike |= pfns.fold(first, usize::wrapping_add) != all;
        self.unlike |= run.pfns().fold(0, usize::wrapping_add) != all;
        let _ = self.runs.push_within_capacity(said);
        match self.runs.len() >= self.stop_after {
            true => ControlFlow::Break(run.addr()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// A walker with both functions for the lowest level.
struct Both {
    runs: usize,
    /// Where the entries of the last run have come to.
    next: usize,
    wrong: bool,
}

#[vtable]
impl PageWalk for Both {
    type Break = Infallible;

    fn pte_run(&mut self, run: &LockedRun<'_>) -> ControlFlow<Infallible> {
        self.wrong |= self.next != run.addr();
        self.runs += 1;
        ControlFlow::Continue(())
    }

    fn pte(&mut self, entry: &LockedEntry<'_>) -> ControlFlow<Infallible> {
        self.wrong |= self.next != entry.addr();
        self.next = entry.range().end;
        ControlFlow::Continue(())
    }
}

/// What a walk does when it comes to a table.
#[cfg(any(CONFIG_PT_RECLAIM, CONFIG_TRANSPARENT_HUGEPAGE))]
type Change<'a> = &'a dyn Fn(Range<usize>) -> Result;

/// A walker that changes a table, once, after the walk has found the table.
#[cfg(any(CONFIG_PT_RECLAIM, CONFIG_TRANSPARENT_HUGEPAGE))]
struct Changes<'a> {
    /// What to do when the walk has found a table of PMDs.
    pud: Option<Change<'a>>,
    /// What to do when the walk has found a table of PTEs.
    pmd: Option<Change<'a>>,
    failed: Result,
    pmd_tables: usize,
    leaves: usize,
    present: usize,
    empty: usize,
    holes: usize,
}

#[cfg(any(CONFIG_PT_RECLAIM, CONFIG_TRANSPARENT_HUGEPAGE))]
impl<'a> Changes<'a> {
    fn new(pud: Option<Change<'a>>, pmd: Option<Change<'a>>) -> Self {
        Self {
            pud,
            pmd,
            failed: Ok(()),
            pmd_tables: 0,
            leaves: 0,
            present: 0,
            empty: 0,
            holes: 0,
        }
    }

    /// Returns the numbers of tables, and those of bytes in leaves, present pages, empty entries
    /// and holes.
    fn seen(&self) -> (usize, [usize; 4]) {
        (
            self.pmd_tables,
            [self.leaves, self.present, self.empty, self.holes],
        )
    }
}

#[cfg(any(CONFIG_PT_RECLAIM, CONFIG_TRANSPARENT_HUGEPAGE))]
#[vtable]
impl PageWalk for Changes<'_> {
    type Break = Infallible;

    fn pud_table(&mut self, range: Range<usize>) -> ControlFlow<Infallible, Visit> {
        if let Some(change) = self.pud.take() {
            self.failed = change(range);
        }
        ControlFlow::Continue(Visit::Enter)
    }

    fn pmd_table(&mut self, range: Range<usize>) -> ControlFlow<Infallible, Visit> {
        self.pmd_tables += 1;
        if let Some(change) = self.pmd.take() {
            self.failed = change(range);
        }
        ControlFlow::Continue(Visit::Enter)
    }

    fn pmd_leaf(&mut self, entry: &LockedEntry<'_>) -> ControlFlow<Infallible> {
        self.leaves += entry.len();
        ControlFlow::Continue(())
    }

    fn pte_run(&mut self, run: &LockedRun<'_>) -> ControlFlow<Infallible> {
        match run.is_present() {
            true => self.present += run.len(),
            false => self.empty += run.len(),
        }
        ControlFlow::Continue(())
    }

    fn hole(&mut self, hole: Hole) -> ControlFlow<Infallible> {
        self.holes += hole.range.len();
        ControlFlow::Continue(())
    }
}

/// Has another thread write to a range, at its start.
#[cfg(all(CONFIG_PT_RECLAIM, CONFIG_TRANSPARENT_HUGEPAGE))]
fn write_elsewhere(mm: &UserMm, range: Range<usize>) -> Result {
    let theirs: ARef<MmWithUser> = mm.current().into();
    elsewhere(move || {
        let mut guard = theirs.mmap_read_lock();
        guard
            .fixup_user_fault(range.start, FaultAccess::Write)
            .map(|_| ())
    })?
    .wait()
}

/// Drops the memory of a range, under the VMA lock.
#[cfg(any(CONFIG_PT_RECLAIM, CONFIG_TRANSPARENT_HUGEPAGE))]
fn drop_pages(range: Range<usize>) -> Result {
    madvise(range.start, range.len(), bindings::MADV_DONTNEED)
}

#[kunit_tests(rust_mm_walk_runs)]
mod cases {
    use super::*;

    #[test]
    fn alike_entries() -> Result {
        let mm = UserMm::attach()?;
        let addr = aligned(&mm, 3)?;
        // A read before the first write maps the zero page.
        assert_eq!(mm.read(addr + 4 * PAGE_SIZE)?, [0]);
        let guards = addr + 5 * PAGE_SIZE;
        madvise(guards, 2 * PAGE_SIZE, bindings::MADV_GUARD_INSTALL)?;
        mm.write(addr + 9 * PAGE_SIZE, b"x")?;

        let mut runs = Runs::new(addr)?;
        let guard = mm.current().mmap_read_lock();
        let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
        walk_page_range_vma(vma, addr..addr + 10 * PAGE_SIZE, &mut runs)?;
        let zero = Said {
            young: runs.runs.get(2).is_some_and(|run| run.young),
            ..Said::of(4..5, State::Present)
        };
        assert_eq!(
            runs.runs.as_slice(),
            &[
                Said::written(0..3),
                Said::of(3..4, State::None),
                zero,
                Said::of(5..7, State::Guard),
                Said::of(7..9, State::None),
                Said::written(9..10),
            ]
        );
        assert!(!runs.unlike);

        // The PFNs are those that a lookup finds.
        assert_eq!(runs.pfns.len(), 10);
        for page in [0, 1, 2, 9] {
            let found = guard.folio_walk(addr + page * PAGE_SIZE).ok_or(ENOENT)?;
            assert_eq!(found.pfn, runs.pfns.get(page).copied());
        }
        for page in [3, 5, 6, 7, 8] {
            assert_eq!(runs.pfns.get(page), Some(&0));
        }

        // A part of the range, and one run in it.
        let mut runs = Runs::new(addr)?;
        walk_page_range_vma(vma, addr + PAGE_SIZE..addr + 2 * PAGE_SIZE, &mut runs)?;
        assert_eq!(runs.runs.as_slice(), &[Said::written(1..2)]);
        Ok(())
    }

    #[test]
    fn entries_that_differ_in_a_bit() -> Result {
        let mm = UserMm::attach()?;
        let addr = aligned(&mm, 3)?;
        {
            // A clean page between dirty ones, and a read-only one at the end.
            let guard = mm.current().mmap_read_lock();
            let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
            let mut runs = Runs::new(addr)?;
            walk_page_range_vma(vma, addr..addr + 3 * PAGE_SIZE, &mut runs)?;
            assert_eq!(runs.runs.len(), 1);
        }
        madvise(addr + PAGE_SIZE, PAGE_SIZE, bindings::MADV_FREE)?;
        let guard = mm.current().mmap_read_lock();
        let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
        let mut runs = Runs::new(addr)?;
        walk_page_range_vma(vma, addr..addr + 3 * PAGE_SIZE, &mut runs)?;
        let clean = Said {
            dirty: false,
            young: false,
            ..Said::written(1..2)
        };
        assert_eq!(
            runs.runs.as_slice(),
            &[Said::written(0..1), clean, Said::written(2..3)]
        );
        let counts = PageCounts::of(vma, addr..addr + 3 * PAGE_SIZE)?;
        assert_eq!(
            (counts.normal, counts.dirty, counts.young),
            (3 * PAGE_SIZE, 2 * PAGE_SIZE, 2 * PAGE_SIZE)
        );
        Ok(())
    }

    #[test]
    fn a_run_ends_with_its_table() -> Result {
        let mm = UserMm::attach()?;
        let border = aligned(&mm, 2)?;
        let addr = border - 2 * PAGE_SIZE;
        mm.write(addr, b"x")?;
        mm.write(addr + PAGE_SIZE, b"x")?;
        let mut runs = Runs::new(addr)?;
        let mut both = Both {
            runs: 0,
            next: addr,
            wrong: false,
        };
        let guard = mm.current().mmap_read_lock();
        let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
        walk_page_range_vma(vma, addr..addr + LEN, &mut runs)?;
        assert_eq!(
            runs.runs.as_slice(),
            &[Said::written(0..2), Said::written(2..4)]
        );
        // With both functions, a run comes before its entries.
        walk_page_range_vma(vma, addr..addr + LEN, &mut both)?;
        assert_eq!((both.runs, both.next, both.wrong), (2, addr + LEN, false));
        Ok(())
    }

    /// The next walk would deadlock if the first one left a table locked.
    #[test]
    fn a_walk_stops_at_a_run() -> Result {
        let mm = UserMm::attach()?;
        let addr = aligned(&mm, 1)?;
        mm.write(addr + 2 * PAGE_SIZE, b"x")?;
        let guard = mm.current().mmap_read_lock();
        let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
        for (stop_after, at) in [(1, 0), (2, 1), (3, 2)] {
            let mut runs = Runs {
                stop_after,
                ..Runs::new(addr)?
            };
            let stopped = walk_page_range_vma(vma, addr..addr + LEN, &mut runs)?;
            assert_eq!(stopped, Some(addr + at * PAGE_SIZE));
            assert_eq!(runs.runs.len(), stop_after);
        }
        Ok(())
    }

    #[test]
    #[cfg(CONFIG_X86)]
    fn runs_of_pfns() -> Result {
        let mm = UserMm::attach()?;
        let file = mm.device(|dev, desc| desc.remap_pfn(dev.firmware.pfns(), Cache::Cached))?;
        let addr = file.mmap(LEN, READ, SHARED, 0)?;
        {
            let mut runs = Runs::new(addr)?;
            let guard = mm.current().mmap_read_lock();
            let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
            walk_page_range_vma(vma, addr..addr + LEN, &mut runs)?;
            let all = Said {
                young: true,
                ..Said::of(0..4, State::Present)
            };
            let runs = (runs.runs.as_slice(), runs.pfns.as_slice());
            assert_eq!(runs, (&[all][..], &[0xf0, 0xf1, 0xf2, 0xf3][..]));
        }
        mm.munmap(addr, LEN)
    }

    /// A table is freed after the walk has found it.
    #[test]
    #[cfg(CONFIG_PT_RECLAIM)]
    fn a_table_that_is_freed() -> Result {
        let mm = UserMm::attach()?;
        let addr = aligned(&mm, 4)?;
        let mut changes = Changes::new(None, Some(&drop_pages));
        let guard = mm.current().mmap_read_lock();
        let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
        walk_page_range_vma(vma, addr..addr + PMD, &mut changes)?;
        changes.failed?;
        assert_eq!(changes.seen(), (1, [0, 0, 0, PMD]));
        Ok(())
    }

    /// A PMD mapping replaces a table after the walk has found it.
    #[test]
    #[cfg(all(CONFIG_PT_RECLAIM, CONFIG_TRANSPARENT_HUGEPAGE))]
    fn a_table_that_becomes_a_leaf() -> Result {
        let mm = UserMm::attach()?;
        let addr = aligned(&mm, 4)?;
        madvise(addr, PMD, bindings::MADV_HUGEPAGE)?;
        let replace = |range: Range<usize>| {
            drop_pages(range.clone())?;
            write_elsewhere(&mm, range)
        };
        let mut changes = Changes::new(None, Some(&replace));
        let guard = mm.current().mmap_read_lock();
        let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
        walk_page_range_vma(vma, addr..addr + PMD, &mut changes)?;
        changes.failed?;
        assert_eq!(changes.seen(), (1, [PMD, 0, 0, 0]));
        Ok(())
    }

    /// A PMD mapping is split before the walk comes to it.
    #[test]
    #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
    fn a_leaf_that_is_split() -> Result {
        let mm = UserMm::attach()?;
        let addr = mm.mmap_anonymous(2 * PMD)?.next_multiple_of(PMD);
        madvise(addr, PMD, bindings::MADV_HUGEPAGE)?;
        mm.write(addr, b"huge")?;
        let page = addr + PAGE_SIZE..addr + 2 * PAGE_SIZE;
        let split = |_| drop_pages(page.clone());
        let guard = mm.current().mmap_read_lock();
        let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
        assert_eq!(PageCounts::of(vma, addr..addr + PMD)?.huge, PMD);
        let mut changes = Changes::new(Some(&split), None);
        walk_page_range_vma(vma, addr..addr + PMD, &mut changes)?;
        changes.failed?;
        assert_eq!(changes.seen(), (1, [0, PMD - PAGE_SIZE, PAGE_SIZE, 0]));
        Ok(())
    }
}
