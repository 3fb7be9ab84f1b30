// SPDX-License-Identifier: GPL-2.0

//! Tests of the rows of the lock table.

use super::*;
#[cfg(CONFIG_PER_VMA_LOCK)]
use crate::mm::pgtable::PageCounts;

#[kunit_tests(rust_mm_locks)]
mod cases {
    use super::*;

    #[test]
    fn unlocked() -> Result {
        let _user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let mm = &*layout.mm;
        let addr = layout.addr(9);

        let copy = mm.speculate(|mm| mm.vma(addr)).flatten();
        #[cfg(CONFIG_PER_VMA_LOCK)]
        {
            let copy = copy.ok_or(EFAULT)?;
            let vma = mm.lock_vma(addr).ok_or(EFAULT)?;
            assert_eq!((copy.start, copy.end), (vma.start(), vma.end()));
            assert_eq!(
                (copy.pgoff, copy.flags),
                (vma.pgoff(), vma.stable().flags())
            );
            drop(vma);
            assert_eq!(mm.speculate(|mm| mm.vma(layout.addr(7))), Some(None));
        }
        #[cfg(not(CONFIG_PER_VMA_LOCK))]
        assert!(copy.is_none());
        Ok(())
    }

    #[cfg(CONFIG_PER_VMA_LOCK)]
    #[test]
    fn speculation_is_repeated() -> Result {
        let user = UserMm::attach()?;
        let mm = user.current();
        let mut calls = 0;
        // The lock is taken for writing during the first call only.
        let result = mm.speculate(|_| {
            calls += 1;
            if calls == 1 {
                drop(mm.mmap_write_lock());
            }
            calls
        });
        assert_eq!(result, Some(2));

        // A reader does not invalidate the speculation.
        assert_eq!(mm.speculate(|_| is_readable(mm)), Some(true));

        // The lock is taken for writing during each call.
        let mut calls = 0;
        let result = mm.speculate(|_| {
            calls += 1;
            drop(mm.mmap_write_lock());
        });
        assert_eq!((result, calls), (None, 3));

        // The lock is held for writing all the time.
        let guard = mm.mmap_write_lock();
        assert_eq!(mm.speculate(|_| ()), None);
        drop(guard);
        assert_eq!(mm.speculate(|_| ()), Some(()));
        Ok(())
    }

    #[test]
    fn vma_read() -> Result {
        let _user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let mm = &*layout.mm;

        let vma = mm.lock_vma(layout.addr(8)).ok_or(EFAULT)?;
        assert_eq!(layout.pages(&vma), 8..12);
        #[cfg(CONFIG_PER_VMA_LOCK)]
        {
            assert!(vma.is_vma_locked());
            // The mmap lock is free, so other threads can change the rest of the mm.
            assert!(is_unlocked(mm));
            assert_eq!(readers(&vma), 1);
            let second = mm.lock_vma_under_rcu(layout.addr(11)).ok_or(EFAULT)?;
            assert_eq!(readers(&vma), 2);
            drop(second);
            assert_eq!(readers(&vma), 1);
        }
        #[cfg(not(CONFIG_PER_VMA_LOCK))]
        assert!(!vma.is_vma_locked() && !is_unlocked(mm));
        drop(vma);
        assert!(is_unlocked(mm));

        assert!(mm.lock_vma(layout.addr(7)).is_none());
        assert!(is_unlocked(mm));
        #[cfg(CONFIG_PER_VMA_LOCK)]
        assert_eq!(
            mm.mmap_read_lock()
                .vma_lookup(layout.addr(8))
                .map(|vma| readers(vma)),
            Some(0)
        );
        Ok(())
    }

    #[cfg(CONFIG_PER_VMA_LOCK)]
    #[test]
    fn vma_read_falls_back() -> Result {
        let _user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let mm = &*layout.mm;
        let addr = layout.addr(8);

        // `lock_vma` takes the mmap lock for a moment, to lock the VMA.
        look_write_locked(mm, addr)?;
        assert!(mm.lock_vma_under_rcu(addr).is_none());
        let vma = mm.lock_vma(addr).ok_or(EFAULT)?;
        assert!(vma.is_vma_locked() && is_unlocked(mm));
        assert_eq!(layout.pages(&vma), 8..12);
        drop(vma);

        // With too many readers of the VMA, `lock_vma` keeps the mmap lock instead of a VMA lock.
        let count = {
            let guard = mm.mmap_read_lock();
            let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
            // SAFETY: The VMA is valid, and is not unmapped before the end of this case.
            unsafe { &raw mut (*vma.as_ptr()).vm_refcnt.refs.counter }
        };
        // SAFETY: The pointer is valid, and no other thread uses this mm.
        unsafe { *count = bindings::VM_REFCNT_LIMIT as i32 };
        let read_locked = mm.mmap_read_lock().vma_start_read_locked(addr).is_some();
        let by_address = mm
            .lock_vma(addr)
            .map(|vma| (vma.is_vma_locked(), layout.pages(&vma)));
        let walked = mm.lock_vma(addr).map(|vma| {
            let counts = PageCounts::of(&vma, layout.range(8..12));
            (vma.is_vma_locked(), counts.map(|counts| counts.present))
        });
        let mut walk = mm.walk_locked(layout.range(8..12));
        let by_walk = walk
            .next_vma()?
            .map(|vma| (vma.is_vma_locked(), is_unlocked(mm)));
        // SAFETY: The pointer is valid, and no other thread uses this mm.
        unsafe { *count = 1 };
        assert!(!read_locked);
        assert_eq!(by_address, Some((false, 8..12)));
        assert_eq!(walked, Some((false, Ok(0))));
        assert_eq!(by_walk, Some((false, false)));
        assert!(is_unlocked(mm));
        Ok(())
    }

    #[test]
    fn vma_read_from_mmap_read() -> Result {
        let _user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let mm = &*layout.mm;

        let guard = mm.mmap_read_lock();
        let vma = guard.vma_start_read_locked(layout.addr(3));
        assert!(guard.vma_start_read_locked(layout.addr(7)).is_none());
        assert!(!is_unlocked(mm));
        drop(guard);
        assert!(is_unlocked(mm));
        assert_eq!(vma.is_some(), cfg!(CONFIG_PER_VMA_LOCK));
        if let Some(vma) = vma {
            assert_eq!(layout.pages(&vma), 3..4);
            #[cfg(CONFIG_PER_VMA_LOCK)]
            assert_eq!(readers(&vma), 1);
        }

        let vma = mm.mmap_read_lock().into_vma(layout.addr(6)).ok_or(EFAULT)?;
        #[cfg(CONFIG_PER_VMA_LOCK)]
        assert_eq!(readers(&vma), 1);
        assert_eq!(vma.is_vma_locked(), cfg!(CONFIG_PER_VMA_LOCK));
        assert_eq!(is_unlocked(mm), cfg!(CONFIG_PER_VMA_LOCK));
        assert_eq!(layout.pages(&vma), 6..7);
        drop(vma);
        assert!(mm.mmap_read_lock().into_vma(layout.addr(5)).is_none());
        assert!(is_unlocked(mm));
        Ok(())
    }

    #[test]
    fn mmap_read() -> Result {
        let _user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let mm = &*layout.mm;

        for killable in [false, true] {
            let guard = match killable {
                false => mm.mmap_read_lock(),
                true => mm.mmap_read_lock_killable()?,
            };
            assert!(is_readable(mm) && !is_unlocked(mm));
            assert_eq!(
                guard
                    .vma_lookup(layout.addr(2))
                    .map(|vma| layout.pages(vma)),
                Some(1..3)
            );
            drop(guard);
            assert!(is_unlocked(mm));
        }
        Ok(())
    }

    #[test]
    fn mmap_write() -> Result {
        let _user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let mm = &*layout.mm;

        let guard = mm.mmap_write_lock();
        assert!(!is_readable(mm));
        let vma = guard.vma_lookup(layout.addr(2)).ok_or(EFAULT)?;
        assert_eq!(layout.pages(vma), 1..3);
        // A reader may still lock the VMA, which is not write-locked yet.
        assert_eq!(
            mm.lock_vma_under_rcu(layout.addr(2)).is_some(),
            cfg!(CONFIG_PER_VMA_LOCK)
        );
        drop(guard);
        assert!(is_unlocked(mm));

        let guard = mm.mmap_write_lock_killable()?;
        assert!(!is_readable(mm));
        drop(guard);
        assert!(is_unlocked(mm));
        Ok(())
    }

    #[test]
    fn mmap_and_vma_write() -> Result {
        let _user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let mm = &*layout.mm;

        let guard = mm.mmap_write_lock();
        let first = guard.vma_lookup(layout.addr(1)).ok_or(EFAULT)?;
        let write = first.start_write();
        // A reader cannot lock this VMA, but can lock the others.
        assert!(mm.lock_vma_under_rcu(layout.addr(2)).is_none());
        assert_eq!(
            mm.lock_vma_under_rcu(layout.addr(3)).is_some(),
            cfg!(CONFIG_PER_VMA_LOCK)
        );
        // Locking it again has no effect.
        assert_eq!(write.start_write().start(), first.start());
        let other = guard.vma_lookup(layout.addr(3)).ok_or(EFAULT)?;
        other.start_write_killable()?;
        assert!(mm.lock_vma_under_rcu(layout.addr(3)).is_none());
        drop(guard);

        // Dropping the mmap lock has dropped all VMA write locks.
        for page in [2, 3] {
            let vma = mm.lock_vma_under_rcu(layout.addr(page));
            assert_eq!(vma.is_some(), cfg!(CONFIG_PER_VMA_LOCK));
        }
        Ok(())
    }

    #[test]
    fn downgrade() -> Result {
        let _user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let mm = &*layout.mm;

        let mut guard = mm.mmap_write_lock();
        let range = layout.range(8..9);
        guard.munmap(range.start, PAGE_SIZE)?;
        guard
            .vma_lookup(layout.addr(1))
            .ok_or(EFAULT)?
            .start_write();

        let guard = guard.downgrade();
        assert!(is_readable(mm) && !is_unlocked(mm));
        assert!(guard.vma_lookup(range.start).is_none());
        assert_eq!(
            guard.vma_lookup(range.end).map(|vma| layout.pages(vma)),
            Some(9..12)
        );
        // The downgrade has dropped the VMA write lock.
        let vma = guard.vma_start_read_locked(layout.addr(1));
        assert_eq!(vma.is_some(), cfg!(CONFIG_PER_VMA_LOCK));
        drop(vma);
        assert_eq!(
            mm.lock_vma_under_rcu(layout.addr(1)).is_some(),
            cfg!(CONFIG_PER_VMA_LOCK)
        );
        drop(guard);
        assert!(is_unlocked(mm));
        Ok(())
    }

    #[test]
    fn mmap_vma_and_rmap_write() -> Result {
        let user = UserMm::attach()?;
        let file = user.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
        let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
        let mm = user.current();

        let guard = mm.mmap_write_lock();
        let vma = guard.vma_lookup(addr).ok_or(EFAULT)?.start_write();
        let mappings = file.file().i_mmap_lock_write()?;
        // The file leads to the same VMA. No other thread can reach it, by any of the three locks.
        assert!(mappings
            .vmas(0..1)
            .any(|other| other.start() == vma.start()));
        assert!(mm.lock_vma_under_rcu(addr).is_none() && !is_readable(mm));
        assert!(file.file().i_mmap_trylock_read()?.is_none());
        drop(mappings);
        drop(guard);
        assert!(is_unlocked(mm) && file.file().i_mmap_trylock_write()?.is_some());
        user.munmap(addr, PAGE_SIZE)
    }

    #[test]
    fn nested() -> Result {
        let user = UserMm::attach()?;
        let mm = user.current();
        let other = empty_mm()?;

        let outer = mm.mmap_write_lock();
        assert_eq!(mm.mmap_write_lock_nested(&outer).err(), Some(EDEADLK));
        let mut inner = other.mmap_write_lock_nested(&outer)?;
        assert!(!is_readable(&other) && !is_readable(mm));
        assert!(inner.vmas(0..usize::MAX).next().is_none());
        // The layer refuses to unmap in an mm that is not the current one.
        assert_eq!(inner.munmap(0, PAGE_SIZE), Err(EINVAL));
        // The locks may be dropped in any order.
        drop(outer);
        assert!(is_unlocked(mm) && !is_readable(&other));
        drop(inner);
        assert!(is_unlocked(&other));
        Ok(())
    }
}
