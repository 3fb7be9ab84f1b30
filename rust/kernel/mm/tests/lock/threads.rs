// SPDX-License-Identifier: GPL-2.0

//! Tests of an mm that another thread walks.

use super::*;

/// A worker that walks an mm once, and what it has found.
#[pin_data]
struct Observer {
    mm: ARef<MmWithUser>,
    range: Range<usize>,
    /// Set by the observer before it starts the walk.
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
    /// Returns the starts of the first VMAs in the range.
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

/// A worker that checks a [`Layout`] all the time, without the mmap lock.
#[pin_data]
struct Watcher {
    mm: ARef<MmWithUser>,
    base: usize,
    stop: Atomic<i32>,
    walks: Atomic<i32>,
    /// The line of the first check that failed, or 0.
    wrong: Atomic<i32>,
    #[pin]
    ended: Mutex<bool>,
    #[pin]
    done: CondVar,
    #[pin]
    work: Work<Self>,
}

impl_has_work! {
    impl HasWork<Self> for Watcher { self.work }
}

impl WorkItem for Watcher {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        while this.stop.load(Relaxed) == 0 && this.wrong.load(Relaxed) == 0 {
            if let Err(line) = this.look() {
                this.wrong.store(line, Relaxed);
            }
            this.walks.fetch_add(1, Relaxed);
            // SAFETY: This thread holds no lock, so it may sleep.
            unsafe { bindings::schedule() };
        }
        *this.ended.lock() = true;
        this.done.notify_all();
    }
}

impl Watcher {
    /// Checks the layout once; fails with the line of the check.
    fn look(&self) -> Result<(), i32> {
        let check = |ok: bool, line: u32| if ok { Ok(()) } else { Err(line as i32) };

        // The walk finds each page that is always mapped, and no page twice.
        let (mut pages, mut at) = (0u32, self.base);
        let mut walk = self.mm.walk_locked(self.base..self.base + 16 * PAGE_SIZE);
        while let Some(vma) = walk.next_vma().map_err(|_| line!() as i32)? {
            let range = vma.range();
            check(at <= range.start && range.start < range.end, line!())?;
            check(
                vma.start() <= range.start && range.end <= vma.end(),
                line!(),
            )?;
            check(vma.is_anonymous() && vma.readable(), line!())?;
            at = range.end;
            for page in 0..16 {
                if range.contains(&(self.base + page * PAGE_SIZE)) {
                    pages |= 1 << page;
                }
            }
            drop(vma);
            // Sometimes sleep, so that the mm changes a lot between two steps.
            if self.walks.load(Relaxed) % 64 == 0 {
                // SAFETY: This thread holds no lock, so it may sleep.
                unsafe { bindings::msleep(1) };
            }
        }
        let always = 0b1111_0100_1110;
        let sometimes = 0b1_0000_1001_0000;
        check(pages & always == always, line!())?;
        check(pages & !(always | sometimes) == 0, line!())?;

        // The same without any lock, if the speculation succeeds.
        let page = |page| self.base + page * PAGE_SIZE;
        if let Some(copy) = self.mm.speculate(|mm| mm.vma(page(9))) {
            let copy = copy.ok_or(line!() as i32)?;
            check(copy.start == page(8), line!())?;
            check(copy.end == page(12) || copy.end == page(13), line!())?;
        }

        let vma = self.mm.lock_vma(page(6)).ok_or(line!() as i32)?;
        check(vma.start() == page(6), line!())?;
        check(vma.end() == page(7) || vma.end() == page(8), line!())
    }
}

#[kunit_tests(rust_mm_lock_threads)]
mod cases {
    use super::*;

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
        // Write-lock the first VMA, so that the observer has to wait for the mmap lock. It must not
        // find that VMA, which is unmapped by the time that it gets the lock.
        guard
            .vma_lookup(layout.addr(1))
            .ok_or(EFAULT)?
            .start_write();
        let _ = workqueue::system().enqueue(observer.clone());
        while observer.started.load(Relaxed) == 0 {
            // SAFETY: This thread may sleep: it holds only the mmap lock.
            unsafe { bindings::msleep(1) };
        }
        // Long enough for the observer to wait for the lock.
        //
        // SAFETY: This thread may sleep: it holds only the mmap lock.
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

    #[test]
    fn watched_while_things_change() -> Result {
        let user = UserMm::attach()?;
        let task = current!();
        let mut layout = Layout::new(task.user_mm().ok_or(EINVAL)?)?;
        let base = layout.base;
        let watcher = Arc::pin_init(
            pin_init!(Watcher {
                mm: user.current().into(),
                base,
                stop: Atomic::new(0),
                walks: Atomic::new(0),
                wrong: Atomic::new(0),
                ended <- new_mutex!(false),
                done <- new_condvar!(),
                work <- new_work!("rust_mm_locks::Watcher"),
            }),
            GFP_KERNEL,
        )?;
        let _ = workqueue::system_unbound().enqueue(watcher.clone());

        // The neighbours grow and shrink, as the kernel merges and splits them.
        let mut change = || -> Result {
            for _ in 0..64 {
                layout.map(4..5, Protection::READ)?;
                layout.map(7..8, READ_WRITE)?;
                layout.map(12..13, Protection::READ)?;
                for page in [12, 7, 4] {
                    let addr = layout.addr(page);
                    layout.mm.vm_munmap(addr, PAGE_SIZE)?;
                }
            }
            Ok(())
        };
        let mut result = Ok(());
        while watcher.walks.load(Relaxed) < 3000 && result.is_ok() {
            result = change();
            if watcher.wrong.load(Relaxed) != 0 {
                break;
            }
        }
        watcher.stop.store(1, Relaxed);
        let mut ended = watcher.ended.lock();
        while !*ended {
            watcher.done.wait(&mut ended);
        }
        drop(ended);
        assert_eq!(result, Ok(()));
        assert_eq!(watcher.wrong.load(Relaxed), 0);
        Ok(())
    }
}
