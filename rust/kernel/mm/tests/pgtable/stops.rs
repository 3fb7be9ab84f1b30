// SPDX-License-Identifier: GPL-2.0

//! Tests of walks that stop early, and of the debug format of an entry.

use super::*;
use crate::str::CString;
use core::ops::Range;

/// A walker that stops at the first entry and returns a copy of it.
struct First;

#[vtable]
impl PageWalk for First {
    type Break = Entry;

    fn pte(&mut self, entry: &LockedEntry<'_>) -> ControlFlow<Entry> {
        ControlFlow::Break(**entry)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Vma,
    Table,
    Entry,
}

/// A walker that stops at the first VMA, PMD table or entry, as given.
struct Stopper(Stop);

impl Stopper {
    fn at<T>(&self, place: Stop, go_on: T) -> ControlFlow<Stop, T> {
        match self.0 == place {
            true => ControlFlow::Break(place),
            false => ControlFlow::Continue(go_on),
        }
    }
}

#[vtable]
impl PageWalk for Stopper {
    type Break = Stop;

    fn vma(&mut self, _vma: &VmaUnderMmap) -> ControlFlow<Stop, Visit> {
        self.at(Stop::Vma, Visit::Enter)
    }

    fn pmd_table(&mut self, _range: Range<usize>) -> ControlFlow<Stop, Visit> {
        self.at(Stop::Table, Visit::Enter)
    }

    fn pte(&mut self, _entry: &LockedEntry<'_>) -> ControlFlow<Stop> {
        ControlFlow::Break(Stop::Entry)
    }
}

#[kunit_tests(rust_mm_walk_stops)]
mod cases {
    use super::*;

    #[test]
    fn entry_in_words() -> Result {
        let mm = UserMm::attach()?;
        let addr = mm.mmap_anonymous(PAGE_SIZE)?;
        mm.write(addr, b"page")?;
        let entry = {
            let guard = mm.current().mmap_read_lock();
            let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
            walk_page_range_vma(vma, addr..addr + PAGE_SIZE, &mut First)?
        };
        let range = addr..addr + PAGE_SIZE;
        assert_eq!(
            &*CString::try_from_fmt(fmt!("{:?}", entry.ok_or(EFAULT)?))?,
            &*CString::try_from_fmt(fmt!(
                "Entry {{ range: {range:?}, level: Pte, state: Present, .. }}"
            ))?
        );
        Ok(())
    }

    #[test]
    fn walk_that_stops_early() -> Result {
        let mm = UserMm::attach()?;
        let addr = mm.mmap_anonymous(PAGE_SIZE)?;
        mm.write(addr, b"page")?;
        let guard = mm.current().mmap_read_lock();
        for at in [Stop::Vma, Stop::Table] {
            let stopped = guard.walk_page_range(addr..addr + PAGE_SIZE, &mut Stopper(at))?;
            assert_eq!(stopped, Some(at));
        }
        Ok(())
    }
}
