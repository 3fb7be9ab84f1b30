// SPDX-License-Identifier: GPL-2.0

//! Tests of lists of reclaimable items, of shrinkers, and of giving mapped pages back.

#[cfg(CONFIG_PER_VMA_LOCK)]
use super::lock::look_write_locked;
use super::{
    threads::elsewhere,
    FaultFile,
    FaultOps,
    Probe, //
};
use crate::{
    bindings,
    list_lru::{
        ListLru,
        LruItem, //
    },
    mm::{
        testing::{
            UserMm,
            READ,
            SHARED, //
        },
        Mm,
        MmWithUser, //
    },
    new_list_lru,
    page::PAGE_SIZE,
    prelude::*,
    shrinker::{
        Count,
        Registration,
        Scan,
        ShrinkControl,
        Shrinker, //
    },
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        new_mutex,
        new_spinlock,
        Arc,
        ArcBorrow,
        Completion,
        Mutex, //
    }, //
};

type Item<T> = Pin<KBox<LruItem<T>>>;

fn list<T: Send + Sync + 'static>() -> Result<Arc<ListLru<T>>> {
    Arc::pin_init(new_list_lru!(), GFP_KERNEL)
}

/// Makes an item, and adds it to node 0.
fn added<T: Send + Sync + 'static>(lru: &Arc<ListLru<T>>, value: T) -> Result<Item<T>> {
    let mut item = KBox::pin_init(LruItem::new(lru.clone(), value), GFP_KERNEL)?;
    assert!(item.as_mut().add(0));
    Ok(item)
}

/// Makes items with the values `0..nr`, from the oldest to the newest.
fn numbered(lru: &Arc<ListLru<usize>>, nr: usize) -> Result<KVec<Item<usize>>> {
    let mut items = KVec::with_capacity(nr, GFP_KERNEL)?;
    for value in 0..nr {
        items.push(added(lru, value)?, GFP_KERNEL)?;
    }
    Ok(items)
}

/// Returns the values on a list, from the oldest to the newest, as digits.
fn order(lru: &ListLru<usize>) -> usize {
    let mut digits = 0;
    lru.walk(usize::MAX, |item| {
        digits = digits * 10 + item.value() + 1;
        item.skip()
    });
    digits
}

fn sleep_a_little() {
    // SAFETY: The tests may sleep here.
    unsafe { bindings::msleep(1) };
}

/// A value that notices if it is used after it was dropped.
struct Canary(Atomic<u32>);

impl Canary {
    const ALIVE: u32 = 0xa11fe;

    fn new() -> Self {
        Self(Atomic::new(Self::ALIVE))
    }

    fn is_alive(&self) -> bool {
        self.0.load(Relaxed) == Self::ALIVE
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.0.store(0, Relaxed);
    }
}

#[macros::kunit_tests(rust_mm_list_lru)]
mod lists {
    use super::*;

    #[test]
    fn skip_leaves_an_item() -> Result {
        let lru = list()?;
        let items = numbered(&lru, 3)?;
        assert_eq!(lru.walk(usize::MAX, |item| item.skip()), 0);
        assert_eq!((order(&lru), lru.count()), (123, 3));
        assert!(items.iter().all(|item| item.is_linked()));
        Ok(())
    }

    #[test]
    fn rotate_makes_an_item_the_newest() -> Result {
        let lru = list()?;
        let items = numbered(&lru, 3)?;
        assert_eq!(lru.walk(1, |item| item.rotate()), 0);
        assert_eq!((order(&lru), lru.count()), (231, 3));
        assert!(items[0].is_linked());
        Ok(())
    }

    #[test]
    fn remove_keeps_the_lock() -> Result {
        let lru = list()?;
        let items = numbered(&lru, 3)?;
        let mut calls = 0;
        let removed = lru.walk(usize::MAX, |item| {
            calls += 1;
            match *item.value() {
                1 => item.remove().done(),
                _ => item.skip(),
            }
        });
        // The walk did not start again.
        assert_eq!((removed, calls), (1, 3));
        assert_eq!((order(&lru), lru.count()), (13, 2));
        assert!(items[0].is_linked() && !items[1].is_linked() && items[2].is_linked());
        Ok(())
    }

    #[test]
    fn remove_and_unlock_starts_again() -> Result {
        let lru = list()?;
        let items = numbered(&lru, 3)?;
        let mut seen = 0;
        let removed = lru.walk(usize::MAX, |item| {
            seen = seen * 10 + item.value() + 1;
            match *item.value() {
                1 => {
                    let unlocked = item.remove().unlock();
                    sleep_a_little();
                    unlocked.done()
                }
                _ => item.skip(),
            }
        });
        assert_eq!((removed, seen), (1, 1213));
        assert_eq!((order(&lru), lru.count()), (13, 2));
        assert!(!items[1].is_linked());
        Ok(())
    }

    #[test]
    fn unlock_leaves_an_item_and_starts_again() -> Result {
        let lru = list()?;
        let _items = numbered(&lru, 2)?;
        let mut calls = 0;
        let removed = lru.walk(usize::MAX, |item| {
            calls += 1;
            if calls > 2 {
                return item.skip();
            }
            let unlocked = item.unlock();
            sleep_a_little();
            unlocked.into()
        });
        assert_eq!((removed, calls), (0, 4));
        assert_eq!((order(&lru), lru.count()), (12, 2));

        // Each time counts, so that a walk ends.
        let mut nr = 5;
        lru.walk_node(0, &mut nr, |item| item.unlock().done());
        assert_eq!((nr, lru.count()), (0, 2));
        Ok(())
    }

    #[test]
    fn stop_ends_the_walk_of_a_node() -> Result {
        let lru = list()?;
        let _items = numbered(&lru, 3)?;
        let mut nr = 10;
        let removed = lru.walk_node(0, &mut nr, |item| match *item.value() {
            0 => item.remove().done(),
            _ => item.stop(),
        });
        assert_eq!((removed, nr), (1, 8));
        // The lru lock is free again.
        assert_eq!((order(&lru), lru.count()), (23, 2));
        Ok(())
    }

    #[test]
    fn walk_sees_no_more_than_it_was_asked_for() -> Result {
        let lru = list()?;
        let _items = numbered(&lru, 3)?;
        for nr in 0..3 {
            let mut calls = 0;
            lru.walk(nr, |item| {
                calls += 1;
                item.skip()
            });
            assert_eq!(calls, nr);
        }
        Ok(())
    }

    #[test]
    fn add_and_del() -> Result {
        let lru = list()?;
        let mut items = numbered(&lru, 3)?;
        assert!(!items[0].as_mut().add(0));
        assert_eq!((order(&lru), lru.count()), (123, 3));
        assert!(items[1].as_mut().del());
        assert!(!items[1].as_mut().del());
        assert_eq!((order(&lru), lru.count()), (13, 2));
        assert!(items[1].as_mut().add(0));
        assert_eq!((order(&lru), lru.count()), (132, 3));
        // A walk has removed it meanwhile.
        assert_eq!(lru.walk(1, |item| item.remove().done()), 1);
        assert!(!items[0].as_mut().del());
        assert!(items[0].as_mut().add(0));
        assert_eq!(order(&lru), 321);
        // Dropping an item removes it.
        drop(items.pop());
        assert_eq!((order(&lru), lru.count()), (21, 2));
        drop(items);
        assert_eq!((order(&lru), lru.count()), (0, 0));
        Ok(())
    }

    /// Any number of a node is accepted, and walks of all nodes find the item.
    #[test]
    fn nodes() -> Result {
        let lru = list()?;
        let mut item = added(&lru, 0)?;
        for nid in [-1, 0, 1, 2, 3, 63, 64, 1023, 1024, i32::MAX, i32::MIN] {
            item.as_mut().add(nid);
            assert_eq!((lru.count(), order(&lru)), (1, 1));
            // It is on one node.
            let nodes = (-1..64).filter(|&nid| lru.count_node(nid) != 0).count();
            assert_eq!(nodes, 1);
            let mut nr = 1;
            if lru.count_node(nid) == 1 {
                assert_eq!(lru.walk_node(nid, &mut nr, |item| item.skip()), 0);
                assert_eq!(nr, 0);
            } else {
                assert_eq!(lru.walk_node(nid, &mut nr, |item| item.remove().done()), 0);
                assert_eq!(nr, 1);
            }
        }
        assert!(item.as_mut().del());
        assert_eq!((-1..64).map(|nid| lru.count_node(nid)).sum::<usize>(), 0);
        Ok(())
    }

    /// Items that a callback drops are in places that the test and the callback know.
    #[test]
    fn callback_drops_its_own_item() -> Result {
        #[pin_data]
        struct Places {
            #[pin]
            items: Mutex<[Option<Item<usize>>; 3]>,
        }

        let lru = list()?;
        let places = pin_init!(Places { items <- new_mutex!([None, None, None]) });
        let places = KBox::pin_init(places, GFP_KERNEL)?;
        for index in 0..3 {
            let item = added(&lru, index)?;
            places.items.lock()[index] = Some(item);
        }
        // Under the lru lock, by its own value.
        let removed = lru.walk(2, |item| {
            let Some(mut items) = places.items.try_lock() else {
                return item.skip();
            };
            let own = items[*item.value()].take();
            let removed = item.remove();
            drop(own);
            removed.done()
        });
        assert_eq!((removed, order(&lru), lru.count()), (2, 3, 1));
        // And after the lru lock was released.
        let removed = lru.walk(2, |item| {
            let index = *item.value();
            let unlocked = item.remove().unlock();
            drop(places.items.lock()[index].take());
            unlocked.done()
        });
        assert_eq!((removed, lru.count()), (1, 0));
        Ok(())
    }

    /// After the lru lock was released, a callback can use the same list.
    #[test]
    fn callback_uses_the_list_unlocked() -> Result {
        let lru = list()?;
        let mut items = numbered(&lru, 3)?;
        let mut extra = KBox::pin_init(LruItem::new(lru.clone(), 8), GFP_KERNEL)?;
        let mut last = items.pop();
        let mut inner = 0;
        let removed = lru.walk(1, |item| {
            let unlocked = item.unlock();
            extra.as_mut().add(0);
            last.take();
            inner += lru.walk(1, |item| item.remove().done());
            unlocked.done()
        });
        assert_eq!((removed, inner), (0, 1));
        assert_eq!((order(&lru), lru.count()), (29, 2));
        assert!(!items[0].is_linked());
        Ok(())
    }

    /// Removed under the lru lock of a walk that goes on, an item can be freed at once.
    #[test]
    fn owner_frees_what_a_walk_has_just_removed() -> Result {
        let lru = list()?;
        let items = Arc::pin_init(new_mutex!(KVec::<Item<Canary>>::new()), GFP_KERNEL)?;
        for _ in 0..64 {
            let item = added(&lru, Canary::new())?;
            items.lock().push(item, GFP_KERNEL)?;
        }
        let theirs = items.clone();
        let owner = elsewhere(move || {
            while !theirs.lock().is_empty() {
                theirs.lock().retain(|item| item.is_linked());
                // SAFETY: The test may sleep here.
                unsafe { bindings::schedule() };
            }
            Ok(())
        })?;
        let mut bad = 0;
        while lru.count() != 0 {
            lru.walk(usize::MAX, |item| {
                bad += usize::from(!item.value().is_alive());
                item.remove().done()
            });
        }
        owner.wait()?;
        assert_eq!((bad, lru.count()), (0, 0));
        Ok(())
    }

    /// Two threads add, delete and drop items, while this one and another walk.
    #[test]
    fn races() -> Result {
        const ROUNDS: usize = 20_000;
        let lru = list::<Canary>()?;
        let running = Arc::new(Atomic::new(2), GFP_KERNEL)?;

        let owner = |step: usize| {
            let (lru, running) = (lru.clone(), running.clone());
            elsewhere(move || {
                let work = || -> Result {
                    let mut items = KVec::with_capacity(8, GFP_KERNEL)?;
                    for round in 0..ROUNDS {
                        let index = round * step % 8;
                        if items.len() <= index {
                            items.push(added(&lru, Canary::new())?, GFP_KERNEL)?;
                            continue;
                        }
                        match round % 5 {
                            0 => drop(items.pop()),
                            1 | 2 => {
                                let item: &mut Item<Canary> = &mut items[index];
                                item.as_mut().del();
                                // Nothing but this thread adds it.
                                if item.is_linked() {
                                    return Err(EIO);
                                }
                            }
                            _ => {
                                let item = &mut items[index];
                                item.as_mut().add((round % 3) as i32);
                                if !item.value().is_alive() {
                                    return Err(EIO);
                                }
                            }
                        }
                    }
                    Ok(())
                };
                let result = work();
                running.fetch_sub(1, Relaxed);
                result
            })
        };
        let owners = [owner(1)?, owner(3)?];

        let walk = |lru: &ListLru<Canary>, running: &Atomic<i32>| {
            let (mut bad, mut calls) = (0, 0_usize);
            while running.load(Relaxed) > 0 {
                lru.walk(100, |item| {
                    bad += usize::from(!item.value().is_alive());
                    calls += 1;
                    match calls % 7 {
                        0 | 1 => item.remove().done(),
                        2 => item.remove().unlock().done(),
                        3 => item.unlock().done(),
                        4 => item.rotate(),
                        5 => item.stop(),
                        _ => item.skip(),
                    }
                });
                // SAFETY: The test may sleep here.
                unsafe { bindings::schedule() };
            }
            match bad {
                0 => Ok(()),
                _ => Err(EIO),
            }
        };
        let (their_lru, their_running) = (lru.clone(), running.clone());
        let walker = elsewhere(move || walk(&their_lru, &their_running))?;
        walk(&lru, &running)?;
        walker.wait()?;
        for owner in owners {
            owner.wait()?;
        }
        // The counts have remained right.
        assert_eq!(lru.count(), 0);
        assert_eq!(lru.walk(1, |item| item.skip()), 0);
        Ok(())
    }
}

/// A shrinker that answers what a test has told it to.
#[pin_data]
struct Told {
    count: Count,
    scan: Scan,
    nr_scanned: Option<usize>,
    /// Set while `scan` may return.
    #[pin]
    go: Completion,
    /// Set when `scan` was called by reclaim.
    #[pin]
    called: Completion,
    /// The number of calls of `scan` that are running.
    running: Atomic<i32>,
    dropped: Arc<Dropped>,
}

/// What a test sees of a [`Told`] that was dropped.
struct Dropped {
    /// How many were dropped.
    times: Atomic<i32>,
    /// How many of them while a scan was running.
    too_early: Atomic<i32>,
}

impl Told {
    fn new(count: Count, scan: Scan, nr_scanned: Option<usize>) -> Result<Arc<Self>> {
        let dropped = Dropped {
            times: Atomic::new(0),
            too_early: Atomic::new(0),
        };
        let dropped = Arc::new(dropped, GFP_KERNEL)?;
        Arc::pin_init(
            pin_init!(Told {
                count,
                scan,
                nr_scanned,
                go <- Completion::new(),
                called <- Completion::new(),
                running: Atomic::new(0),
                dropped,
            }),
            GFP_KERNEL,
        )
    }
}

/// The data of [`Told`]'s registration.
struct Data(Arc<Told>);

impl Drop for Data {
    fn drop(&mut self) {
        let dropped = &self.0.dropped;
        dropped.times.fetch_add(1, Relaxed);
        dropped
            .too_early
            .fetch_add(self.0.running.load(Relaxed), Relaxed);
    }
}

#[vtable]
impl Shrinker for Told {
    type Ptr = KBox<Data>;
    const SEEKS: u32 = 1;
    const BATCH: usize = 2;

    fn count(data: &Data, _sc: &ShrinkControl) -> Count {
        data.0.count
    }

    fn scan(data: &Data, sc: &mut ShrinkControl) -> Scan {
        let told = &data.0;
        told.running.fetch_add(1, Relaxed);
        told.called.complete_all();
        told.go.wait_for_completion();
        if let Some(nr) = told.nr_scanned {
            sc.set_nr_scanned(nr);
        }
        told.running.fetch_sub(1, Relaxed);
        told.scan
    }
}

/// A shrinker of pages that are mapped: each item is the page at an address.
struct Mapped;

struct MappedPage {
    mm: ARef<Mm>,
    addr: usize,
}

#[vtable]
impl Shrinker for Mapped {
    type Ptr = Arc<ListLru<MappedPage>>;
    const NUMA_AWARE: bool = true;

    fn count(lru: ArcBorrow<'_, ListLru<MappedPage>>, sc: &ShrinkControl) -> Count {
        lru.shrink_count(sc).into()
    }

    fn scan(lru: ArcBorrow<'_, ListLru<MappedPage>>, sc: &mut ShrinkControl) -> Scan {
        Scan::Freed(lru.shrink_walk(sc, |item| {
            let page = item.value();
            let Some(mm) = page.mm.mmget_not_zero() else {
                return item.skip();
            };
            let mm = MmWithUser::into_mmput_async(mm);
            let Some(vma) = mm.try_lock_driver_vma::<FaultOps>(page.addr) else {
                return item.skip();
            };
            let addr = page.addr;
            let unlocked = item.remove().unlock();
            let _ = vma.zap(addr, PAGE_SIZE);
            unlocked.done()
        }))
    }
}

#[macros::kunit_tests(rust_mm_shrinker)]
mod shrinkers {
    use super::*;

    fn registered(told: &Arc<Told>) -> Result<Registration<Told>> {
        Registration::new(
            c"%s rust test %n",
            KBox::new(Data(told.clone()), GFP_KERNEL)?,
        )
    }

    /// No answer is one that the kernel gives another meaning, or that makes it overflow.
    #[test]
    fn answers() -> Result {
        let huge = isize::MAX as usize / 16;
        for (count, kernel) in [
            (Count::Empty, Count::Empty),
            (Count::Objects(0), Count::Objects(0)),
            (Count::Objects(7), Count::Objects(7)),
            (Count::Objects(usize::MAX), Count::Objects(huge)),
            (Count::Objects(usize::MAX - 1), Count::Objects(huge)),
            (Count::from(0), Count::Empty),
            (Count::from(3), Count::Objects(3)),
        ] {
            let told = Told::new(count, Scan::Stop, None)?;
            assert_eq!(registered(&told)?.call_count(0), kernel);
        }
        for (scan, nr_scanned, kernel) in [
            (Scan::Stop, None, Scan::Stop),
            (Scan::Freed(0), None, Scan::Freed(0)),
            (Scan::Freed(5), None, Scan::Freed(5)),
            (Scan::Freed(usize::MAX), None, Scan::Freed(huge)),
            // Reclaim would go on forever.
            (Scan::Freed(0), Some(0), Scan::Stop),
            (Scan::Freed(5), Some(0), Scan::Freed(5)),
            (Scan::Freed(0), Some(1), Scan::Freed(0)),
        ] {
            let told = Told::new(Count::Objects(1), scan, nr_scanned)?;
            told.go.complete_all();
            assert_eq!(registered(&told)?.call_scan(0, 9), kernel);
        }
        Ok(())
    }

    /// Reclaim calls the shrinker until it has scanned what it wants to, and ends.
    #[test]
    fn reclaim_ends() -> Result {
        for (scan, nr_scanned) in [
            (Scan::Stop, None),
            (Scan::Freed(0), None),
            (Scan::Freed(0), Some(0)),
            (Scan::Freed(1), Some(0)),
            (Scan::Freed(1), Some(usize::MAX)),
        ] {
            let told = Told::new(Count::Objects(3), scan, nr_scanned)?;
            told.go.complete_all();
            let registration = registered(&told)?;
            // SAFETY: This thread holds no lock.
            unsafe { bindings::drop_slab() };
            told.called.wait_for_completion();
            assert_eq!(told.running.load(Relaxed), 0);
            drop(registration);
            assert_eq!(told.dropped.times.load(Relaxed), 1);
        }
        Ok(())
    }

    /// A registration ends only after a scan that is running, and only then is the data dropped.
    #[test]
    fn unregistered_while_a_scan_runs() -> Result {
        let told = Told::new(Count::Objects(100), Scan::Freed(0), None)?;
        let registration = registered(&told)?;
        assert!(Arc::ptr_eq(&registration.data().0, &told));
        let reclaim = elsewhere(|| {
            // SAFETY: This thread holds no lock.
            unsafe { bindings::drop_slab() };
            Ok(())
        })?;
        told.called.wait_for_completion();
        let end = elsewhere(move || {
            drop(registration);
            Ok(())
        })?;
        // Long enough for a drop that does not wait.
        //
        // SAFETY: The test may sleep.
        unsafe { bindings::msleep(50) };
        assert_eq!(told.dropped.times.load(Relaxed), 0);
        told.go.complete_all();
        end.wait()?;
        reclaim.wait()?;
        assert_eq!(told.dropped.times.load(Relaxed), 1);
        assert_eq!(told.dropped.too_early.load(Relaxed), 0);
        Ok(())
    }

    /// Pages that are mapped are given back, and faulted in again when they are used.
    #[test]
    fn mapped_pages_are_given_back() -> Result {
        const NR: usize = 4;
        let mm = UserMm::attach()?;
        let probe = Probe::new()?;
        let file = mm.open::<FaultFile>(KBox::new(FaultFile(probe.clone()), GFP_KERNEL)?)?;
        let start = file.mmap(NR * PAGE_SIZE, READ, SHARED, 0)?;

        let lru = list()?;
        let shrinker = Registration::<Mapped>::new(c"rust-test-mapped", lru.clone())?;
        let mut items = KVec::with_capacity(NR, GFP_KERNEL)?;
        for index in 0..NR {
            let addr = start + index * PAGE_SIZE;
            mm.read::<1>(addr)?;
            let page = MappedPage {
                mm: ARef::from(&**mm.current()),
                addr,
            };
            items.push(added(&lru, page)?, GFP_KERNEL)?;
        }
        assert_eq!(probe.folio.ref_count(), 1 + NR);
        assert_eq!(shrinker.call_count(0), Count::Objects(NR));

        // As many as reclaim asks for, the oldest first.
        assert_eq!(shrinker.call_scan(0, 1), Scan::Freed(1));
        assert!(!items[0].is_linked() && items[1].is_linked());
        assert_eq!(probe.folio.ref_count(), NR);

        // A page whose lock is not free is left alone.
        {
            let guard = mm.current().mmap_write_lock();
            guard.vma_lookup(start).ok_or(EFAULT)?.start_write();
            assert_eq!(shrinker.call_scan(0, 128), Scan::Freed(0));
        }
        assert_eq!(shrinker.call_count(0), Count::Objects(NR - 1));
        assert_eq!(probe.folio.ref_count(), NR);

        // The rest, by the kernel itself.
        // SAFETY: This thread holds no lock.
        unsafe { bindings::drop_slab() };
        assert_eq!(shrinker.call_count(0), Count::Empty);
        assert_eq!(probe.folio.ref_count(), 1);

        mm.read::<1>(start)?;
        assert_eq!(probe.folio.ref_count(), 2);
        items[0].as_mut().add(0);
        mm.munmap(start, NR * PAGE_SIZE)?;
        // The mapping is gone, and the page with it: the scan finds no VMA of the driver's.
        assert_eq!(shrinker.call_scan(0, 128), Scan::Freed(0));
        assert_eq!(probe.folio.ref_count(), 1);
        Ok(())
    }

    /// If the VMA lock is not free and the mmap lock is, the VMA is found under that.
    #[cfg(CONFIG_PER_VMA_LOCK)]
    #[test]
    fn falls_back_to_the_mmap_lock() -> Result {
        let mm = UserMm::attach()?;
        let probe = Probe::new()?;
        let file = mm.open::<FaultFile>(KBox::new(FaultFile(probe), GFP_KERNEL)?)?;
        let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
        let user = mm.current();
        look_write_locked(user, addr)?;
        assert!(user.lock_vma_under_rcu(addr).is_none());
        {
            let vma = user.try_lock_driver_vma::<FaultOps>(addr).ok_or(EAGAIN)?;
            assert_eq!(vma.start(), addr);
            vma.zap(addr, PAGE_SIZE)?;
        }
        Ok(())
    }

    /// The try-forms wait for nothing, and can be used under a spinlock.
    #[test]
    fn try_locks_under_a_spinlock() -> Result {
        let mm = UserMm::attach()?;
        let probe = Probe::new()?;
        let file = mm.open::<FaultFile>(KBox::new(FaultFile(probe.clone()), GFP_KERNEL)?)?;
        let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
        let other = mm.mmap_anonymous(PAGE_SIZE)?;
        mm.read::<1>(addr)?;
        let spin = KBox::pin_init(new_spinlock!(()), GFP_KERNEL)?;
        let mutex = KBox::pin_init(new_mutex!(()), GFP_KERNEL)?;

        // The guard is dropped before the reference to the mm.
        let async_mm;
        let guard;
        let free = {
            let _spin = spin.lock();
            let _mutex = mutex.try_lock().ok_or(EAGAIN)?;
            async_mm = MmWithUser::into_mmput_async(mm.current().mmget_not_zero().ok_or(ESRCH)?);
            assert!(async_mm.try_lock_vma(addr + PAGE_SIZE - 1).is_some());
            assert!(async_mm.try_lock_driver_vma::<FaultOps>(other).is_none());
            assert!(async_mm.try_lock_driver_vma::<FaultOps>(0).is_none());
            guard = async_mm
                .try_lock_driver_vma::<FaultOps>(addr)
                .ok_or(EAGAIN)?;
            guard.start()
        };
        assert_eq!(free, addr);
        // What sleeps comes after the spinlock.
        guard.zap(addr, PAGE_SIZE)?;
        assert_eq!(probe.folio.ref_count(), 1);
        drop(guard);

        // Under the mmap lock for reading, which this thread holds, it is still possible.
        let guard = mm.current().mmap_read_lock();
        assert!(async_mm.try_lock_driver_vma::<FaultOps>(addr).is_some());
        drop(guard);
        // For writing, it is with the VMA lock, until that is locked as well.
        let guard = mm.current().mmap_write_lock();
        assert_eq!(
            async_mm.try_lock_driver_vma::<FaultOps>(addr).is_some(),
            cfg!(CONFIG_PER_VMA_LOCK)
        );
        guard.vma_lookup(addr).ok_or(EFAULT)?.start_write();
        assert!(async_mm.try_lock_driver_vma::<FaultOps>(addr).is_none());
        drop(guard);
        assert!(async_mm.try_lock_driver_vma::<FaultOps>(addr).is_some());
        Ok(())
    }
}
