// SPDX-License-Identifier: GPL-2.0

//! Tests of lookups of one address, and of faults.

use super::{
    files::{
        FolioFile,
        Pages, //
    },
    *,
};
use crate::mm::pgtable::{
    FaultAccess,
    Handled, //
};

#[kunit_tests(rust_mm_lookup)]
mod cases {
    use super::*;

    #[test]
    fn folio_walk() -> Result {
        let mm = UserMm::attach()?;
        let addr = aligned(&mm, 1)?;
        assert_eq!(mm.read(addr + PAGE_SIZE)?, [0]);
        let guard = mm.current().mmap_read_lock();

        let written = guard.folio_walk(addr + 5).ok_or(ENOENT)?;
        assert!(written.anon && written.writable && written.pfn.is_some());
        assert_eq!((written.level, written.order), (Level::Pte, 0));
        let zero = guard.folio_walk(addr + PAGE_SIZE).ok_or(ENOENT)?;
        assert!(zero.pfn.is_none() && !zero.anon && !zero.writable);
        assert_eq!(guard.folio_walk(addr + 2 * PAGE_SIZE), None);
        assert_eq!(guard.folio_walk(0), None);
        assert_eq!(guard.folio_walk(usize::MAX), None);

        // A page table walk finds the same PFN.
        let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
        let mut notes = Notes::new();
        walk_page_range_vma(vma, addr..addr + PAGE_SIZE, &mut notes)?;
        assert_eq!(notes.last.and_then(|entry| entry.pfn()), written.pfn);
        Ok(())
    }

    #[test]
    #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
    fn folio_walk_of_a_huge_page() -> Result {
        let mm = UserMm::attach()?;
        let addr = mm.mmap_anonymous(2 * PMD)?.next_multiple_of(PMD);
        madvise(addr, PMD, bindings::MADV_HUGEPAGE)?;
        mm.write(addr, b"huge")?;
        let guard = mm.current().mmap_read_lock();
        let first = guard.folio_walk(addr).ok_or(ENOENT)?;
        assert_eq!((first.level, first.order), (Level::Pmd, 9));
        let second = guard.folio_walk(addr + PAGE_SIZE).ok_or(ENOENT)?;
        assert_eq!(second.pfn, first.pfn.map(|pfn| pfn + 1));
        Ok(())
    }

    #[test]
    #[cfg(CONFIG_X86)]
    fn follow_pfnmap() -> Result {
        let mm = UserMm::attach()?;
        let file = mm.device(|dev, desc| desc.remap_pfn(dev.firmware.pfns(), Cache::Cached))?;
        let addr = file.mmap(LEN, READ, SHARED, 0)?;
        let anonymous = aligned(&mm, 1)?;
        {
            let guard = mm.current().mmap_read_lock();
            let found = guard.follow_pfnmap(addr + PAGE_SIZE + 7)?;
            assert_eq!((found.pfn, found.size), (0xf1, PAGE_SIZE));
            assert_eq!((found.writable, found.special), (false, true));
            // The call refuses anonymous memory, and an address where nothing is mapped.
            assert_eq!(guard.follow_pfnmap(anonymous), Err(EINVAL));
            assert_eq!(guard.follow_pfnmap(0), Err(EINVAL));
            assert_eq!(guard.folio_walk(addr), None);
        }
        // The call has dropped the page table lock.
        mm.munmap(addr, LEN)?;
        let guard = mm.current().mmap_read_lock();
        assert_eq!(guard.follow_pfnmap(addr), Err(EINVAL));
        Ok(())
    }

    #[test]
    fn fixup_user_fault() -> Result {
        let mm = UserMm::attach()?;
        let addr = aligned(&mm, 0)?;
        let pages = Pages::new()?;
        let file = mm.open::<FolioFile>(KBox::new(FolioFile(pages.clone()), GFP_KERNEL)?)?;
        let mapped = file.mmap(LEN, READ, SHARED, 0)?;

        let mut guard = mm.current().mmap_read_lock();
        assert_eq!(guard.fixup_user_fault(addr, FaultAccess::Read), Ok(false));
        assert!(guard.folio_walk(addr).is_some_and(|found| !found.writable));
        assert_eq!(guard.fixup_user_fault(addr, FaultAccess::Write), Ok(false));
        assert!(guard.folio_walk(addr).is_some_and(|found| found.writable));
        // The driver first asks for a retry, so the lock was dropped for a time.
        assert_eq!(guard.fixup_user_fault(mapped, FaultAccess::Read), Ok(true));
        assert_eq!(pages.folio.ref_count(), 2);
        assert_eq!(
            guard.fixup_user_fault(mapped, FaultAccess::Write),
            Err(EFAULT)
        );
        assert_eq!(guard.fixup_user_fault(0, FaultAccess::Read), Err(EFAULT));
        // The guard holds the lock again.
        assert!(guard.vma_lookup(addr).is_some());
        Ok(())
    }

    #[test]
    fn handle_mm_fault() -> Result {
        let mm = UserMm::attach()?;
        let addr = aligned(&mm, 0)?;
        let pages = Pages::new()?;
        let file = mm.open::<FolioFile>(KBox::new(FolioFile(pages.clone()), GFP_KERNEL)?)?;
        let mapped = file.mmap(LEN, READ, SHARED, 0)?;
        let private = file.mmap(LEN, READ, PRIVATE, 0)?;

        let guard = mm.current().mmap_read_lock();
        let Handled::Done(guard) = guard.handle_mm_fault(addr, FaultAccess::Write) else {
            return Err(EIO);
        };
        assert!(guard.folio_walk(addr).is_some_and(|found| found.writable));
        let Handled::Failed(guard, EFAULT) = guard.handle_mm_fault(mapped, FaultAccess::Write)
        else {
            return Err(EIO);
        };
        // The kernel would handle this one as for a debugger.
        let Handled::Failed(guard, EFAULT) = guard.handle_mm_fault(private, FaultAccess::Write)
        else {
            return Err(EIO);
        };
        let Handled::Failed(guard, EFAULT) = guard.handle_mm_fault(0, FaultAccess::Read) else {
            return Err(EIO);
        };
        assert!(matches!(
            guard.handle_mm_fault(mapped, FaultAccess::Read),
            Handled::Retry
        ));
        // The lock was dropped: otherwise `munmap` would wait forever.
        mm.munmap(private, LEN)?;
        mm.munmap(mapped, LEN)
    }

    #[test]
    fn retry_without_waiting() -> Result {
        let mm = UserMm::attach()?;
        let pages = Pages::new()?;
        let file = mm.open::<FolioFile>(KBox::new(FolioFile(pages), GFP_KERNEL)?)?;
        let addr = file.mmap(LEN, READ, SHARED, 0)?;
        {
            let guard = mm.current().mmap_read_lock();
            let vma = guard.vma_lookup(addr).ok_or(EFAULT)?.as_ptr();
            let flags = bindings::fault_flag_FAULT_FLAG_ALLOW_RETRY
                | bindings::fault_flag_FAULT_FLAG_RETRY_NOWAIT;
            // SAFETY: The mmap lock is held, and with these flags it remains held. The address is
            // in the VMA, which permits reads.
            let code =
                unsafe { bindings::handle_mm_fault(vma, addr, flags, core::ptr::null_mut()) };
            assert_eq!(code, bindings::vm_fault_reason_VM_FAULT_RETRY);
            // SAFETY: The VMA and its mm are valid: the test unmaps the VMA later.
            let lock = unsafe { &raw mut (*(*vma).vm_mm).__bindgen_anon_1.mmap_lock };
            // SAFETY: The lock is valid. If the test gets it, it turns it into what `guard` drops.
            let dropped = unsafe {
                let dropped = bindings::down_write_trylock(lock) != 0;
                if dropped {
                    bindings::downgrade_write(lock);
                }
                dropped
            };
            assert!(!dropped);
        }
        mm.munmap(addr, LEN)
    }

    #[test]
    #[cfg(CONFIG_PER_VMA_LOCK)]
    fn handle_mm_fault_under_the_vma_lock() -> Result {
        let mm = UserMm::attach()?;
        let addr = aligned(&mm, 0)?;
        let pages = Pages::new()?;
        let file = mm.open::<FolioFile>(KBox::new(FolioFile(pages.clone()), GFP_KERNEL)?)?;
        let mapped = file.mmap(LEN, READ, SHARED, 0)?;

        let guard = mm.current().lock_vma_under_rcu(addr).ok_or(EAGAIN)?;
        let Handled::Done(guard) = guard.handle_mm_fault(addr, FaultAccess::Read) else {
            return Err(EIO);
        };
        assert_eq!(
            PageCounts::of(&*guard, addr..addr + LEN)?.present,
            PAGE_SIZE
        );
        // The layer refuses an address outside the VMA.
        let end = guard.end();
        let Handled::Failed(guard, EFAULT) = guard.handle_mm_fault(end, FaultAccess::Read) else {
            return Err(EIO);
        };
        drop(guard);
        // Under the VMA lock, too, the kernel calls the driver, which asks for a retry.
        let guard = mm.current().lock_vma_under_rcu(mapped).ok_or(EAGAIN)?;
        assert!(matches!(
            guard.handle_mm_fault(mapped, FaultAccess::Read),
            Handled::Retry
        ));
        assert_eq!(pages.folio.ref_count(), 1);
        mm.munmap(mapped, LEN)
    }
}
