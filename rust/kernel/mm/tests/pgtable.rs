// SPDX-License-Identifier: GPL-2.0

//! Tests of page table walks and the reverse mapping, on a real mm.

use super::empty_mm;
#[cfg(CONFIG_X86)]
use crate::mm::Cache;
use crate::{
    bindings,
    error::to_result,
    mm::{
        pgtable::{
            walk_page_range_vma,
            Entry,
            Hole,
            Level,
            LockedEntry,
            LockedRun,
            PageCounts,
            PageWalk,
            State,
            Visit, //
        },
        testing::*,
        vma::VmaUnderMmap, //
    },
    page::PAGE_SIZE,
    prelude::*, //
};
use core::ops::ControlFlow;

mod files;
mod gup;
#[cfg(CONFIG_HUGETLBFS)]
mod hugetlb;
mod lookup;
mod rmap;
mod runs;
mod stops;

/// The length of most mappings: four pages.
const LEN: usize = 4 * PAGE_SIZE;
/// The size of a PMD mapping on machines with pages of 4096 bytes.
const PMD: usize = 512 * PAGE_SIZE;

/// Calls `madvise(2)` for the current mm.
fn madvise(addr: usize, len: usize, advice: u32) -> Result {
    // SAFETY: The current thread has an mm, which is the test's own.
    to_result(unsafe {
        bindings::do_madvise((*bindings::get_current()).mm, addr, len, advice as c_int)
    })
}

/// A walker that records the calls of its callbacks, and returns the given results.
struct Notes {
    vma: Visit,
    pud: Visit,
    pmd: Visit,
    /// The number of PTEs after which the walk stops.
    stop_after: usize,
    vmas: usize,
    p4d_tables: usize,
    pud_tables: usize,
    pmd_tables: usize,
    ptes: usize,
    last: Option<Entry>,
    holes: KVec<Hole>,
}

impl Notes {
    fn new() -> Self {
        Self {
            vma: Visit::Enter,
            pud: Visit::Enter,
            pmd: Visit::Enter,
            stop_after: usize::MAX,
            vmas: 0,
            p4d_tables: 0,
            pud_tables: 0,
            pmd_tables: 0,
            ptes: 0,
            last: None,
            holes: KVec::new(),
        }
    }

    fn tables(&self) -> (usize, usize, usize, usize) {
        (self.p4d_tables, self.pud_tables, self.pmd_tables, self.ptes)
    }
}

#[vtable]
impl PageWalk for Notes {
    type Break = usize;

    fn vma(&mut self, _vma: &VmaUnderMmap) -> ControlFlow<usize, Visit> {
        self.vmas += 1;
        ControlFlow::Continue(self.vma)
    }

    fn p4d_table(&mut self, _range: core::ops::Range<usize>) -> ControlFlow<usize> {
        self.p4d_tables += 1;
        ControlFlow::Continue(())
    }

    fn pud_table(&mut self, _range: core::ops::Range<usize>) -> ControlFlow<usize, Visit> {
        self.pud_tables += 1;
        ControlFlow::Continue(self.pud)
    }

    fn pmd_table(&mut self, _range: core::ops::Range<usize>) -> ControlFlow<usize, Visit> {
        self.pmd_tables += 1;
        ControlFlow::Continue(self.pmd)
    }

    fn pte(&mut self, entry: &LockedEntry<'_>) -> ControlFlow<usize> {
        self.ptes += 1;
        self.last = Some(**entry);
        match self.ptes >= self.stop_after {
            true => ControlFlow::Break(entry.addr()),
            false => ControlFlow::Continue(()),
        }
    }

    fn hole(&mut self, hole: Hole) -> ControlFlow<usize> {
        match self.holes.push(hole, GFP_KERNEL) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(0),
        }
    }
}

/// A walker that visits only PTEs and holes.
#[cfg(any(CONFIG_X86, CONFIG_TRANSPARENT_HUGEPAGE))]
struct Plain {
    ptes: usize,
    present: usize,
    holes: usize,
    /// Whether the walk stops at the first hole.
    stop: bool,
}

#[cfg(any(CONFIG_X86, CONFIG_TRANSPARENT_HUGEPAGE))]
impl Plain {
    fn new() -> Self {
        Self {
            ptes: 0,
            present: 0,
            holes: 0,
            stop: false,
        }
    }
}

#[cfg(any(CONFIG_X86, CONFIG_TRANSPARENT_HUGEPAGE))]
#[vtable]
impl PageWalk for Plain {
    type Break = Hole;

    fn pte(&mut self, entry: &LockedEntry<'_>) -> ControlFlow<Hole> {
        self.ptes += 1;
        self.present += usize::from(entry.is_present());
        ControlFlow::Continue(())
    }

    fn hole(&mut self, hole: Hole) -> ControlFlow<Hole> {
        self.holes += 1;
        match self.stop {
            true => ControlFlow::Break(hole),
            false => ControlFlow::Continue(()),
        }
    }
}

/// Walks a range of the VMA at its start address, under the mmap lock.
fn notes_of(mm: &UserMm, addr: usize, len: usize, mut notes: Notes) -> Result<Notes> {
    let guard = mm.current().mmap_read_lock();
    let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    assert_eq!(
        walk_page_range_vma(vma, addr..addr + len, &mut notes)?,
        None
    );
    Ok(notes)
}

/// Maps memory that starts at the first entry of a PTE table, and writes to its first pages.
fn aligned(mm: &UserMm, pages: usize) -> Result<usize> {
    let start = mm.mmap_anonymous(3 * PMD)?;
    // No huge pages, even if they are the kernel's default.
    #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
    madvise(start, 3 * PMD, bindings::MADV_NOHUGEPAGE)?;
    let addr = (start + PAGE_SIZE).next_multiple_of(PMD);
    for page in 0..pages {
        mm.write(addr + page * PAGE_SIZE, &[1])?;
    }
    Ok(addr)
}

#[kunit_tests(rust_mm_walk)]
mod walks {
    use super::*;

    #[test]
    fn counts_under_either_lock() -> Result {
        let mm = UserMm::attach()?;
        let addr = aligned(&mm, 3)?;
        let expected = PageCounts {
            present: 3 * PAGE_SIZE,
            normal: 3 * PAGE_SIZE,
            young: 3 * PAGE_SIZE,
            dirty: 3 * PAGE_SIZE,
            ..PageCounts::default()
        };
        {
            let guard = mm.current().mmap_read_lock();
            let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
            assert_eq!(PageCounts::of(vma, addr..addr + LEN)?, expected);
            // A range without the last of these pages.
            let counts = PageCounts::of(vma, addr..addr + 2 * PAGE_SIZE)?;
            assert_eq!(counts.present, 2 * PAGE_SIZE);
        }
        #[cfg(CONFIG_PER_VMA_LOCK)]
        {
            let guard = mm.current().lock_vma_under_rcu(addr).ok_or(EAGAIN)?;
            assert_eq!(PageCounts::of(&*guard, addr..addr + LEN)?, expected);
        }
        let guard = mm.current().mmap_write_lock();
        let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
        assert_eq!(PageCounts::of(vma, addr..addr + LEN)?, expected);
        let vma = vma.start_write();
        assert_eq!(PageCounts::of(vma, addr..addr + LEN)?, expected);
        Ok(())
    }

    #[test]
    fn ranges_that_are_refused() -> Result {
        let mm = UserMm::attach()?;
        let addr = mm.mmap_anonymous(LEN)?;
        let guard = mm.current().mmap_read_lock();
        let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
        let (start, end) = (vma.start(), vma.end());
        for range in [
            start + 1..end,
            start..end - 1,
            start..start,
            end..start,
            start - PAGE_SIZE..end,
            start..end + PAGE_SIZE,
            0..usize::MAX,
        ] {
            assert_eq!(PageCounts::of(vma, range), Err(EINVAL));
        }
        assert_eq!(PageCounts::of_mm(&guard, start + 1..end), Err(EINVAL));
        assert_eq!(PageCounts::of_mm(&guard, end..start), Err(EINVAL));
        Ok(())
    }

    #[test]
    fn every_level_is_told() -> Result {
        let mm = UserMm::attach()?;
        let addr = aligned(&mm, 1)?;
        let notes = notes_of(&mm, addr, LEN, Notes::new())?;
        assert_eq!(notes.tables(), (1, 1, 1, 4));
        assert!(notes.holes.is_empty());
        // Only a walk over several VMAs calls `vma`.
        assert_eq!(notes.vmas, 0);
        let last = notes.last.ok_or(ENOENT)?;
        assert_eq!(last.range(), addr + 3 * PAGE_SIZE..addr + LEN);
        assert_eq!((last.level(), last.state()), (Level::Pte, State::None));
        assert_eq!((last.len(), last.pfn()), (PAGE_SIZE, None));
        Ok(())
    }

    #[test]
    fn tables_are_skipped() -> Result {
        let mm = UserMm::attach()?;
        let addr = aligned(&mm, 1)?;
        let notes = Notes {
            pmd: Visit::Skip,
            ..Notes::new()
        };
        assert_eq!(notes_of(&mm, addr, LEN, notes)?.tables(), (1, 1, 1, 0));
        let notes = Notes {
            pud: Visit::Skip,
            ..Notes::new()
        };
        assert_eq!(notes_of(&mm, addr, LEN, notes)?.tables(), (1, 1, 0, 0));
        Ok(())
    }

    #[test]
    fn a_hole_where_there_is_no_table() -> Result {
        let mm = UserMm::attach()?;
        let addr = aligned(&mm, 0)?;
        // Fault in the page before, so that the tables above exist.
        mm.write(addr - PAGE_SIZE, b"x")?;
        let notes = notes_of(&mm, addr, LEN, Notes::new())?;
        assert_eq!(notes.ptes, 0);
        assert_eq!(notes.holes.len(), 1);
        let hole = notes.holes.first().ok_or(ENOENT)?;
        assert_eq!(hole.range, addr..addr + LEN);
        assert!(hole.level.is_some());
        Ok(())
    }

    #[test]
    fn a_walk_stops() -> Result {
        let mm = UserMm::attach()?;
        let addr = aligned(&mm, 4)?;
        let mut notes = Notes {
            stop_after: 2,
            ..Notes::new()
        };
        let guard = mm.current().mmap_read_lock();
        let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
        let stopped = walk_page_range_vma(vma, addr..addr + LEN, &mut notes)?;
        assert_eq!((stopped, notes.ptes), (Some(addr + PAGE_SIZE), 2));
        let mut notes = Notes {
            stop_after: 1,
            ..Notes::new()
        };
        let stopped = guard.walk_page_range(addr..addr + LEN, &mut notes)?;
        assert_eq!((stopped, notes.ptes, notes.vmas), (Some(addr), 1, 1));
        Ok(())
    }

    #[test]
    fn from_vma_to_vma() -> Result {
        let mm = UserMm::attach()?;
        let addr = aligned(&mm, 4)?;
        // Unmap the second page: a hole between two VMAs.
        mm.munmap(addr + PAGE_SIZE, PAGE_SIZE)?;
        let mut notes = Notes::new();
        let guard = mm.current().mmap_read_lock();
        assert_eq!(guard.walk_page_range(addr..addr + LEN, &mut notes)?, None);
        assert_eq!((notes.vmas, notes.ptes), (2, 3));
        let hole = Hole {
            range: addr + PAGE_SIZE..addr + 2 * PAGE_SIZE,
            level: None,
        };
        assert_eq!(notes.holes.as_slice(), &[hole]);

        let mut notes = Notes {
            vma: Visit::Skip,
            ..Notes::new()
        };
        guard.walk_page_range(addr..addr + LEN, &mut notes)?;
        assert_eq!((notes.vmas, notes.ptes), (2, 0));
        Ok(())
    }

    #[test]
    fn what_entries_say() -> Result {
        let mm = UserMm::attach()?;
        let addr = aligned(&mm, 1)?;
        // A read before the first write maps the zero page.
        assert_eq!(mm.read(addr + PAGE_SIZE)?, [0]);
        madvise(
            addr + 2 * PAGE_SIZE,
            PAGE_SIZE,
            bindings::MADV_GUARD_INSTALL,
        )?;

        let written = notes_of(&mm, addr, PAGE_SIZE, Notes::new())?.last;
        let written = written.ok_or(ENOENT)?;
        assert_eq!(written.state(), State::Present);
        assert!(written.is_present() && written.is_normal() && written.pfn().is_some());
        assert!(written.is_writable() && written.is_dirty() && written.is_young());

        let zero = notes_of(&mm, addr + PAGE_SIZE, PAGE_SIZE, Notes::new())?.last;
        let zero = zero.ok_or(ENOENT)?;
        assert_eq!(zero.state(), State::Present);
        assert!(!zero.is_normal() && !zero.is_writable() && !zero.is_dirty());
        assert!(zero.pfn() != written.pfn());

        let guarded = notes_of(&mm, addr + 2 * PAGE_SIZE, PAGE_SIZE, Notes::new())?.last;
        let guarded = guarded.ok_or(ENOENT)?;
        assert_eq!((guarded.state(), guarded.pfn()), (State::Guard, None));
        assert!(!guarded.is_present());
        Ok(())
    }

    #[test]
    #[cfg(CONFIG_X86)]
    fn pfnmap_is_skipped_by_the_range_only() -> Result {
        let mm = UserMm::attach()?;
        let file = mm.device(|dev, desc| desc.remap_pfn(dev.firmware.pfns(), Cache::Cached))?;
        let addr = file.mmap(LEN, READ, SHARED, 0)?;
        {
            let guard = mm.current().mmap_read_lock();
            let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;

            let mut plain = Plain::new();
            walk_page_range_vma(vma, addr..addr + LEN, &mut plain)?;
            assert_eq!((plain.ptes, plain.present, plain.holes), (4, 4, 0));

            let mut plain = Plain::new();
            guard.walk_page_range(addr..addr + LEN, &mut plain)?;
            assert_eq!((plain.ptes, plain.holes), (0, 1));

            // A walker with a `vma` callback enters it.
            let mut notes = Notes::new();
            guard.walk_page_range(addr..addr + LEN, &mut notes)?;
            assert_eq!((notes.vmas, notes.ptes), (1, 4));
            let last = notes.last.ok_or(ENOENT)?;
            assert_eq!(last.pfn(), Some(0xf3));
            assert!(last.is_present() && !last.is_normal() && !last.is_writable());

            let counts = PageCounts::of(vma, addr..addr + LEN)?;
            assert_eq!((counts.present, counts.normal), (LEN, 0));
        }
        mm.munmap(addr, LEN)
    }

    #[test]
    #[cfg(CONFIG_X86)]
    fn a_walk_stops_at_pfnmap() -> Result {
        let mm = UserMm::attach()?;
        let addr = aligned(&mm, 8)?;
        let file = mm.device(|dev, desc| desc.remap_pfn(dev.firmware.pfns(), Cache::Cached))?;
        file.mmap_over(addr, LEN, READ, SHARED, 0)?;
        let mut plain = Plain {
            stop: true,
            ..Plain::new()
        };
        let guard = mm.current().mmap_read_lock();
        let stopped = guard.walk_page_range(addr..addr + 2 * LEN, &mut plain)?;
        assert_eq!(stopped.map(|hole| hole.range), Some(addr..addr + LEN));
        // C takes a positive result for such a hole as the wish to go on; the layer must stop.
        assert_eq!((plain.holes, plain.ptes), (1, 0));
        Ok(())
    }

    #[test]
    #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
    fn huge_entries_are_not_split() -> Result {
        let mm = UserMm::attach()?;
        let addr = mm.mmap_anonymous(2 * PMD)?.next_multiple_of(PMD);
        madvise(addr, PMD, bindings::MADV_HUGEPAGE)?;
        mm.write(addr, b"huge")?;

        let guard = mm.current().mmap_read_lock();
        let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
        let counts = PageCounts::of(vma, addr..addr + PMD)?;
        assert_eq!(
            (counts.present, counts.huge, counts.normal),
            (PMD, PMD, PMD)
        );
        // A part of the PMD mapping.
        let counts = PageCounts::of(vma, addr + PAGE_SIZE..addr + LEN)?;
        assert_eq!(
            (counts.present, counts.huge),
            (3 * PAGE_SIZE, 3 * PAGE_SIZE)
        );

        // A walker without a callback for PMD mappings visits nothing, and the walk does not split
        // the PMD mapping.
        let mut plain = Plain::new();
        walk_page_range_vma(vma, addr..addr + PMD, &mut plain)?;
        assert_eq!((plain.ptes, plain.holes), (0, 0));
        assert_eq!(PageCounts::of(vma, addr..addr + PMD)?.huge, PMD);
        Ok(())
    }
}
