// SPDX-License-Identifier: GPL-2.0

//! Tests of ranges that a driver mirrors: which changes invalidate pages, what the driver is called
//! with, and when pages are valid.

use super::{
    empty_mm,
    syscalls::{
        mprotect,
        mremap, //
    },
    threads::{
        elsewhere,
        Outcome, //
    }, //
};
use crate::{
    bindings,
    error::to_result,
    mm::{
        gup::{
            ReadOnly,
            ReadWrite, //
        },
        mirror::{
            Invalidation,
            Mirror,
            MirrorOps,
            Reason,
            WouldBlock, //
        },
        testing::{
            UserMm,
            READ,
            SHARED,
            WRITE, //
        },
        Cache,
        Mm,
        MmWithUser, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Completion, //
    }, //
};
use core::ops::Range;

/// The number of pages that the cases mirror.
const PAGES: usize = 4;
const LEN: usize = PAGES * PAGE_SIZE;

/// A driver that notes what it is called with.
struct Probe {
    /// The answer of `try_invalidate`.
    busy: Atomic<bool>,
    /// How often it was called.
    calls: Arc<Atomic<usize>>,
}

/// The last call: its range, its reason, and whether it could sleep.
type Last = Option<(Range<usize>, Reason, bool)>;

impl Probe {
    fn note(&self, last: &mut Last, invalidation: &Invalidation, may_block: bool) {
        self.calls.fetch_add(1, Relaxed);
        *last = Some((invalidation.range(), invalidation.reason(), may_block));
    }
}

#[vtable]
impl MirrorOps for Probe {
    type State = Last;

    fn invalidate(&self, last: &mut Last, invalidation: &Invalidation) {
        self.note(last, invalidation, true);
    }

    fn try_invalidate(
        &self,
        last: &mut Last,
        invalidation: &Invalidation,
    ) -> Result<(), WouldBlock> {
        if self.busy.load(Relaxed) {
            return Err(WouldBlock);
        }
        self.note(last, invalidation, false);
        Ok(())
    }
}

/// A driver that does not implement `try_invalidate`.
struct Sleeper;

#[vtable]
impl MirrorOps for Sleeper {
    type State = ();

    fn invalidate(&self, (): &mut (), _: &Invalidation) {}
}

/// Where another thread waits.
#[pin_data]
struct Gate {
    #[pin]
    open: Completion,
}

/// Lets another thread go on, at the latest when this is dropped.
struct Go(Arc<Gate>);

impl Go {
    fn tell(&self) {
        self.0.open.complete_all();
    }
}

impl Drop for Go {
    fn drop(&mut self) {
        self.tell();
    }
}

/// Makes a thread that runs a closure when it is told to.
///
/// Under the lock of a mirror, nothing may allocate memory, so the thread is made before.
fn when_told(f: impl FnOnce() -> Result + Send + 'static) -> Result<(Go, Arc<Outcome>)> {
    let gate = Arc::pin_init(
        pin_init!(Gate {
            open <- Completion::new(),
        }),
        GFP_KERNEL,
    )?;
    let theirs = gate.clone();
    let outcome = elsewhere(move || {
        theirs.open.wait_for_completion();
        f()
    })?;
    Ok((Go(gate), outcome))
}

/// Mirrors a range.
fn mirror(mm: &MmWithUser, range: Range<usize>) -> Result<Arc<Mirror<Probe>>> {
    let probe = Probe {
        busy: Atomic::new(false),
        calls: Arc::new(Atomic::new(0), GFP_KERNEL)?,
    };
    Arc::pin_init(Mirror::new(mm, range, probe, None), GFP_KERNEL)
}

/// Maps pages, the first byte of each of which is its index, and mirrors them.
fn mapped(mm: &UserMm) -> Result<(Arc<Mirror<Probe>>, usize)> {
    let addr = mm.mmap_anonymous(LEN)?;
    for index in 0..PAGES {
        mm.write(addr + index * PAGE_SIZE, &[index as u8])?;
    }
    Ok((mirror(mm.current(), addr..addr + LEN)?, addr))
}

/// How often the driver was called.
fn calls(mirror: &Mirror<Probe>) -> usize {
    mirror.data().calls.load(Relaxed)
}

/// Reads the first byte of a page through the mirror.
fn byte(mirror: &Mirror<Probe>, addr: usize) -> Result<u8> {
    let (guard, pages) = mirror.fault_locked::<ReadOnly>(addr, 1)?;
    let mut out = [0xff];
    guard.pages(&pages).ok_or(EAGAIN)?.read_at(0, &mut out)?;
    Ok(out[0])
}

/// Notifies about a change, as code of C does that must not sleep, or may.
fn notify(mm: &Mm, range: Range<usize>, may_block: bool) -> Result {
    let event = bindings::mmu_notifier_event_MMU_NOTIFY_CLEAR;
    // SAFETY: The mm is valid.
    to_result(unsafe {
        bindings::rust_mm_test_invalidate(mm.as_raw(), range.start, range.end, event, may_block)
    })
}

#[kunit_tests(rust_mm_mirror)]
mod cases {
    use super::*;

    #[test]
    fn contents() -> Result {
        let mm = UserMm::attach()?;
        let (mirror, addr) = mapped(&mm)?;
        assert_eq!(mirror.range(), addr..addr + LEN);
        let (guard, pages) = mirror.fault_locked::<ReadWrite>(addr + PAGE_SIZE, 2)?;
        let valid = guard.pages(&pages).ok_or(EAGAIN)?;
        assert_eq!(valid.nr_pages(), 2);
        assert!(valid.pfn(0).is_some() && valid.pfn(1).is_some() && valid.pfn(2).is_none());
        assert_ne!(valid.pfn(0), valid.pfn(1));
        let mut out = [0; 1];
        valid.read_at(PAGE_SIZE, &mut out)?;
        assert_eq!(out, [2]);
        // Across a page boundary.
        valid.write_at(PAGE_SIZE - 2, b"abcd")?;
        for (offset, len) in [(2 * PAGE_SIZE, 1), (2 * PAGE_SIZE - 1, 2), (usize::MAX, 1)] {
            assert_eq!(valid.write_at(offset, &b"xx"[..len]), Err(EINVAL));
            assert_eq!(valid.read_at(offset, &mut [0; 2][..len]), Err(EINVAL));
        }
        valid.write_at(2 * PAGE_SIZE, b"")?;
        drop(guard);
        assert_eq!(mm.read(addr + 2 * PAGE_SIZE - 2)?, *b"abcd");
        // User space and the mirror see the same page.
        mm.write(addr + PAGE_SIZE, b"x")?;
        let guard = mirror.lock();
        guard.pages(&pages).ok_or(EAGAIN)?.read_at(0, &mut out)?;
        assert_eq!(out, *b"x");
        drop(guard);
        assert_eq!(calls(&mirror), 0);
        Ok(())
    }

    #[test]
    fn bad_ranges() -> Result {
        let mm = UserMm::attach()?;
        let (mirror_of_test, addr) = mapped(&mm)?;
        let last = usize::MAX & !(PAGE_SIZE - 1);
        for range in [
            addr..addr,
            addr + PAGE_SIZE..addr,
            addr + 1..addr + PAGE_SIZE,
            addr..addr + 1,
            last..usize::MAX,
        ] {
            assert!(mirror(mm.current(), range).is_err_and(|e| e == EINVAL));
        }
        // The end of the addresses.
        let _whole = mirror(mm.current(), 0..last)?;

        let fault = |start, pages| mirror_of_test.fault::<ReadOnly>(start, pages).map(drop);
        assert_eq!(fault(addr, PAGES), Ok(()));
        for (start, pages) in [
            (addr, 0),
            (addr + 1, 1),
            (addr, PAGES + 1),
            (addr - PAGE_SIZE, 1),
            (addr + LEN, 1),
            (addr, usize::MAX),
            (addr, usize::MAX / PAGE_SIZE + 1),
            (last, 2),
        ] {
            assert_eq!(fault(start, pages), Err(EINVAL));
        }
        Ok(())
    }

    #[test]
    fn memory_that_cannot_be_mirrored() -> Result {
        let mm = UserMm::attach()?;
        let file = mm.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
        let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
        let read_only = mirror(mm.current(), addr..addr + PAGE_SIZE)?;
        assert_eq!(byte(&read_only, addr), Ok(0));
        let denied = read_only.fault::<ReadWrite>(addr, 1).map(drop);
        assert_eq!(denied, Err(EPERM));

        mm.munmap(addr, PAGE_SIZE)?;
        assert_eq!(byte(&read_only, addr), Err(EFAULT));

        let frames = mm.device(|dev, desc| desc.io_remap(&dev.firmware, Cache::NonCached))?;
        let addr = frames.mmap(PAGE_SIZE, READ, SHARED, 0)?;
        let of_a_device = mirror(mm.current(), addr..addr + PAGE_SIZE)?;
        assert_eq!(byte(&of_a_device, addr), Err(EFAULT));
        Ok(())
    }

    #[test]
    fn unmapped() -> Result {
        let mm = UserMm::attach()?;
        let (mirror, addr) = mapped(&mm)?;
        let (guard, pages) = mirror.fault_locked::<ReadOnly>(addr, PAGES)?;
        assert!(guard.pages(&pages).is_some());
        drop(guard);

        mm.munmap(addr + 2 * PAGE_SIZE, 4 * PAGE_SIZE)?;
        let guard = mirror.lock();
        // The part of the change that is in the range.
        let range = addr + 2 * PAGE_SIZE..addr + LEN;
        assert_eq!(*guard, Some((range, Reason::Unmap, true)));
        assert!(guard.pages(&pages).is_none());
        drop(guard);
        assert_eq!(calls(&mirror), 1);
        assert_eq!(byte(&mirror, addr + PAGE_SIZE), Ok(1));
        assert_eq!(byte(&mirror, addr + 2 * PAGE_SIZE), Err(EFAULT));
        Ok(())
    }

    /// A page that comes in place of another one at the same address.
    #[test]
    fn mapped_anew() -> Result {
        let mm = UserMm::attach()?;
        let (mirror, addr) = mapped(&mm)?;
        let (guard, pages) = mirror.fault_locked::<ReadOnly>(addr + 3 * PAGE_SIZE, 1)?;
        drop(guard);
        let file = mm.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
        file.mmap_over(addr, LEN, READ | WRITE, SHARED, 0)?;
        mm.write(addr + 3 * PAGE_SIZE, b"n")?;
        assert!(mirror.lock().pages(&pages).is_none());
        assert_eq!(byte(&mirror, addr + 3 * PAGE_SIZE), Ok(b'n'));
        Ok(())
    }

    #[test]
    fn protected() -> Result {
        let mm = UserMm::attach()?;
        let (mirror, addr) = mapped(&mm)?;
        let (guard, pages) = mirror.fault_locked::<ReadWrite>(addr, 1)?;
        drop(guard);
        mprotect(&mm, addr, PAGE_SIZE, READ)?;
        let guard = mirror.lock();
        let range = addr..addr + PAGE_SIZE;
        assert_eq!(*guard, Some((range, Reason::ProtectionVma, true)));
        assert!(guard.pages(&pages).is_none());
        drop(guard);
        assert!(mirror
            .fault::<ReadWrite>(addr, 1)
            .is_err_and(|e| e == EPERM));
        assert_eq!(byte(&mirror, addr), Ok(0));
        mprotect(&mm, addr, PAGE_SIZE, 0)?;
        assert_eq!(byte(&mirror, addr), Err(EFAULT));
        Ok(())
    }

    #[test]
    fn moved() -> Result {
        let mm = UserMm::attach()?;
        let (mirror, addr) = mapped(&mm)?;
        let to = mm.mmap_anonymous(PAGE_SIZE)?;
        let (guard, pages) = mirror.fault_locked::<ReadOnly>(addr, 1)?;
        drop(guard);
        mremap(&mm, addr, PAGE_SIZE, PAGE_SIZE, to)?;
        assert!(mirror.lock().pages(&pages).is_none());
        assert_eq!(byte(&mirror, addr), Err(EFAULT));
        assert_eq!(mm.read(to)?, [0]);
        Ok(())
    }

    /// The kernel changes the range between `fault` and `lock`.
    #[test]
    fn collision() -> Result {
        let mm = UserMm::attach()?;
        let (mirror, addr) = mapped(&mm)?;
        let faulted = mirror.fault::<ReadOnly>(addr, 1)?;
        assert!(!faulted.collided());
        notify(mm.current(), addr + PAGE_SIZE..addr + LEN, true)?;
        assert!(faulted.collided());
        assert!(faulted.lock().is_err_and(|e| e == EAGAIN));
        // Nothing collides with what happens elsewhere.
        let faulted = mirror.fault::<ReadOnly>(addr, 1)?;
        let other = mm.mmap_anonymous(PAGE_SIZE)?;
        mm.munmap(other, PAGE_SIZE)?;
        assert!(!faulted.collided());
        assert!(faulted.lock().is_ok());
        assert_eq!(calls(&mirror), 1);
        Ok(())
    }

    /// Pages of one mirror are not valid in another one, also if that is where the first one was.
    #[test]
    fn pages_of_another_mirror() -> Result {
        let mm = UserMm::attach()?;
        let (first, addr) = mapped(&mm)?;
        let second = mirror(mm.current(), addr..addr + LEN)?;
        let (guard, pages) = first.fault_locked::<ReadOnly>(addr, 1)?;
        drop(guard);
        assert!(second.lock().pages(&pages).is_none());
        assert!(first.lock().pages(&pages).is_some());
        drop(first);
        for _ in 0..8 {
            let again = mirror(mm.current(), addr..addr + LEN)?;
            assert!(again.lock().pages(&pages).is_none());
        }
        Ok(())
    }

    /// What must not sleep does not wait for the lock.
    #[test]
    fn without_sleeping() -> Result {
        let mm = UserMm::attach()?;
        let (mirror, addr) = mapped(&mm)?;
        let range = addr..addr + LEN;
        let theirs: ARef<Mm> = ARef::from(&**mm.current());
        let their_range = range.clone();
        // On another thread, since lockdep would not accept it on this one.
        let (go, change) = when_told(move || match notify(&theirs, their_range, false) {
            Err(e) if e == EAGAIN => Ok(()),
            _ => Err(EIO),
        })?;
        let (guard, pages) = mirror.fault_locked::<ReadOnly>(addr, 1)?;
        go.tell();
        change.wait()?;
        assert!(guard.pages(&pages).is_some());
        drop(guard);
        assert_eq!(calls(&mirror), 0);

        mirror.data().busy.store(true, Relaxed);
        assert_eq!(notify(mm.current(), range.clone(), false), Err(EAGAIN));
        mirror.data().busy.store(false, Relaxed);
        let faulted = mirror.fault::<ReadOnly>(addr, 1)?;
        notify(mm.current(), range.clone(), false)?;
        assert!(faulted.lock().is_err_and(|e| e == EAGAIN));
        let guard = mirror.lock();
        assert_eq!(*guard, Some((range, Reason::Clear, false)));
        assert!(guard.pages(&pages).is_none());
        Ok(())
    }

    /// A driver that can only sleep.
    #[test]
    fn always_sleeping() -> Result {
        let mm = UserMm::attach()?;
        let addr = mm.mmap_anonymous(LEN)?;
        let range = addr..addr + LEN;
        let _mirror = KBox::pin_init(
            Mirror::new(mm.current(), range.clone(), Sleeper, ()),
            GFP_KERNEL,
        )?;
        assert_eq!(notify(mm.current(), range.clone(), false), Err(EAGAIN));
        notify(mm.current(), range, true)
    }

    /// A change waits for the lock.
    #[test]
    fn waits_for_the_lock() -> Result {
        let mm = UserMm::attach()?;
        let (mirror, addr) = mapped(&mm)?;
        let theirs: ARef<Mm> = ARef::from(&**mm.current());
        let (go, change) = when_told(move || notify(&theirs, addr..addr + LEN, true))?;
        let (guard, pages) = mirror.fault_locked::<ReadOnly>(addr, 1)?;
        go.tell();
        crate::time::delay::fsleep(crate::time::Delta::from_millis(20));
        assert!(guard.pages(&pages).is_some());
        assert_eq!(calls(&mirror), 0);
        drop(guard);
        change.wait()?;
        assert_eq!(calls(&mirror), 1);
        assert!(mirror.lock().pages(&pages).is_none());
        Ok(())
    }

    #[test]
    fn mm_that_ends() -> Result {
        let user = empty_mm()?;
        let mirror = mirror(&user, PAGE_SIZE..3 * PAGE_SIZE)?;
        assert!(mirror
            .fault::<ReadOnly>(PAGE_SIZE, 1)
            .is_err_and(|e| e == EFAULT));
        drop(user);
        let range = PAGE_SIZE..3 * PAGE_SIZE;
        assert_eq!(*mirror.lock(), Some((range, Reason::Release, true)));
        assert_eq!(calls(&mirror), 1);
        assert!(mirror
            .fault::<ReadOnly>(PAGE_SIZE, 1)
            .is_err_and(|e| e == ESRCH));
        Ok(())
    }

    /// After a mirror was dropped, nothing calls the driver.
    #[test]
    fn dropped() -> Result {
        let mm = UserMm::attach()?;
        let (mirror, addr) = mapped(&mm)?;
        let calls = mirror.data().calls.clone();
        notify(mm.current(), addr..addr + LEN, true)?;
        assert_eq!(calls.load(Relaxed), 1);
        drop(mirror);
        notify(mm.current(), addr..addr + LEN, true)?;
        assert_eq!(calls.load(Relaxed), 1);
        Ok(())
    }
}
