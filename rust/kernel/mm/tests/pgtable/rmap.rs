// SPDX-License-Identifier: GPL-2.0

//! Tests of the mappings of a file, found through the file.

use super::{
    files::{
        Pages,
        PagesFile, //
    },
    *,
};
use crate::mm::{
    ops::Install,
    rmap::{
        AddressSpace,
        FileMappings, //
    }, //
};

fn starts(mappings: &FileMappings, pgoffs: core::ops::Range<usize>) -> Result<KVec<usize>> {
    // Under the i_mmap lock, an allocation must not wait for reclaim.
    let mut starts = KVec::new();
    for vma in mappings.vmas(pgoffs) {
        starts.push(vma.start(), GFP_NOWAIT)?;
    }
    starts.sort_unstable();
    Ok(starts)
}

#[kunit_tests(rust_mm_rmap)]
mod cases {
    use super::*;

    #[test]
    fn two_mappings_at_different_offsets() -> Result {
        let mm = UserMm::attach()?;
        let pages = Pages::new()?;
        let file = mm.open::<PagesFile>(KBox::new(PagesFile(pages.clone()), GFP_KERNEL)?)?;
        assert!(pages.space.i_mmap_lock_read().is_empty());
        let all = file.mmap(LEN, READ, SHARED, 0)?;
        let half = file.mmap(LEN / 2, READ, SHARED, 2)?;
        let mut both = [all, half];
        both.sort_unstable();
        {
            // The file uses the device's address space, so it has the same mappings.
            let mappings = file.file().i_mmap_lock_read()?;
            assert_eq!(starts(&mappings, 2..3)?.as_slice(), &both);
        }
        {
            let mappings = pages.space.i_mmap_lock_read();
            assert!(!mappings.is_empty());
            assert_eq!(starts(&mappings, 0..2)?.as_slice(), &[all]);
            assert_eq!(starts(&mappings, 1..3)?.as_slice(), &both);
            assert_eq!(starts(&mappings, 0..usize::MAX)?.as_slice(), &both);
            assert!(starts(&mappings, 4..usize::MAX)?.is_empty());
            assert!(starts(&mappings, 2..2)?.is_empty());
            let (first, end) = (3, 2);
            assert!(starts(&mappings, first..end)?.is_empty());
            assert!(starts(&mappings, 0..0)?.is_empty());

            let vma = mappings.vmas(2..4).find(|vma| vma.start() == half);
            let vma = vma.ok_or(ENOENT)?;
            assert_eq!((vma.pgoff(), vma.nr_pages()), (2, 2));
            assert_eq!(vma.end(), half + LEN / 2);
            assert_eq!(vma.address_of(3), Some(half + PAGE_SIZE));
            assert_eq!((vma.address_of(1), vma.address_of(4)), (None, None));
        }
        mm.munmap(all, LEN)?;
        let mappings = pages.space.i_mmap_lock_write();
        assert_eq!(starts(&mappings, 0..4)?.as_slice(), &[half]);
        Ok(())
    }

    /// A file whose `f_mapping` changes while it is open, as Coda changes it in `mmap`.
    #[test]
    fn file_that_changes_its_mapping() -> Result {
        let mm = UserMm::attach()?;
        let (pages, other) = (Pages::new()?, AddressSpace::new::<PagesFile>()?);
        let file = mm.open::<PagesFile>(KBox::new(PagesFile(pages.clone()), GFP_KERNEL)?)?;
        let addr = file.mmap(LEN, READ, SHARED, 0)?;
        let change = |to: &AddressSpace| {
            // SAFETY: The file is open, and only this thread uses its mappings. Until the case
            // restores the field, it maps and unmaps nothing of the file.
            unsafe { (*file.as_ptr()).f_mapping = to.as_ptr() };
        };
        {
            let mappings = file.file().i_mmap_lock_write()?;
            change(&other);
            // The guard still leads to the address space that it has locked.
            assert_eq!(starts(&mappings, 0..1)?.as_slice(), &[addr]);
            assert!(other.i_mmap_trylock_write().is_some());
        }
        // Dropping the guard has unlocked that address space.
        assert!(pages.space.i_mmap_trylock_write().is_some());
        change(&pages.space);
        mm.munmap(addr, LEN)
    }

    #[test]
    fn walking_one_of_several() -> Result {
        let mm = UserMm::attach()?;
        let pages = Pages::new()?;
        let file = mm.open::<PagesFile>(KBox::new(PagesFile(pages.clone()), GFP_KERNEL)?)?;
        let all = file.mmap(LEN, READ, SHARED, 0)?;
        let half = file.mmap(LEN / 2, READ, SHARED, 2)?;
        let count = |start, len| -> Result<usize> {
            let mappings = pages.space.i_mmap_lock_read();
            let vma = mappings.vmas(0..4).find(|vma| vma.start() == start);
            Ok(PageCounts::of(vma.ok_or(ENOENT)?, start..start + len)?.present)
        };
        // The walk of one mapping does not count the other, which maps the same pages.
        assert_eq!(count(all, LEN)?, LEN);
        assert_eq!(count(half, LEN / 2)?, LEN / 2);
        assert_eq!(count(half, PAGE_SIZE)?, PAGE_SIZE);
        assert_eq!(count(half, LEN), Err(EINVAL));
        // The walker stops the walk, at an address of the right mapping.
        {
            let mappings = pages.space.i_mmap_lock_read();
            for vma in mappings.vmas(2..4) {
                let mut notes = Notes {
                    stop_after: 2,
                    ..Notes::new()
                };
                let range = vma.start()..vma.end();
                let stopped = walk_page_range_vma(vma, range, &mut notes)?;
                assert_eq!(stopped, Some(vma.start() + PAGE_SIZE));
            }
        }
        pages.space.unmap(2, 1);
        assert_eq!(count(all, LEN)?, LEN - PAGE_SIZE);
        assert_eq!(count(half, LEN / 2)?, PAGE_SIZE);
        // Unmap a range of two bytes: the last of page 0, the first of page 1.
        pages.space.unmap_range(PAGE_SIZE - 1, 2);
        assert_eq!(count(all, LEN)?, PAGE_SIZE);
        pages.space.unmap_range(0, 0);
        assert_eq!(count(all, LEN)?, PAGE_SIZE);
        pages.space.unmap_range(3 * PAGE_SIZE, usize::MAX);
        assert_eq!(count(all, LEN)?, 0);
        assert_eq!(count(half, LEN / 2)?, 0);
        Ok(())
    }

    #[test]
    #[cfg(CONFIG_X86)]
    fn pfnmap_through_the_file() -> Result {
        let mm = UserMm::attach()?;
        let file = mm.device(|dev, desc| desc.remap_pfn(dev.firmware.pfns(), Cache::Cached))?;
        let addr = file.mmap(LEN, READ, SHARED, 0)?;
        let mappings = file.file().i_mmap_lock_read()?;
        let vma = mappings.vmas(0..4).next().ok_or(ENOENT)?;
        assert_eq!(vma.follow_pfnmap(addr + PAGE_SIZE)?.pfn, 0xf1);
        assert_eq!(vma.follow_pfnmap(addr + LEN), Err(EINVAL));
        let counts = PageCounts::of(vma, addr..addr + LEN)?;
        assert_eq!((counts.present, counts.normal), (LEN, 0));
        Ok(())
    }

    #[test]
    fn locks_exclude_each_other() -> Result {
        let pages = Pages::new()?;
        let space = &pages.space;
        {
            let _read = space.i_mmap_lock_read();
            assert!(space.i_mmap_trylock_write().is_none());
        }
        {
            let _write = space.i_mmap_lock_write();
            assert!(space.i_mmap_trylock_read().is_none());
            assert!(space.i_mmap_trylock_write().is_none());
        }
        assert!(space.i_mmap_trylock_write().is_some());
        assert!(space.i_mmap_trylock_read().is_some());
        Ok(())
    }

    #[test]
    fn a_view_that_may_install_finds_its_own() -> Result {
        use super::super::files::{
            FolioOps,
            PagesOps, //
        };
        let mm = UserMm::attach()?;
        let pages = Pages::new()?;
        let file = mm.open::<PagesFile>(KBox::new(PagesFile(pages.clone()), GFP_KERNEL)?)?;
        let addr = file.mmap(LEN, READ, SHARED, 0)?;

        fn refill(view: &impl Install, folio: &crate::mm::Folio) -> Result {
            assert!(view.as_driver_vma::<FolioOps>().is_none());
            let own = view.as_driver_vma::<PagesOps>().ok_or(EINVAL)?;
            assert_eq!(own.insert_page(own.start(), folio, 0), Err(EBUSY));
            own.zap(own.start(), PAGE_SIZE)?;
            own.insert_page(own.start(), folio, 0)
        }
        pages.folio.write_at(0, b"own")?;
        {
            let guard = mm.current().mmap_read_lock();
            let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
            refill(vma, &pages.folio)?;
        }
        {
            // The guard of a `DriverVma` is evidence for a walk, too.
            let own = mm
                .current()
                .lock_driver_vma::<PagesOps>(addr)
                .ok_or(EINVAL)?;
            assert_eq!(PageCounts::of(&own, addr..addr + LEN)?.present, LEN);
        }
        {
            let guard = mm.current().lock_vma(addr).ok_or(EFAULT)?;
            assert_eq!(PageCounts::of(&guard, addr..addr + LEN)?.present, LEN);
            refill(&guard, &pages.folio)?;
        }
        assert_eq!(mm.read(addr)?, *b"own");
        #[cfg(CONFIG_PER_VMA_LOCK)]
        {
            let guard = mm.current().lock_vma_under_rcu(addr).ok_or(EAGAIN)?;
            refill(&*guard, &pages.folio)?;
        }
        Ok(())
    }
}
