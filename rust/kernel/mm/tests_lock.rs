// SPDX-License-Identifier: GPL-2.0

//! The lock states of an address space, and what can be done in each, on a real address space.
//!
//! One case for each row of the tables in Documentation/rust/mm/locking.rst, which names them.

use crate::{
    bindings,
    fs::File,
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    mm::{
        desc::{
            Mapping,
            VmaDesc, //
        },
        flags::VmaFlag,
        iter::MmapLocked,
        ops::{
            Ordinary,
            PerFile,
            VmOperations, //
        },
        testing::{
            UserMm,
            READ,
            SHARED, //
        },
        user::{
            CurrentMm,
            MapFlags,
            Protection, //
        },
        virt::VmaRef,
        vma::{
            AdviceFlags,
            StableVma, //
        },
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
        new_condvar,
        new_mutex,
        Arc,
        CondVar,
        Mutex, //
    },
    workqueue::{
        self,
        impl_has_work,
        new_work,
        Work,
        WorkItem, //
    }, //
};
use core::{
    ops::Range,
    ptr::NonNull, //
};

const READ_WRITE: Protection = Protection::READ_WRITE;

/// 16 pages of address space, with four VMAs: pages 1 and 2, page 3, page 6, and pages 8 to 11.
struct Layout<'t> {
    mm: CurrentMm<'t>,
    base: usize,
}

impl<'t> Layout<'t> {
    const VMAS: [Range<usize>; 4] = [1..3, 3..4, 6..7, 8..12];

    fn new(mut mm: CurrentMm<'t>) -> Result<Self> {
        let len = 16 * PAGE_SIZE;
        let base = mm.vm_mmap(None, 0, len, Protection::NONE, MapFlags::PRIVATE, 0)?;
        mm.vm_munmap(base, len)?;
        let mut layout = Self { mm, base };
        // Neighbours of different protection, which are not merged.
        let prots = [READ_WRITE, Protection::READ, READ_WRITE, Protection::READ];
        for (pages, prot) in Self::VMAS.into_iter().zip(prots) {
            layout.map(pages, prot)?;
        }
        Ok(layout)
    }

    fn map(&mut self, pages: Range<usize>, prot: Protection) -> Result {
        let range = self.range(pages);
        let flags = MapFlags::PRIVATE | MapFlags::FIXED_NOREPLACE;
        let (start, len) = (range.start, range.end - range.start);
        self.mm.vm_mmap(None, start, len, prot, flags, 0)?;
        Ok(())
    }

    fn addr(&self, page: usize) -> usize {
        self.base + page * PAGE_SIZE
    }

    fn range(&self, pages: Range<usize>) -> Range<usize> {
        self.addr(pages.start)..self.addr(pages.end)
    }

    /// The pages of a VMA.
    fn pages(&self, vma: &StableVma) -> Range<usize> {
        (vma.start() - self.base) / PAGE_SIZE..(vma.end() - self.base) / PAGE_SIZE
    }

    fn all(&self) -> Range<usize> {
        self.range(0..16)
    }
}

/// Can the mmap lock be had for writing?
fn is_unlocked(mm: &MmWithUser) -> bool {
    // SAFETY: A lock that is valid as long as the address space is.
    unsafe {
        let lock = &raw mut (*mm.as_raw()).__bindgen_anon_1.mmap_lock;
        let free = bindings::down_write_trylock(lock) != 0;
        if free {
            bindings::up_write(lock);
        }
        free
    }
}

/// Can the mmap lock be had for reading?
fn is_readable(mm: &MmWithUser) -> bool {
    mm.mmap_read_trylock().is_some()
}

/// The count of references to a VMA, one of which is that of the address space.
#[cfg(CONFIG_PER_VMA_LOCK)]
fn readers(vma: &StableVma) -> i32 {
    // SAFETY: The VMA is alive.
    unsafe { (*vma.as_ptr()).vm_refcnt.refs.counter - 1 }
}

/// Makes a VMA look write-locked to those who have no lock, as after 2^32 write locks.
#[cfg(CONFIG_PER_VMA_LOCK)]
fn look_write_locked(mm: &MmWithUser, addr: usize) -> Result {
    let guard = mm.mmap_read_lock();
    let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    // SAFETY: Nobody else has this address space.
    unsafe {
        (*vma.as_ptr()).vm_lock_seq = (*mm.as_raw()).__bindgen_anon_1.mm_lock_seq.sequence;
    }
    Ok(())
}

/// A device with operations, of which a VMA can be.
struct Dev(usize);

#[vtable]
impl MiscDevice for Dev {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn mmap_prepare<'f>(_dev: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        Ok(desc.with_ops::<DevOps>()?.on_fault())
    }
}

struct DevOps;

#[vtable]
impl VmOperations for DevOps {
    type File = Dev;
    type Data = PerFile;
    type Memory = Ordinary;
}

crate::vm_operations!(DevOps);

struct OtherOps;

#[vtable]
impl VmOperations for OtherOps {
    type File = Dev;
    type Data = PerFile;
    type Memory = Ordinary;
}

crate::vm_operations!(OtherOps);

/// What another thread has seen of an address space.
#[pin_data]
struct Observer {
    mm: ARef<MmWithUser>,
    range: Range<usize>,
    /// Set by the observer when it has seen what it could without waiting.
    started: Atomic<i32>,
    #[pin]
    seen: Mutex<Option<Result<[usize; 3]>>>,
    #[pin]
    done: CondVar,
    #[pin]
    work: Work<Self>,
}

impl_has_work! {
    impl HasWork<Self> for Observer { self.work }
}

impl WorkItem for Observer {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.started.store(1, Relaxed);
        let result = this.walk();
        *this.seen.lock() = Some(result);
        this.done.notify_all();
    }
}

impl Observer {
    /// The starts of the first VMAs in the range.
    fn walk(&self) -> Result<[usize; 3]> {
        let mut starts = [0; 3];
        let mut walk = self.mm.walk_locked(self.range.clone());
        for start in starts.iter_mut() {
            match walk.next_vma()? {
                Some(vma) => *start = vma.start(),
                None => break,
            }
        }
        Ok(starts)
    }
}

#[kunit_tests(rust_mm_locks)]
mod locks {
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
        // Somebody else has the lock for writing the first time only.
        let result = mm.speculate(|_| {
            calls += 1;
            if calls == 1 {
                drop(mm.mmap_write_lock());
            }
            calls
        });
        assert_eq!(result, Some(2));

        // A reader does no harm.
        assert_eq!(mm.speculate(|_| is_readable(mm)), Some(true));

        // Each time.
        let mut calls = 0;
        let result = mm.speculate(|_| {
            calls += 1;
            drop(mm.mmap_write_lock());
        });
        assert_eq!((result, calls), (None, 3));

        // All the time.
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
            // The rest can be changed.
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

        // On the mmap lock for a moment.
        look_write_locked(mm, addr)?;
        assert!(mm.lock_vma_under_rcu(addr).is_none());
        let vma = mm.lock_vma(addr).ok_or(EFAULT)?;
        assert!(vma.is_vma_locked() && is_unlocked(mm));
        assert_eq!(layout.pages(&vma), 8..12);
        drop(vma);

        // On the mmap lock for good, where there are too many readers.
        let count = {
            let guard = mm.mmap_read_lock();
            let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
            // SAFETY: Nobody else has this address space, and the field outlives this case.
            unsafe { NonNull::new_unchecked(&raw mut (*vma.as_ptr()).vm_refcnt.refs.counter) }
        };
        // SAFETY: As above.
        unsafe { *count.as_ptr() = bindings::VM_REFCNT_LIMIT as i32 };
        let read_locked = mm.mmap_read_lock().vma_start_read_locked(addr).is_some();
        let by_address = mm
            .lock_vma(addr)
            .map(|vma| (vma.is_vma_locked(), layout.pages(&vma)));
        let mut walk = mm.walk_locked(layout.range(8..12));
        let by_walk = walk
            .next_vma()?
            .map(|vma| (vma.is_vma_locked(), is_unlocked(mm)));
        // SAFETY: As above.
        unsafe { *count.as_ptr() = 1 };
        assert!(!read_locked);
        assert_eq!(by_address, Some((false, 8..12)));
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
        // Others may still read it under its own lock.
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
        // Nobody can read this one, but the other ones.
        assert!(mm.lock_vma_under_rcu(layout.addr(2)).is_none());
        assert_eq!(
            mm.lock_vma_under_rcu(layout.addr(3)).is_some(),
            cfg!(CONFIG_PER_VMA_LOCK)
        );
        // Again, which does nothing.
        assert_eq!(write.start_write().start(), first.start());
        let other = guard.vma_lookup(layout.addr(3)).ok_or(EFAULT)?;
        other.start_write_killable()?;
        assert!(mm.lock_vma_under_rcu(layout.addr(3)).is_none());
        drop(guard);

        // All of them are free again.
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
        // The write lock of the VMA has ended.
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
    fn nested() -> Result {
        let user = UserMm::attach()?;
        let mm = user.current();
        // SAFETY: Makes an address space that nobody else knows, with one user, which is given up to
        // the reference.
        let other: ARef<MmWithUser> = unsafe {
            let mm = NonNull::new(bindings::mm_alloc()).ok_or(ENOMEM)?;
            ARef::from_raw(mm.cast())
        };

        let outer = mm.mmap_write_lock();
        assert_eq!(mm.mmap_write_lock_nested(&outer).err(), Some(EDEADLK));
        let mut inner = other.mmap_write_lock_nested(&outer)?;
        assert!(!is_readable(&other) && !is_readable(mm));
        assert!(inner.vmas(0..usize::MAX).next().is_none());
        inner.munmap(0, PAGE_SIZE)?;
        // In any order.
        drop(outer);
        assert!(is_unlocked(mm) && !is_readable(&other));
        drop(inner);
        assert!(is_unlocked(&other));
        Ok(())
    }

    #[test]
    fn walk_waits_for_a_writer() -> Result {
        let user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let mm = user.current();

        let range = layout.all();
        let observer = Arc::pin_init(
            pin_init!(Observer {
                mm: mm.into(),
                range,
                started: Atomic::new(0),
                seen <- new_mutex!(None),
                done <- new_condvar!(),
                work <- new_work!("rust_mm_locks::Observer"),
            }),
            GFP_KERNEL,
        )?;

        let mut guard = mm.mmap_write_lock();
        // The first is write-locked, so the observer cannot lock it by itself, and must not see it,
        // since it is gone when the lock is free.
        guard
            .vma_lookup(layout.addr(1))
            .ok_or(EFAULT)?
            .start_write();
        let _ = workqueue::system().enqueue(observer.clone());
        while observer.started.load(Relaxed) == 0 {
            // SAFETY: Sleeps.
            unsafe { bindings::msleep(1) };
        }
        // SAFETY: Sleeps. Long enough for the observer to get to the lock.
        unsafe { bindings::msleep(20) };
        assert!(observer.seen.lock().is_none());
        let gone = layout.range(1..3);
        guard.munmap(gone.start, gone.end - gone.start)?;
        drop(guard);

        let mut seen = observer.seen.lock();
        while seen.is_none() {
            observer.done.wait(&mut seen);
        }
        let expected = [layout.addr(3), layout.addr(6), layout.addr(8)];
        assert_eq!(*seen, Some(Ok(expected)));
        Ok(())
    }
}

#[kunit_tests(rust_mm_fields)]
mod fields {
    use super::*;

    #[test]
    fn range_and_pgoff() -> Result {
        let user = UserMm::attach()?;
        let mm = user.current();
        let file = user.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
        let addr = file.mmap(4 * PAGE_SIZE, READ, SHARED, 0)?;

        // They change by splitting.
        let mut guard = mm.mmap_write_lock();
        guard.munmap(addr + PAGE_SIZE, PAGE_SIZE)?;
        let layout = |vma: &StableVma| (vma.start() - addr, vma.end() - addr, vma.pgoff());
        assert_eq!(
            guard.vma_lookup(addr).map(|vma| layout(vma)),
            Some((0, PAGE_SIZE, 0))
        );
        let tail = guard
            .vma_lookup(addr + 2 * PAGE_SIZE)
            .map(|vma| layout(vma));
        assert_eq!(tail, Some((2 * PAGE_SIZE, 4 * PAGE_SIZE, 2)));

        assert_eq!(guard.munmap(addr + 1, PAGE_SIZE), Err(EINVAL));
        assert_eq!(guard.munmap(addr, 0), Err(EINVAL));
        assert_eq!(guard.munmap(addr, usize::MAX), Err(EINVAL));
        guard.munmap(addr + PAGE_SIZE, PAGE_SIZE)?;
        assert_eq!(guard.vmas(addr..addr + 4 * PAGE_SIZE).count(), 2);
        Ok(())
    }

    #[test]
    fn page_prot() -> Result {
        let _user = UserMm::attach()?;
        let task = current!();
        let mut layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        layout.map(14..15, Protection::NONE)?;
        let guard = layout.mm.mmap_write_lock();
        let vma = guard
            .vma_lookup(layout.addr(3))
            .ok_or(EFAULT)?
            .start_write();
        let other = guard.vma_lookup(layout.addr(14)).ok_or(EFAULT)?;
        assert!(!vma.page_prot_writable());

        // As it would be after access was granted.
        // SAFETY: The mmap lock is held for writing.
        let wrong = unsafe { (*other.as_ptr()).vm_page_prot };
        // SAFETY: The VMA is write-locked.
        let prot = unsafe { &raw mut (*vma.as_ptr()).vm_page_prot };
        // SAFETY: As above.
        let before = unsafe { prot.replace(wrong) };
        vma.set_page_prot();
        // SAFETY: As above.
        let after = unsafe { prot.read() };
        assert!(after.pgprot == before.pgprot);
        assert!(wrong.pgprot != before.pgprot);
        Ok(())
    }

    #[test]
    fn flags() -> Result {
        let user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let guard = layout.mm.mmap_write_lock();
        let vma = guard
            .vma_lookup(layout.addr(3))
            .ok_or(EFAULT)?
            .start_write();
        let before = vma.flags();

        vma.set_flags(AdviceFlags::DONTCOPY | AdviceFlags::DONTDUMP | AdviceFlags::SEQ_READ);
        let set = before
            .with(VmaFlag::DONTCOPY)
            .with(VmaFlag::DONTDUMP)
            .with(VmaFlag::SEQ_READ);
        assert_eq!(vma.flags(), set);
        vma.set_flags(AdviceFlags::RAND_READ | AdviceFlags::SEQ_READ);
        assert_eq!(
            vma.flags(),
            set.with(VmaFlag::RAND_READ).without(VmaFlag::SEQ_READ)
        );
        vma.set_flags(AdviceFlags::SEQ_READ);
        assert_eq!(vma.flags(), set);
        vma.clear_flags(AdviceFlags::DONTCOPY | AdviceFlags::DONTDUMP | AdviceFlags::SEQ_READ)?;
        assert_eq!(vma.flags(), before);
        drop(guard);

        // Of a driver's mapping, what the driver may rely on cannot be cleared.
        let file = user.device(|dev, mut desc| {
            desc.set(crate::mm::flags::SetFlags::DONTCOPY);
            desc.map_kernel_pages(&dev.pages)
        })?;
        let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
        let guard = layout.mm.mmap_write_lock();
        let vma = guard.vma_lookup(addr).ok_or(EFAULT)?.start_write();
        let flags = AdviceFlags::SEQ_READ | AdviceFlags::DONTCOPY;
        vma.set_flags(AdviceFlags::SEQ_READ);
        assert_eq!(vma.clear_flags(flags), Err(EINVAL));
        assert!(vma.flags().contains_all(flags.flags()));
        vma.clear_flags(AdviceFlags::SEQ_READ)?;
        assert!(!vma.flags().contains(VmaFlag::SEQ_READ));
        Ok(())
    }

    #[test]
    fn mm_file_and_ops() -> Result {
        let user = UserMm::attach()?;
        let mm = user.current();
        let file = user.open::<Dev>(KBox::new(Dev(7), GFP_KERNEL)?)?;
        let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;

        let guard = mm.mmap_read_lock();
        let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
        assert!(core::ptr::eq(vma.mm(), mm));
        assert!(vma.file().is_some_and(|of| of.as_ptr() == file.as_ptr()));
        assert!(vma.has_ops::<DevOps>() && !vma.has_ops::<OtherOps>());
        assert!(!vma.is_anonymous() && vma.is_shared() && vma.readable() && !vma.writable());
        assert!(vma.protection() == Protection::READ);

        let anon = guard.vma_lookup(layout.addr(1)).ok_or(EFAULT)?;
        assert!(anon.file().is_none() && !anon.has_ops::<DevOps>());
        assert!(anon.is_anonymous() && !anon.is_shared() && anon.writable());
        drop(guard);

        // The file lives on with a reference of its own.
        let kept = {
            let vma = mm.lock_vma(addr).ok_or(EFAULT)?;
            vma.file().map(ARef::from).ok_or(EFAULT)?
        };
        user.munmap(addr, PAGE_SIZE)?;
        assert!(kept.as_ptr() == file.as_ptr());
        Ok(())
    }

    #[test]
    fn private_data() -> Result {
        let user = UserMm::attach()?;
        let file = user.open::<Dev>(KBox::new(Dev(7), GFP_KERNEL)?)?;
        let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;

        // It is a view's that knows whose the VMA is, under either lock.
        let guard = user.current().mmap_write_lock();
        let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
        assert!(vma.as_owned::<OtherOps>().is_none());
        assert_eq!(vma.as_owned::<DevOps>().ok_or(EFAULT)?.data().0, 7);
        drop(guard);
        let vma = user.current().lock_vma(addr).ok_or(EFAULT)?;
        assert!(vma.as_owned::<OtherOps>().is_none());
        assert!(vma.as_owned::<DevOps>().is_some());
        Ok(())
    }

    #[test]
    fn anon_name() -> Result {
        let _user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let guard = layout.mm.mmap_write_lock();
        let vma = guard
            .vma_lookup(layout.addr(1))
            .ok_or(EFAULT)?
            .start_write();
        assert!(vma.anon_name().is_none());
        #[cfg(CONFIG_ANON_VMA_NAME)]
        {
            // SAFETY: The VMA is write-locked and has no name; it puts the name when it goes.
            unsafe {
                (*vma.as_ptr()).anon_name =
                    bindings::anon_vma_name_alloc(c"stack of 7".as_char_ptr())
            };
            assert_eq!(vma.anon_name(), Some(c"stack of 7"));
        }
        Ok(())
    }

    #[test]
    fn policy_and_userfaultfd() -> Result {
        let _user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let guard = layout.mm.mmap_write_lock();
        let vma = guard
            .vma_lookup(layout.addr(1))
            .ok_or(EFAULT)?
            .start_write();
        assert!(!vma.has_policy() && !vma.has_userfaultfd());
        // None of the pointers is followed before it is gone again.
        #[cfg(CONFIG_USERFAULTFD)]
        {
            // SAFETY: The VMA is write-locked.
            unsafe { (*vma.as_ptr()).vm_userfaultfd_ctx.ctx = NonNull::dangling().as_ptr() };
            assert!(vma.has_userfaultfd());
            // SAFETY: As above.
            unsafe { (*vma.as_ptr()).vm_userfaultfd_ctx.ctx = core::ptr::null_mut() };
            assert!(!vma.has_userfaultfd());
        }
        #[cfg(CONFIG_NUMA)]
        {
            // SAFETY: The VMA is write-locked.
            unsafe { (*vma.as_ptr()).vm_policy = NonNull::dangling().as_ptr() };
            assert!(vma.has_policy());
            // SAFETY: As above.
            unsafe { (*vma.as_ptr()).vm_policy = core::ptr::null_mut() };
        }
        Ok(())
    }

    #[test]
    fn anon_vma() -> Result {
        let user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let has = |page| {
            layout
                .mm
                .lock_vma(layout.addr(page))
                .map(|vma| vma.has_anon_vma())
        };
        assert_eq!((has(1), has(6)), (Some(false), Some(false)));
        user.write(layout.addr(2), b"x")?;
        assert_eq!((has(1), has(6)), (Some(true), Some(false)));
        Ok(())
    }
}

#[kunit_tests(rust_mm_iter)]
mod iter {
    use super::*;

    /// Compares what an iterator finds with what there should be.
    fn check<'v, V>(
        layout: &Layout<'_>,
        found: impl Iterator<Item = &'v V>,
        expected: &[Range<usize>],
    ) where
        V: core::ops::Deref<Target = StableVma> + 'v,
    {
        let mut expected = expected.iter().cloned();
        for vma in found {
            assert_eq!(Some(layout.pages(vma)), expected.next());
        }
        assert_eq!(None, expected.next());
    }

    #[test]
    fn forward_and_backward() -> Result {
        let _user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let [a, b, c, d] = Layout::VMAS;
        let (mut back, all) = ([a.clone(), b, c, d.clone()], Layout::VMAS);

        let guard = layout.mm.mmap_read_lock();
        check(&layout, guard.vmas(layout.all()), &all);
        back.reverse();
        check(&layout, guard.vmas(layout.all()).rev(), &back);
        // All there is; this address space has nothing else.
        check(&layout, guard.vmas(0..usize::MAX), &all);
        check(&layout, guard.vmas(0..usize::MAX).rev(), &back);
        drop(guard);

        let guard = layout.mm.mmap_write_lock();
        check(&layout, guard.vmas(layout.all()), &all);
        check(&layout, guard.vmas(layout.all()).rev(), &back);

        // From both ends, until they meet.
        let mut vmas = guard.vmas(layout.all());
        assert_eq!(vmas.next().map(|vma| layout.pages(vma)), Some(a));
        assert_eq!(vmas.next_back().map(|vma| layout.pages(vma)), Some(d));
        assert_eq!(vmas.by_ref().count(), 2);
        assert!(vmas.next().is_none() && vmas.next_back().is_none());
        let mut vmas = guard.vmas(layout.all());
        assert_eq!(vmas.by_ref().rev().take(3).count(), 3);
        assert_eq!(vmas.by_ref().count(), 1);
        assert!(vmas.next_back().is_none() && vmas.next().is_none());
        Ok(())
    }

    #[test]
    fn ranges() -> Result {
        let _user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let guard = layout.mm.mmap_read_lock();

        // Each range of pages, against what the layout says.
        for start in 0..16 {
            for end in start..=16 {
                let expected = || {
                    Layout::VMAS
                        .into_iter()
                        .filter(move |vma| start < vma.end && vma.start < end && start < end)
                };
                let found = || {
                    guard
                        .vmas(layout.range(start..end))
                        .map(|vma| layout.pages(vma))
                };
                assert!(found().eq(expected()));
                assert!(found().rev().eq(expected().rev()));
                let first = guard.find_vma_intersection(layout.range(start..end));
                assert_eq!(first.map(|vma| layout.pages(vma)), expected().next());

                // A page is in a gap, or in a VMA, and gaps do not touch.
                let mut at = start;
                let mut gaps = guard.gaps(layout.range(start..end)).peekable();
                while let Some(gap) = gaps.next() {
                    assert!(guard.vmas(gap.clone()).next().is_none());
                    let gap =
                        (gap.start - layout.base) / PAGE_SIZE..(gap.end - layout.base) / PAGE_SIZE;
                    assert!(at <= gap.start && gap.start < gap.end && gap.end <= end);
                    for page in at..gap.start {
                        assert!(guard.vma_lookup(layout.addr(page)).is_some());
                    }
                    at = gap.end;
                    assert!(gaps.peek().is_none_or(|next| next.start > layout.addr(at)));
                }
                for page in at..end {
                    assert!(guard.vma_lookup(layout.addr(page)).is_some());
                }

                let exact = guard.find_exact_vma(layout.range(start..end));
                let is_one = Layout::VMAS.contains(&(start..end));
                assert_eq!(
                    exact.map(|vma| layout.pages(vma)),
                    is_one.then_some(start..end)
                );
            }
        }

        // Ends are exclusive, to the byte.
        let (start, end) = (layout.addr(6), layout.addr(7));
        assert!(guard.vmas(start - 1..start).next().is_none());
        assert!(guard.vmas(start - 1..start).next_back().is_none());
        assert!(guard.vmas(start - 1..start + 1).next().is_some());
        assert!(guard.vmas(end - 1..end).next_back().is_some());
        assert!(guard.vmas(end..end + 1).next_back().is_none());
        let backwards = Range {
            start: end,
            end: start,
        };
        assert!(guard.vmas(backwards.clone()).next().is_none());
        assert!(guard.vmas(backwards.clone()).next_back().is_none());
        assert!(guard.gaps(backwards).next().is_none());
        assert!(guard.vmas(0..0).next_back().is_none());
        Ok(())
    }

    #[test]
    fn find_vma() -> Result {
        let _user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let guard = layout.mm.mmap_write_lock();
        for page in 0..16 {
            let expected = Layout::VMAS.into_iter().find(|vma| page < vma.end);
            let found = guard
                .find_vma(layout.addr(page))
                .map(|vma| layout.pages(vma));
            assert_eq!(found, expected);
            let at = guard
                .vma_lookup(layout.addr(page))
                .map(|vma| layout.pages(vma));
            assert_eq!(at, expected.filter(|vma| vma.start <= page));
        }
        assert!(guard.find_vma(usize::MAX).is_none());
        Ok(())
    }

    #[test]
    fn cursor() -> Result {
        let _user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let mut guard = layout.mm.mmap_write_lock();

        // All of it, the tail, nothing, the middle.
        let mut cursor = guard.cursor(layout.range(0..9));
        let vma = cursor.next_vma().ok_or(EFAULT)?;
        assert_eq!(layout.pages(&vma), 1..3);
        vma.munmap(layout.range(1..3))?;
        let vma = cursor.next_vma().ok_or(EFAULT)?;
        assert_eq!(layout.pages(&vma), 3..4);
        vma.start_write().set_flags(AdviceFlags::DONTDUMP);
        let vma = cursor.next_vma().ok_or(EFAULT)?;
        assert_eq!(vma.munmap(layout.range(6..8)), Err(EINVAL));
        let vma = cursor.next_vma().ok_or(EFAULT)?;
        assert_eq!(layout.pages(&vma), 8..12);
        vma.munmap(layout.range(9..10))?;
        assert!(cursor.next_vma().is_none());
        assert!(cursor.next_vma().is_none());
        check(
            &layout,
            guard.vmas(layout.all()),
            &[3..4, 6..7, 8..9, 10..12],
        );

        assert!(guard.cursor(layout.range(4..6)).next_vma().is_none());
        assert!(guard.cursor(layout.range(4..4)).next_vma().is_none());
        assert!(guard.cursor(layout.range(12..16)).next_vma().is_none());

        // In what is left, it finds each part.
        let mut cursor = guard.cursor(layout.all());
        while let Some(vma) = cursor.next_vma() {
            let range = vma.start()..vma.end();
            vma.munmap(range)?;
        }
        check(&layout, guard.vmas(0..usize::MAX), &[]);
        Ok(())
    }

    #[test]
    fn walk() -> Result {
        let _user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let mm = &*layout.mm;

        for start in 0..16 {
            for end in start..=16 {
                let mut expected = Layout::VMAS
                    .into_iter()
                    .filter(|vma| start < vma.end && vma.start < end && start < end);
                let mut walk = mm.walk_locked(layout.range(start..end));
                while let Some(vma) = walk.next_vma()? {
                    assert_eq!(vma.is_vma_locked(), cfg!(CONFIG_PER_VMA_LOCK));
                    let pages = expected.next().ok_or(EFAULT)?;
                    assert_eq!(layout.pages(&vma), pages);
                    let clipped = pages.start.max(start)..pages.end.min(end);
                    assert_eq!(vma.range(), layout.range(clipped));
                }
                assert!(walk.next_vma()?.is_none() && expected.next().is_none());
            }
        }
        assert!(is_unlocked(mm));
        #[cfg(CONFIG_PER_VMA_LOCK)]
        for vma in mm.mmap_read_lock().vmas(0..usize::MAX) {
            assert_eq!(readers(vma), 0);
        }
        Ok(())
    }

    #[cfg(CONFIG_PER_VMA_LOCK)]
    #[test]
    fn walk_falls_back() -> Result {
        let _user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let mm = &*layout.mm;
        look_write_locked(mm, layout.addr(3))?;
        look_write_locked(mm, layout.addr(6))?;
        let mut walk = mm.walk_locked(layout.all());
        for pages in Layout::VMAS {
            let vma = walk.next_vma()?.ok_or(EFAULT)?;
            assert!(vma.is_vma_locked() && is_unlocked(mm));
            assert_eq!(layout.pages(&vma), pages);
        }
        assert!(walk.next_vma()?.is_none());
        Ok(())
    }

    #[test]
    fn walk_while_things_change() -> Result {
        let user = UserMm::attach()?;
        let task = current!();
        let mut layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let all = layout.all();
        let mut walk = user.current().walk_locked(all);
        let pages = |vma: &VmaRef| layout.base.max(vma.start()) - layout.base;
        assert_eq!(walk.next_vma()?.map(|vma| pages(&vma)), Some(PAGE_SIZE));
        assert_eq!(walk.next_vma()?.map(|vma| pages(&vma)), Some(3 * PAGE_SIZE));

        // A VMA grows over the place where the walk is, and another one goes.
        user.munmap(layout.addr(6), PAGE_SIZE)?;
        layout.map(4..5, Protection::READ)?;
        let vma = walk.next_vma()?.ok_or(EFAULT)?;
        assert_eq!(
            (layout.pages(&vma), vma.range()),
            (3..5, layout.range(4..5))
        );
        drop(vma);
        layout.map(5..6, READ_WRITE)?;
        let vma = walk.next_vma()?.ok_or(EFAULT)?;
        assert_eq!(
            (layout.pages(&vma), vma.range()),
            (5..6, layout.range(5..6))
        );
        drop(vma);
        assert_eq!(walk.next_vma()?.map(|vma| layout.pages(&vma)), Some(8..12));
        assert!(walk.next_vma()?.is_none());
        Ok(())
    }
}

#[kunit_tests(rust_mm_user)]
mod user {
    use super::*;

    #[test]
    fn map_and_unmap() -> Result {
        let user = UserMm::attach()?;
        let task = current!();
        let mut mm = task.user_mm().ok_or(EINVAL)?;
        let file = user.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
        // SAFETY: The file is open as long as `file` is, and no system call works on it.
        let of = unsafe { File::from_raw_file(file.as_ptr()) };

        let (prot, shared) = (Protection::READ, MapFlags::SHARED);
        let addr = mm.vm_mmap(Some(of), 0, 2 * PAGE_SIZE, prot, shared, 1)?;
        assert_eq!(user.read(addr)?, [1]);
        assert_eq!(user.read(addr + PAGE_SIZE)?, [2]);

        // The kernel's errors are those of the system call.
        let there = shared | MapFlags::FIXED_NOREPLACE;
        assert_eq!(
            mm.vm_mmap(Some(of), addr, PAGE_SIZE, prot, there, 0),
            Err(EEXIST)
        );
        assert_eq!(mm.vm_mmap(Some(of), 0, 0, prot, shared, 0), Err(EINVAL));
        assert_eq!(
            mm.vm_mmap(Some(of), 0, PAGE_SIZE, prot, shared, usize::MAX),
            Err(EOVERFLOW)
        );
        assert_eq!(mm.vm_munmap(addr + 1, PAGE_SIZE), Err(EINVAL));
        mm.vm_mmap(Some(of), addr, PAGE_SIZE, prot, shared | MapFlags::FIXED, 3)?;
        assert_eq!(user.read(addr)?, [3]);
        mm.vm_munmap(addr, 2 * PAGE_SIZE)?;
        assert_eq!(user.read::<1>(addr), Err(EFAULT));
        Ok(())
    }

    #[test]
    fn populate() -> Result {
        let user = UserMm::attach()?;
        let task = current!();
        let mut layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let has = |mm: &MmWithUser, addr| mm.lock_vma(addr).map(|vma| vma.has_anon_vma());
        let (first, len) = (layout.addr(0), 16 * PAGE_SIZE);
        assert_eq!(layout.mm.populate(first + 1, PAGE_SIZE), Err(EINVAL));
        assert_eq!(layout.mm.populate(first, PAGE_SIZE + 1), Err(EINVAL));
        assert_eq!(layout.mm.populate(first, !0 << 12), Err(EINVAL));
        assert_eq!(has(user.current(), layout.addr(1)), Some(false));
        // Over the holes.
        layout.mm.populate(first, len)?;
        assert_eq!(has(user.current(), layout.addr(1)), Some(true));
        assert_eq!(has(user.current(), layout.addr(6)), Some(true));
        Ok(())
    }

    #[test]
    fn of_another_address_space() -> Result {
        let user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        // By a reference that keeps it in use, as to that of another process.
        let mm: ARef<MmWithUser> = user.current().into();
        mm.mmap_write_lock_killable()?
            .munmap(layout.addr(1), PAGE_SIZE)?;
        assert_eq!(
            mm.lock_vma(layout.addr(2)).map(|vma| layout.pages(&vma)),
            Some(2..3)
        );
        drop(MmWithUser::into_mmput_async(mm));
        assert_eq!(user.read::<1>(layout.addr(1)), Err(EFAULT));
        Ok(())
    }
}
