// SPDX-License-Identifier: GPL-2.0

//! Tests of charges: what the counters of an mm are while there is one, and afterwards.

use super::empty_mm;
use crate::{
    mm::{
        account::{
            Charge,
            Counter,
            LockedVm,
            PinnedVm, //
        },
        gup::{
            PinnedLongTerm,
            ReadOnly,
            ReadWrite,
            UserPages, //
        },
        testing::{
            UserMm,
            READ,
            SHARED, //
        },
        Mm,
        MmWithUser, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::aref::ARef, //
};

/// Returns `locked_vm` and `pinned_vm`.
fn counters(mm: &Mm) -> (usize, i64) {
    // SAFETY: The mm is valid, and only this test charges it.
    unsafe {
        let mm = &(*mm.as_raw()).__bindgen_anon_1;
        (mm.locked_vm, mm.pinned_vm.counter)
    }
}

/// Charges 3 pages and then 4, returns 2 of these, and drops both.
fn charged_and_returned<C: Counter>(mm: &MmWithUser, read: fn(&MmWithUser) -> usize) -> Result {
    let before = read(mm);
    let three = Charge::<C>::new(mm, 3)?;
    assert_eq!(read(mm), before + 3);
    let mut four = Charge::<C>::new(mm, 4)?;
    assert_eq!(four.nr_pages(), 4);
    assert_eq!(read(mm), before + 7);
    // Not more than there are.
    four.keep(5);
    assert_eq!(read(mm), before + 7);
    four.keep(2);
    assert_eq!(four.nr_pages(), 2);
    assert_eq!(read(mm), before + 5);
    drop(three);
    assert_eq!(read(mm), before + 2);
    drop(four);
    assert_eq!(read(mm), before);
    Ok(())
}

#[kunit_tests(rust_mm_account)]
mod cases {
    use super::*;

    #[test]
    fn locked() -> Result {
        let mm = UserMm::attach()?;
        charged_and_returned::<LockedVm>(mm.current(), |mm| counters(mm).0)?;
        assert_eq!(counters(mm.current()).1, 0);
        Ok(())
    }

    #[test]
    fn pinned() -> Result {
        let mm = UserMm::attach()?;
        charged_and_returned::<PinnedVm>(mm.current(), |mm| counters(mm).1 as usize)?;
        assert_eq!(counters(mm.current()).0, 0);
        Ok(())
    }

    #[test]
    fn overflow() -> Result {
        let mm = UserMm::attach()?;
        let mm = mm.current();
        let one = Charge::<LockedVm>::new(mm, 1)?;
        assert!(Charge::<LockedVm>::new(mm, usize::MAX).is_err_and(|e| e == ENOMEM));
        assert_eq!(counters(mm), (1, 0));
        drop(one);
        for pages in [usize::MAX, isize::MAX as usize, 1 << (usize::BITS - 12)] {
            assert!(Charge::<PinnedVm>::new(mm, pages).is_err_and(|e| e == ENOMEM));
        }
        assert_eq!(counters(mm), (0, 0));
        Ok(())
    }

    #[test]
    fn mm_that_has_ended() -> Result {
        let user = empty_mm()?;
        let mm: ARef<Mm> = ARef::from(&**user);
        let locked = Charge::<LockedVm>::new(&user, 2)?;
        let pinned = Charge::<PinnedVm>::new(&user, 3)?;
        // The last user: the mm is torn down.
        drop(user);
        assert!(mm.mmget_not_zero().is_none());
        assert_eq!(counters(&mm), (2, 3));
        drop(locked);
        drop(pinned);
        assert_eq!(counters(&mm), (0, 0));
        Ok(())
    }

    #[test]
    fn pages() -> Result {
        let mm = UserMm::attach()?;
        let addr = mm.mmap_anonymous(4 * PAGE_SIZE)?;
        let pages = UserPages::<PinnedLongTerm, ReadWrite>::charged(addr, 3)?;
        assert_eq!(pages.nr_pages(), 3);
        assert_eq!(counters(mm.current()), (0, 3));
        // They are charged until they are released, not until they are unmapped.
        mm.munmap(addr, 3 * PAGE_SIZE)?;
        assert_eq!(counters(mm.current()), (0, 3));
        drop(pages);
        assert_eq!(counters(mm.current()), (0, 0));
        Ok(())
    }

    #[test]
    fn fewer_pages() -> Result {
        let mm = UserMm::attach()?;
        let file = mm.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
        let addr = file.mmap(2 * PAGE_SIZE, READ, SHARED, 0)?;
        mm.munmap(addr + PAGE_SIZE, PAGE_SIZE)?;
        // Nothing is mapped behind the first page.
        let pages = UserPages::<PinnedLongTerm, ReadOnly>::charged(addr, 2)?;
        assert_eq!(pages.nr_pages(), 1);
        assert_eq!(pages.charge().nr_pages(), 1);
        assert_eq!(counters(mm.current()), (0, 1));
        drop(pages);
        assert_eq!(counters(mm.current()), (0, 0));
        // Nothing is charged if nothing can be held.
        let none = UserPages::<PinnedLongTerm, ReadWrite>::charged(addr, 1);
        assert!(none.is_err_and(|e| e == EFAULT));
        assert_eq!(counters(mm.current()), (0, 0));
        Ok(())
    }
}
