// SPDX-License-Identifier: GPL-2.0

//! Tests of killable locks, faults and walks while a fatal signal is pending.

use super::*;

/// A worker that holds a lock until [`stop`](Self::stop) is called.
#[pin_data]
struct Holder {
    mm: ARef<MmWithUser>,
    /// The VMA to lock, or 0 for the mmap lock.
    addr: usize,
    held: Atomic<i32>,
    stop: Atomic<i32>,
    ended: Atomic<i32>,
    #[pin]
    work: Work<Self>,
}

impl_has_work! {
    impl HasWork<Self> for Holder { self.work }
}

impl WorkItem for Holder {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let until_stopped = || {
            this.held.store(1, Relaxed);
            while this.stop.load(Relaxed) == 0 {
                nap();
            }
        };
        if this.addr == 0 {
            let _guard = this.mm.mmap_write_lock();
            until_stopped();
        } else {
            let _guard = this.mm.lock_vma(this.addr);
            until_stopped();
        }
        this.ended.store(1, Relaxed);
    }
}

impl Holder {
    fn start(mm: &MmWithUser, addr: usize) -> Result<Arc<Self>> {
        let holder = Arc::pin_init(
            pin_init!(Holder {
                mm: mm.into(),
                addr,
                held: Atomic::new(0),
                stop: Atomic::new(0),
                ended: Atomic::new(0),
                work <- new_work!("rust_mm_locks::Holder"),
            }),
            GFP_KERNEL,
        )?;
        let _ = workqueue::system_unbound().enqueue(holder.clone());
        while holder.held.load(Relaxed) == 0 {
            nap();
        }
        Ok(holder)
    }

    fn stop(&self) {
        self.stop.store(1, Relaxed);
        while self.ended.load(Relaxed) == 0 {
            nap();
        }
    }
}

fn nap() {
    // SAFETY: All callers may sleep.
    unsafe { bindings::msleep(1) };
}

/// Runs a closure while a signal is pending for this thread.
pub(in crate::mm::tests) fn while_pending<R>(signal: c_int, f: impl FnOnce() -> R) -> R {
    // SAFETY: The value is `SIG_KTHREAD`, which C compares but never calls.
    let handler: bindings::__sighandler_t = unsafe { core::mem::transmute(2usize) };
    // SAFETY: The current thread is KUnit's kernel thread for this case. It may get the signal,
    // which is flushed below.
    unsafe {
        bindings::kernel_sigaction(signal, handler);
        bindings::send_sig(signal, bindings::get_current(), 1);
    }
    let result = f();
    // SAFETY: The current thread is KUnit's kernel thread for this case.
    unsafe { bindings::flush_signals(bindings::get_current()) };
    result
}

/// Runs a closure while a fatal signal is pending for this thread.
pub(in crate::mm::tests) fn while_dying<R>(f: impl FnOnce() -> R) -> R {
    while_pending(bindings::SIGKILL as c_int, f)
}

#[kunit_tests(rust_mm_lock_signals)]
mod cases {
    use super::*;

    #[test]
    fn mmap_lock() -> Result {
        let user = UserMm::attach()?;
        let task = current!();
        let mut layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let mm = user.current();
        look_locked(mm, layout.addr(1))?;
        let (addr, all) = (layout.addr(8), layout.all());

        let holder = Holder::start(mm, 0)?;
        let mut walk = mm.walk_locked(all);
        let results = while_dying(|| {
            [
                mm.mmap_read_lock_killable().err(),
                mm.mmap_write_lock_killable().err(),
                walk.next_vma().err(),
                layout.mm.vm_munmap(addr, PAGE_SIZE).err(),
            ]
        });
        holder.stop();
        assert_eq!(results, [Some(EINTR); 4]);

        // No call has left a lock held or changed the mm.
        assert!(is_unlocked(mm));
        assert_eq!(walk.next_vma()?.map(|vma| layout.pages(&vma)), Some(1..3));
        assert!(mm.lock_vma(addr).is_some());
        Ok(())
    }

    /// A fatal signal ends a fault, which C code would retry again and again, and a walk.
    #[test]
    fn faults_and_walks() -> Result {
        use crate::mm::pgtable::{
            FaultAccess,
            Handled,
            PageCounts, //
        };
        let user = UserMm::attach()?;
        let file = user.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
        let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
        let mm = user.current();
        let guard = mm.mmap_read_lock();
        let Handled::Failed(guard, EINTR) =
            while_dying(|| guard.handle_mm_fault(addr, FaultAccess::Read))
        else {
            return Err(EINVAL);
        };
        let Handled::Done(guard) = guard.retry_mm_fault(addr, FaultAccess::Read) else {
            return Err(EINVAL);
        };
        drop(guard);
        let mappings = file.file().i_mmap_lock_read()?;
        let vma = mappings.vmas(0..1).next().ok_or(ENOENT)?;
        let count = || PageCounts::of(vma, addr..addr + PAGE_SIZE);
        assert_eq!(while_dying(count), Err(EINTR));
        assert_eq!(count()?.present, PAGE_SIZE);
        Ok(())
    }

    #[cfg(CONFIG_PER_VMA_LOCK)]
    #[test]
    fn vma_lock() -> Result {
        let user = UserMm::attach()?;
        let task = current!();
        let layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let mm = user.current();
        let addr = layout.addr(3);

        let holder = Holder::start(mm, addr)?;
        let guard = mm.mmap_write_lock();
        let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
        let result = while_dying(|| vma.start_write_killable().err());
        let readers = readers(vma);
        drop(guard);
        holder.stop();
        assert_eq!((result, readers), (Some(EINTR), 1));

        // Without readers, the VMA can be locked although the signal is pending.
        let guard = mm.mmap_write_lock();
        let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
        assert!(while_dying(|| vma.start_write_killable().is_ok()));
        Ok(())
    }

    /// Makes a walk take the mmap lock for a VMA, if the kernel has VMA locks.
    fn look_locked(mm: &MmWithUser, addr: usize) -> Result {
        #[cfg(CONFIG_PER_VMA_LOCK)]
        {
            let guard = mm.mmap_write_lock();
            let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
            // The sequence number that the next writer gets.
            //
            // SAFETY: The mm and the VMA are valid, and no other thread uses this mm.
            unsafe {
                let seq = (*mm.as_raw()).__bindgen_anon_1.mm_lock_seq.sequence;
                (*vma.as_ptr()).vm_lock_seq = seq.wrapping_add(2);
            }
        }
        #[cfg(not(CONFIG_PER_VMA_LOCK))]
        let _ = (mm, addr);
        Ok(())
    }
}
