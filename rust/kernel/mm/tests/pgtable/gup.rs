// SPDX-License-Identifier: GPL-2.0

//! Tests of user pages that the kernel pins or references.

use super::{
    files::{
        FolioFile,
        Pages, //
    },
    *,
};
use crate::{
    mm::{
        gup::{
            Hold,
            HoldFor,
            Pinned,
            PinnedLongTerm,
            ReadOnly,
            ReadWrite,
            Referenced,
            UserPages, //
        },
        Folio, //
    },
    sync::Arc,
    task::Task, //
};

/// The value that a pin adds to the reference count of a small folio.
const PIN: usize = 1024;

/// Maps a folio, and returns its device, its file and the address.
fn mapped(mm: &UserMm, prot: usize) -> Result<(Arc<Pages>, UserFile<'_>, usize)> {
    let pages = Pages::new()?;
    pages.folio.write_at(0, b"folio")?;
    let file = mm.open::<FolioFile>(KBox::new(FolioFile(pages.clone()), GFP_KERNEL)?)?;
    let addr = file.mmap(LEN, prot, SHARED, 0)?;
    Ok((pages, file, addr))
}

/// Checks that one way to hold pages holds a page and releases it.
fn held_and_given_up<H: Hold, A: HoldFor>(
    adds: usize,
    hold: impl FnOnce(usize) -> Result<UserPages<H, A>>,
) -> Result {
    let mm = UserMm::attach()?;
    let (pages, _file, addr) = mapped(&mm, READ | WRITE)?;
    assert_eq!(mm.read(addr)?, *b"folio");
    assert_eq!(pages.folio.ref_count(), 2);
    let held = hold(addr)?;
    assert_eq!(held.nr_pages(), 1);
    assert_eq!(pages.folio.ref_count(), 2 + adds);
    // The page is held after it is unmapped.
    mm.munmap(addr, LEN)?;
    assert_eq!(pages.folio.ref_count(), 1 + adds);
    drop(held);
    assert_eq!(pages.folio.ref_count(), 1);
    Ok(())
}

/// Runs `held_and_given_up` with the given expression for each kind of hold and of access.
macro_rules! each_way {
    ($addr:ident => $hold:expr) => {{
        fn way<H: Hold, A: HoldFor>(adds: usize) -> Result {
            held_and_given_up::<H, A>(adds, |$addr| $hold)
        }
        way::<Pinned, ReadOnly>(PIN)?;
        way::<Pinned, ReadWrite>(PIN)?;
        way::<PinnedLongTerm, ReadOnly>(PIN)?;
        way::<PinnedLongTerm, ReadWrite>(PIN)?;
        way::<Referenced, ReadOnly>(1)?;
        way::<Referenced, ReadWrite>(1)
    }};
}

#[kunit_tests(rust_mm_gup)]
mod cases {
    use super::*;

    #[test]
    fn fast() -> Result {
        each_way!(addr => UserPages::fast(addr, 1))
    }

    #[test]
    fn unlocked() -> Result {
        each_way!(addr => UserPages::unlocked(addr, 1))
    }

    #[test]
    fn current() -> Result {
        each_way!(addr => {
            let mm = UserMm::attach()?;
            let guard = mm.current().mmap_read_lock();
            UserPages::current(&guard, addr, 1)
        })
    }

    #[test]
    fn remote() -> Result {
        each_way!(addr => {
            let mm = UserMm::attach()?;
            let guard = mm.current().mmap_read_lock();
            UserPages::remote(&guard, addr, 1)
        })
    }

    #[test]
    fn remote_unlockable() -> Result {
        each_way!(addr => {
            let mm = UserMm::attach()?;
            let guard = mm.current().mmap_read_lock();
            let (pages, guard) = UserPages::remote_unlockable(guard, addr, 1);
            // The fault had nothing to wait for, so it has not dropped the lock.
            assert!(guard.is_some());
            pages
        })
    }

    #[test]
    fn remote_gives_up_the_lock() -> Result {
        let mm = UserMm::attach()?;
        let (pages, _file, addr) = mapped(&mm, READ)?;
        // The page is not mapped yet, and the driver first asks for a retry.
        let guard = mm.current().mmap_read_lock();
        let (held, guard) = UserPages::<Pinned, ReadOnly>::remote_unlockable(guard, addr, 1);
        assert!(guard.is_none());
        let mut out = [0; 5];
        held?.read_at(0, &mut out)?;
        assert_eq!(out, *b"folio");
        assert_eq!(pages.folio.ref_count(), 2);
        // The lock was dropped: otherwise `munmap` would wait forever.
        mm.munmap(addr, LEN)
    }

    #[test]
    fn contents() -> Result {
        let mm = UserMm::attach()?;
        let (pages, _file, addr) = mapped(&mm, READ | WRITE)?;
        let held = UserPages::<Pinned, ReadWrite>::fast(addr, 2)?;
        assert_eq!((held.nr_pages(), held.len()), (2, 2 * PAGE_SIZE));
        held.write_at(PAGE_SIZE, b"p")?;
        let mut out = [0; 5];
        held.read_at(0, &mut out)?;
        assert_eq!(out, *b"polio");
        assert_eq!(mm.read(addr)?, *b"polio");
        assert_eq!(held.read_at(2 * PAGE_SIZE - 4, &mut out), Err(EINVAL));
        assert_eq!(held.read_at(usize::MAX, &mut out), Err(EINVAL));
        assert_eq!(held.write_at(2 * PAGE_SIZE, b"x"), Err(EINVAL));
        drop(held);
        assert_eq!(pages.folio.ref_count(), 3);
        Ok(())
    }

    #[test]
    fn writing_makes_dirty() -> Result {
        let mm = UserMm::attach()?;
        let (pages, _file, addr) = mapped(&mm, READ | WRITE)?;
        let flags = || {
            // SAFETY: `pages` holds a reference to the folio.
            unsafe {
                &raw mut (*pages.folio.as_ptr())
                    .__bindgen_anon_1
                    .__bindgen_anon_1
                    .flags
                    .f
            }
        };
        let dirty = 1 << bindings::pageflags_PG_dirty;
        // SAFETY: The flags are those of a valid folio, and no other thread changes them meanwhile.
        let is_dirty = || unsafe { *flags() } & dirty != 0;

        // The fault has set the dirty flag, so clear it first.
        mm.write(addr, b"f")?;
        // SAFETY: The flags are those of a valid folio, and no other thread changes them meanwhile.
        unsafe { *flags() &= !dirty };
        let held = UserPages::<Pinned, ReadWrite>::fast(addr, 1)?;
        drop(held);
        assert!(!is_dirty());
        let held = UserPages::<Pinned, ReadWrite>::fast(addr, 1)?;
        held.write_at(0, b"x")?;
        drop(held);
        assert!(is_dirty());
        Ok(())
    }

    #[test]
    fn pins_are_seen() -> Result {
        fn seen<H: Hold, A: HoldFor>(expected: bool) -> Result {
            let mm = UserMm::attach()?;
            let (pages, _file, addr) = mapped(&mm, READ | WRITE)?;
            mm.write(addr, b"f")?;
            assert!(!pages.folio.maybe_dma_pinned());
            let held = UserPages::<H, A>::fast(addr, 1)?;
            assert_eq!(pages.folio.maybe_dma_pinned(), expected);
            mm.munmap(addr, LEN)?;
            assert_eq!(pages.folio.maybe_dma_pinned(), expected);
            drop(held);
            assert!(!pages.folio.maybe_dma_pinned());
            Ok(())
        }
        seen::<Pinned, ReadWrite>(true)?;
        seen::<Pinned, ReadOnly>(true)?;
        seen::<PinnedLongTerm, ReadWrite>(true)?;
        seen::<Referenced, ReadWrite>(false)
    }

    #[test]
    fn references_count_as_pins() -> Result {
        let folio = Folio::alloc(0, GFP_KERNEL)?;
        let mut references = KVec::with_capacity(PIN, GFP_KERNEL)?;
        for _ in 1..PIN {
            assert!(!folio.maybe_dma_pinned());
            references.push(folio.clone(), GFP_KERNEL)?;
        }
        assert!(folio.maybe_dma_pinned());
        // A large folio has a count of its own for pins.
        let large = Folio::alloc(2, GFP_KERNEL)?;
        references.clear();
        for _ in 0..PIN {
            references.push_within_capacity(large.clone())?;
        }
        assert!(!large.maybe_dma_pinned());
        Ok(())
    }

    #[test]
    fn what_cannot_be_held() -> Result {
        let mm = UserMm::attach()?;
        let (_pages, _file, addr) = mapped(&mm, READ)?;
        type Rd = UserPages<Pinned, ReadOnly>;
        type Wr = UserPages<Pinned, ReadWrite>;
        let errno = |result: Result<Rd>| result.err();

        assert_eq!(errno(Rd::fast(addr + 1, 1)), Some(EINVAL));
        assert_eq!(errno(Rd::fast(addr, 0)), Some(EINVAL));
        assert_eq!(errno(Rd::fast(addr, usize::MAX)), Some(EINVAL));
        assert_eq!(errno(Rd::fast(addr, 1 << 30)), Some(EINVAL));
        assert_eq!(errno(Rd::fast(0, 1)), Some(EFAULT));
        assert_eq!(
            errno(Rd::fast(usize::MAX & !(PAGE_SIZE - 1), 2)),
            Some(EOVERFLOW)
        );
        assert_eq!(
            errno(Rd::unlocked(usize::MAX & !(PAGE_SIZE - 1), 1)),
            Some(EFAULT)
        );
        // The mapping is read-only.
        assert!(Wr::fast(addr, 1).is_err_and(|e| e == EFAULT));
        assert!(Wr::unlocked(addr, 1).is_err_and(|e| e == EFAULT));
        // The call returns the pages up to the end of the mapping.
        mm.munmap(addr + 2 * PAGE_SIZE, 2 * PAGE_SIZE)?;
        assert_eq!(Rd::fast(addr, 4)?.nr_pages(), 2);
        Ok(())
    }

    #[test]
    #[cfg(CONFIG_X86)]
    fn device_memory_cannot_be_held() -> Result {
        let mm = UserMm::attach()?;
        let file = mm.device(|dev, desc| desc.remap_pfn(dev.firmware.pfns(), Cache::Cached))?;
        let addr = file.mmap(LEN, READ, SHARED, 0)?;
        assert!(UserPages::<Pinned, ReadOnly>::fast(addr, 1).is_err_and(|e| e == EFAULT));
        assert!(UserPages::<Referenced, ReadOnly>::unlocked(addr, 1).is_err_and(|e| e == EFAULT));
        Ok(())
    }

    #[test]
    fn without_user_space() -> Result {
        // This thread uses no mm.
        assert!(UserPages::<Pinned, ReadOnly>::fast(PAGE_SIZE, 1).is_err_and(|e| e == EFAULT));
        assert!(
            UserPages::<Referenced, ReadOnly>::unlocked(PAGE_SIZE, 1).is_err_and(|e| e == EFAULT)
        );
        Ok(())
    }

    #[test]
    fn of_another_mm() -> Result {
        let mm = UserMm::attach()?;
        let (_pages, _file, addr) = mapped(&mm, READ)?;
        let other = empty_mm()?;
        {
            let guard = other.mmap_read_lock();
            let held = UserPages::<Pinned, ReadOnly>::current(&guard, addr, 1);
            assert!(held.is_err_and(|e| e == EINVAL));
            let held = UserPages::<Pinned, ReadOnly>::remote(&guard, addr, 1);
            assert!(held.is_err_and(|e| e == EFAULT));
        }
        let mut out = [0; 5];
        assert_eq!(other.read_remote_vm(addr, &mut out), 0);
        // Through the mm of the test, the same call succeeds.
        assert_eq!(mm.current().read_remote_vm(addr, &mut out), 5);
        assert_eq!(out, *b"folio");
        Ok(())
    }

    #[test]
    fn access_remote_vm() -> Result {
        let mm = UserMm::attach()?;
        let (pages, file, addr) = mapped(&mm, READ)?;
        let mut out = [0; 8];
        // Across the end of the mapping: only the bytes in it.
        assert_eq!(mm.current().read_remote_vm(addr + LEN - 3, &mut out), 3);
        assert_eq!(mm.current().write_remote_vm(addr, b"x"), 0);
        let writable = file.mmap(LEN, READ | WRITE, SHARED, 0)?;
        assert_eq!(mm.current().write_remote_vm(writable, b"by force"), 8);
        assert_eq!(mm.current().read_remote_vm(addr, &mut out), 8);
        assert_eq!(out, *b"by force");
        pages.folio.read_at(0, &mut out)?;
        assert_eq!(out, *b"by force");
        assert_eq!(mm.current().read_remote_vm(addr, &mut []), 0);
        Ok(())
    }

    #[test]
    fn access_process_vm() -> Result {
        let mm = UserMm::attach()?;
        let (_pages, _file, addr) = mapped(&mm, READ | WRITE)?;
        let task = Task::current_raw();
        let mut out = [0; 5];
        // The call refuses a kernel thread, which only borrows its mm.
        assert_eq!(current!().read_process_vm(addr, &mut out), 0);
        // SAFETY: The flags are those of the current task, and no other task writes them. The task
        // has an mm, so for the time of these calls it can pass as a process.
        unsafe { (*task).flags &= !bindings::PF_KTHREAD };
        let written = current!().write_process_vm(addr, b"F");
        let read = current!().read_process_vm(addr, &mut out);
        // SAFETY: The flags are those of the current task, and no other task writes them.
        unsafe { (*task).flags |= bindings::PF_KTHREAD };
        assert_eq!((written, read), (1, 5));
        assert_eq!(out, *b"Folio");
        Ok(())
    }
}
