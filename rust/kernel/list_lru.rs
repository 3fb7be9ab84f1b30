// SPDX-License-Identifier: GPL-2.0

//! Lists of reclaimable items.
//!
//! A driver that can give memory back keeps a [`ListLru`] of what it does not use at the moment.
//! Under memory pressure, its [`Shrinker`](crate::shrinker::Shrinker) walks the list from the
//! oldest item on, and a callback decides about each item. The driver owns the items, and the list
//! only links them: adding an item allocates nothing and cannot fail.
//!
//! # What a callback may do
//!
//! The kernel calls the callback of a walk under the lru lock, which is a spinlock, one for each
//! NUMA node of each list. What the callback may do is in the type that it holds:
//!
//! | type         | lru lock | item        | the callback may                                     |
//! |--------------|----------|-------------|------------------------------------------------------|
//! | [`Isolate`]  | held     | on the list | use the value, and try to take locks                 |
//! | [`Removed`]  | held     | removed     | end the use of what it has found in the value        |
//! | [`Unlocked`] | released | may be gone | sleep, wait for locks, and drop references           |
//!
//! While the lru lock is held, a callback must not sleep. It must not wait for a lock that is held
//! when an item is [added](LruItem::add) or [deleted](LruItem::del): these functions take the lru
//! lock, so the order is the opposite one. It uses the try-forms instead, and skips the item if a
//! lock is not free:
//!
//! - [`Mutex::try_lock`](crate::sync::Mutex) and [`SpinLock::try_lock`](crate::sync::SpinLock).
//! - `Mm::mmget_not_zero` together with `MmWithUser::into_mmput_async`, since the last reference to
//!   an mm must not be dropped here otherwise.
//! - `MmWithUser::try_lock_driver_vma`, `MmWithUser::lock_vma_under_rcu` and
//!   `MmWithUser::mmap_read_trylock`.
//!
//! Under the lru lock, a callback deadlocks if it walks the same list, adds an item to it, or
//! deletes or drops an item that is on it. That includes dropping the last reference to an object
//! which owns such items. The compiler cannot exclude this, because a callback can reach an item
//! through anything that it captures. To drop an item that is not linked does not take the lock, so
//! a callback can drop its own item after [`Isolate::remove`].
//!
//! None of these mistakes is a soundness problem, nor is a callback that sleeps under the lru lock.
//! A thread that waits for a lock which it holds never accesses the list again. A kernel for one
//! processor has no spinlocks, so there the list keeps a flag, and waits for that in the same
//! cases.
//!
//! C header: [`include/linux/list_lru.h`](srctree/include/linux/list_lru.h)

use crate::{
    alloc::NumaNode,
    bindings,
    container_of,
    error::to_result,
    prelude::*,
    processor::cpu_relax,
    shrinker::ShrinkControl,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Arc,
        LockClassKey, //
    },
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};
use core::{
    ffi::c_void,
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    }, //
};

/// Whether a spinlock excludes other threads by itself.
///
/// On a kernel for one processor, it only disables preemption, and a thread that takes it twice
/// does not wait.
const SPINLOCKS_WAIT: bool = cfg!(any(CONFIG_SMP, CONFIG_PREEMPT_RT));

/// A list of reclaimable items, in one sublist for each NUMA node, the oldest item first.
///
/// It does not distinguish memory cgroups.
///
/// # Invariants
///
/// - `inner` is an initialised `list_lru` that is not aware of memory cgroups.
/// - Each `list_head` on its sublists is the `links` of a live `Node<T>` in a pinned
///   [`LruItem<T>`], which has a reference to this list.
/// - On a kernel without spinlocks, `busy` is set while a callback runs under the lru lock.
///
/// # Examples
///
/// ```
/// use kernel::{list_lru::{ListLru, LruItem}, new_list_lru, sync::Arc};
///
/// let lru = Arc::pin_init(new_list_lru!(), GFP_KERNEL)?;
/// let mut items = KVec::new();
/// for value in [1, 2, 3] {
///     let mut item = KBox::pin_init(LruItem::new(lru.clone(), value), GFP_KERNEL)?;
///     assert!(item.as_mut().add(0));
///     items.push(item, GFP_KERNEL)?;
/// }
/// assert_eq!(lru.count(), 3);
///
/// // Remove the oldest item, give the second one another pass, and look at no more than that.
/// let removed = lru.walk(2, |item| match item.value() {
///     1 => item.remove().done(),
///     _ => item.rotate(),
/// });
/// assert_eq!((removed, lru.count()), (1, 2));
/// assert!(!items[0].is_linked());
///
/// // Now the third one is the oldest.
/// let mut order = KVec::with_capacity(2, GFP_KERNEL)?;
/// lru.walk(usize::MAX, |item| {
///     // There is room for both: nothing is allocated under the lru lock.
///     let _ = order.push_within_capacity(*item.value());
///     item.skip()
/// });
/// assert_eq!(order[..], [3, 2]);
///
/// // Dropping an item removes it.
/// drop(items);
/// assert_eq!(lru.count(), 0);
/// # Ok::<(), Error>(())
/// ```
#[pin_data(PinnedDrop)]
pub struct ListLru<T> {
    #[pin]
    inner: Opaque<bindings::list_lru>,
    busy: Atomic<bool>,
    _items: PhantomData<fn(T) -> T>,
}

// SAFETY: The list owns no item. Its methods can be called, and the list can be destroyed, on any
// thread; walks give out `&T` only if `T` is `Sync`.
unsafe impl<T> Send for ListLru<T> {}
// SAFETY: As for `Send`: the lru lock protects the sublists, and the counts are atomic.
unsafe impl<T> Sync for ListLru<T> {}

/// Makes a [`ListLru`] with a lock class of its own.
///
/// # Examples
///
/// See [`ListLru`](crate::list_lru::ListLru).
#[macro_export]
macro_rules! new_list_lru {
    () => {
        $crate::list_lru::ListLru::new($crate::static_lock_class!())
    };
}
pub use new_list_lru;

/// Returns whether the kernel can have a node with the number `nid`.
fn is_possible(nid: i32) -> bool {
    has_state(nid, bindings::node_states_N_POSSIBLE)
}

/// Returns whether `nid` is the number of a node that is in `state`.
fn has_state(nid: i32, state: bindings::node_states) -> bool {
    if bindings::MAX_NUMNODES == 1 {
        return nid == 0;
    }
    // SAFETY: `nid` is a bit of the node masks, which is all that `node_state` requires.
    NumaNode::new(nid).is_ok() && unsafe { bindings::node_state(nid, state) } != 0
}

/// Returns the node on whose sublist the items of `nid` are.
///
/// This is `nid` itself if walks of all nodes visit it, and otherwise the first node that they do.
fn sublist_of(nid: i32) -> i32 {
    let is_visited = |&nid: &i32| has_state(nid, bindings::node_states_N_NORMAL_MEMORY);
    if is_visited(&nid) {
        return nid;
    }
    // The kernel itself is in normal memory, so there is such a node.
    (0..bindings::MAX_NUMNODES as i32)
        .find(is_visited)
        .unwrap_or(0)
}

/// Preemption is disabled while this exists.
struct NoPreemption(NotThreadSafe);

impl Drop for NoPreemption {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `wait_for_lock`, which has made this value, has disabled preemption.
        unsafe { bindings::preempt_enable() };
    }
}

impl<T> ListLru<T> {
    /// Waits where a spinlock would: see [`SPINLOCKS_WAIT`].
    ///
    /// A kernel with spinlocks does nothing here. Otherwise, this never returns if a callback has
    /// the lru lock, or if the caller interrupts a thread that may have it. No other thread can
    /// take the lock while the result exists.
    #[inline]
    fn wait_for_lock(&self) -> Option<NoPreemption> {
        if SPINLOCKS_WAIT {
            return None;
        }
        // SAFETY: The guard enables preemption again.
        unsafe { bindings::preempt_disable() };
        let guard = NoPreemption(NotThreadSafe);
        // SAFETY: `in_task` has no requirements.
        while self.busy.load(Relaxed) || !unsafe { bindings::in_task() } {
            cpu_relax();
        }
        Some(guard)
    }

    #[inline]
    fn set_busy(&self, busy: bool) {
        if !SPINLOCKS_WAIT {
            self.busy.store(busy, Relaxed);
        }
    }
}

impl<T: Send + Sync + 'static> ListLru<T> {
    /// Makes an empty list; [`new_list_lru!`] calls this.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`] if there is not enough memory.
    pub fn new(key: Pin<&'static LockClassKey>) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // INVARIANT: The list is initialised, not aware of memory cgroups, and empty.
            inner <- Opaque::try_ffi_init(move |lru: *mut bindings::list_lru| {
                // SAFETY: `lru` is valid for writes, and zeroes are valid for each of its fields.
                unsafe { lru.write_bytes(0, 1) };
                #[cfg(CONFIG_LOCKDEP)]
                // SAFETY: `lru` is valid for writes, and the key is static.
                unsafe {
                    (*lru).key = key.as_ptr()
                };
                #[cfg(not(CONFIG_LOCKDEP))]
                let _ = key;
                // SAFETY: `lru` is zeroed apart from the key, and is pinned.
                to_result(unsafe { bindings::__list_lru_init(lru, false, ptr::null_mut()) })
            }),
            busy: Atomic::new(false),
            _items: PhantomData,
        }? Error)
    }

    /// Returns the number of items on all nodes.
    ///
    /// # Context
    ///
    /// Takes no lock, so the result may be stale already.
    #[inline]
    pub fn count(&self) -> usize {
        // SAFETY: By the type invariants, the list is initialised.
        unsafe { bindings::list_lru_count(self.inner.get()) }
    }

    /// Returns the number of items on a node; 0 if there is no such node.
    ///
    /// # Context
    ///
    /// Takes no lock, so the result may be stale already.
    pub fn count_node(&self, nid: i32) -> usize {
        if !is_possible(nid) {
            return 0;
        }
        // SAFETY: By the type invariants, the list is initialised, and it has a sublist for each
        // possible node.
        unsafe { bindings::list_lru_count_node(self.inner.get(), nid) }
    }

    /// Returns the number of items on the node that reclaim asks for.
    ///
    /// This is for a shrinker that is [aware of nodes](crate::shrinker::Shrinker::NUMA_AWARE).
    /// Others return [`count`](Self::count).
    ///
    /// # Context
    ///
    /// Takes no lock, so the result may be stale already.
    #[inline]
    pub fn shrink_count(&self, sc: &ShrinkControl) -> usize {
        self.count_node(sc.nid())
    }

    /// Calls a callback for up to `nr` items, node after node, each from its oldest item on.
    ///
    /// Returns the number of items that were removed. The [module](self#what-a-callback-may-do)
    /// says what the callback may do.
    ///
    /// # Context
    ///
    /// Takes the lru locks, one after the other. Sleeps if the callback does.
    ///
    /// # Examples
    ///
    /// See [`ListLru`].
    pub fn walk<F>(&self, nr: usize, isolate: F) -> usize
    where
        F: for<'a> FnMut(Isolate<'a, T>) -> Answer<'a>,
    {
        drop(self.wait_for_lock());
        let mut walk = Walk { lru: self, isolate };
        // SAFETY: By the type invariants, the list is initialised. `isolate_item` gets the walk
        // that it is for, and returns what the kernel requires.
        unsafe {
            bindings::list_lru_walk(
                self.inner.get(),
                Some(isolate_item::<T, F>),
                (&raw mut walk).cast(),
                nr,
            )
        }
    }

    /// Calls a callback for up to `nr` items of a node, and subtracts their number from `nr`.
    ///
    /// Returns the number of items that were removed; 0 if there is no such node.
    ///
    /// # Context
    ///
    /// As [`walk`](Self::walk).
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{list_lru::{ListLru, LruItem}, new_list_lru, sync::Arc};
    ///
    /// let lru = Arc::pin_init(new_list_lru!(), GFP_KERNEL)?;
    /// let mut item = KBox::pin_init(LruItem::new(lru.clone(), ()), GFP_KERNEL)?;
    /// item.as_mut().add(0);
    ///
    /// let mut nr = 3;
    /// assert_eq!(lru.walk_node(-1, &mut nr, |item| item.remove().done()), 0);
    /// assert_eq!(lru.walk_node(0, &mut nr, |item| item.remove().done()), 1);
    /// assert_eq!(nr, 2);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn walk_node<F>(&self, nid: i32, nr: &mut usize, isolate: F) -> usize
    where
        F: for<'a> FnMut(Isolate<'a, T>) -> Answer<'a>,
    {
        if !is_possible(nid) {
            return 0;
        }
        drop(self.wait_for_lock());
        let mut walk = Walk { lru: self, isolate };
        // SAFETY: By the type invariants, the list is initialised, and it has a sublist for each
        // possible node. `isolate_item` gets the walk that it is for, and returns what the kernel
        // requires.
        unsafe {
            bindings::list_lru_walk_node(
                self.inner.get(),
                nid,
                Some(isolate_item::<T, F>),
                (&raw mut walk).cast(),
                nr,
            )
        }
    }

    /// Calls a callback for as many items as reclaim asks for, on the node that it asks for.
    ///
    /// Returns the number of items that were removed, and subtracts the number of items that the
    /// callback has seen from [`nr_to_scan`](ShrinkControl::nr_to_scan).
    ///
    /// This is for a shrinker that is [aware of nodes](crate::shrinker::Shrinker::NUMA_AWARE).
    ///
    /// # Context
    ///
    /// As [`walk`](Self::walk).
    ///
    /// # Examples
    ///
    /// See [`Shrinker`](crate::shrinker::Shrinker).
    pub fn shrink_walk<F>(&self, sc: &mut ShrinkControl, isolate: F) -> usize
    where
        F: for<'a> FnMut(Isolate<'a, T>) -> Answer<'a>,
    {
        let (nid, mut nr) = (sc.nid(), sc.nr_to_scan());
        let removed = self.walk_node(nid, &mut nr, isolate);
        sc.set_nr_to_scan(nr);
        removed
    }
}

#[pinned_drop]
impl<T> PinnedDrop for ListLru<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants, the list is initialised. It is empty, since each item has
        // a reference to it.
        unsafe { bindings::list_lru_destroy(self.inner.get()) };
    }
}

/// What [`isolate_item`] gets from the walk that it is called by.
struct Walk<'a, T, F> {
    lru: &'a ListLru<T>,
    isolate: F,
}

/// Calls the callback of a walk.
///
/// # Safety
///
/// Only a walk of the list in the [`Walk<T, F>`] that `arg` points to may call this, with an item
/// and the sublist that it is on, whose lru lock is held.
unsafe extern "C" fn isolate_item<T, F>(
    item: *mut bindings::list_head,
    list: *mut bindings::list_lru_one,
    arg: *mut c_void,
) -> bindings::lru_status
where
    T: Send + Sync + 'static,
    F: for<'a> FnMut(Isolate<'a, T>) -> Answer<'a>,
{
    // SAFETY: By the safety requirements of this function, `arg` points to the walk, which nothing
    // else uses meanwhile.
    let walk = unsafe { &mut *arg.cast::<Walk<'_, T, F>>() };
    // SAFETY: By the type invariants of the list, `item` is the `links` of a node.
    let node = unsafe { container_of!(Opaque::cast_from(item).cast_mut(), Node<T>, links) };
    if !SPINLOCKS_WAIT {
        // Another callback that has the lock, and sleeps although it must not, may be looking at
        // this item.
        while walk.lru.busy.load(Relaxed) {
            cpu_relax();
        }
    }
    walk.lru.set_busy(true);
    // INVARIANT: By the safety requirements of this function, the lru lock is held, and the item is
    // on the sublist. An item that is on a list is not freed.
    let answer = (walk.isolate)(Isolate {
        lru: walk.lru,
        // SAFETY: `node` is in an item, so it is not null.
        node: unsafe { NonNull::new_unchecked(node) },
        // SAFETY: The kernel passes the sublist that it walks.
        list: unsafe { NonNull::new_unchecked(list) },
        _brand: PhantomData,
        _nts: NotThreadSafe,
    });
    if answer.is_locked() {
        walk.lru.set_busy(false);
    }
    answer.status
}

/// Ties the values of one call of a callback to each other: the lifetime is invariant.
type Brand<'a> = PhantomData<fn(&'a ()) -> &'a ()>;

/// What a callback of a walk has decided about its item.
///
/// Each call of the callback has a lifetime of its own, so that it can return only what it got from
/// the [`Isolate`] of this call.
///
/// # Invariants
///
/// `status` is what was done to the item of the call that `'a` stands for, and to the lru lock:
/// this is held unless `status` is `LRU_REMOVED_RETRY`, `LRU_RETRY` or `LRU_STOP`.
#[must_use = "the callback returns it"]
pub struct Answer<'a> {
    status: bindings::lru_status,
    _brand: Brand<'a>,
    _nts: NotThreadSafe,
}

impl Answer<'_> {
    #[inline]
    fn new(status: bindings::lru_status) -> Self {
        Self {
            status,
            _brand: PhantomData,
            _nts: NotThreadSafe,
        }
    }

    /// Returns whether the lru lock is held.
    #[inline]
    fn is_locked(&self) -> bool {
        use bindings::lru_status as s;
        ![s::LRU_REMOVED_RETRY, s::LRU_RETRY, s::LRU_STOP].contains(&self.status)
    }
}

/// An item that a walk has found, under the lru lock.
///
/// The [module](self#what-a-callback-may-do) says what the callback may do while it has this.
/// Leaking it does not help: the callback cannot return without an [`Answer`].
///
/// # Invariants
///
/// - This thread holds the lock of `list`, a sublist of `lru`.
/// - `node` is that of an item on `list`, and so is not freed while the lock is held.
/// - The callback that `'a` stands for has no other value with that lifetime.
#[must_use = "the walk needs an answer"]
pub struct Isolate<'a, T> {
    lru: &'a ListLru<T>,
    node: NonNull<Node<T>>,
    list: NonNull<bindings::list_lru_one>,
    _brand: Brand<'a>,
    _nts: NotThreadSafe,
}

impl<'a, T: Send + Sync + 'static> Isolate<'a, T> {
    /// Returns the value of the item, which can be used until the item is removed or the lru lock
    /// released.
    #[inline]
    pub fn value(&self) -> &T {
        // SAFETY:
        // - By the type invariants, the node is not freed while the lru lock is held. The lock is
        //   released, and the item removed, only by functions that consume `self`.
        // - The owner of the item has only shared references to the value before it drops the item,
        //   and for that it removes the item from the list first.
        unsafe { &(*self.node.as_ptr()).value }
    }

    /// Leaves the item on the list, as the newest one: it gets another pass.
    ///
    /// A walk comes to the item again if it is to see more items than there are. A callback that
    /// rotates all of them keeps the lru lock until then, so `nr` must not be unlimited.
    #[inline]
    pub fn rotate(self) -> Answer<'a> {
        // INVARIANT: The kernel moves the item. The lock is held.
        Answer::new(bindings::lru_status::LRU_ROTATE)
    }

    /// Leaves the item where it is: it is in use, or a lock was not free.
    #[inline]
    pub fn skip(self) -> Answer<'a> {
        // INVARIANT: Nothing was done to the item. The lock is held.
        Answer::new(bindings::lru_status::LRU_SKIP)
    }

    /// Leaves the item where it is, and ends the walk of this node.
    ///
    /// [`ListLru::walk`] goes on with the next node.
    #[inline]
    pub fn stop(self) -> Answer<'a> {
        self.release_lock();
        // INVARIANT: Nothing was done to the item. The lock was released.
        Answer::new(bindings::lru_status::LRU_STOP)
    }

    /// Releases the lru lock and leaves the item on the list.
    ///
    /// The owner can drop the item from then on. The walk starts again at the oldest item, and the
    /// item counts as one that it has seen.
    #[inline]
    pub fn unlock(self) -> Unlocked<'a> {
        self.release_lock();
        // INVARIANT: Nothing was done to the item. The lock was released.
        Unlocked {
            answer: Answer::new(bindings::lru_status::LRU_RETRY),
        }
    }

    /// Removes the item from the list.
    ///
    /// The owner of the item can drop it from then on, and sees that it is no longer
    /// [linked](LruItem::is_linked). So the callback takes from the value what it needs, such as
    /// references, before it calls this.
    #[inline]
    pub fn remove(self) -> Removed<'a, T> {
        let node = self.node.as_ptr();
        // SAFETY: By the type invariants, the item is on `list`, whose lock is held.
        unsafe {
            bindings::list_lru_isolate(
                self.list.as_ptr(),
                Opaque::cast_into(&raw const (*node).links),
            )
        };
        // The last access to the item: the owner may free it as soon as it sees the value.
        // `Release` orders all accesses above before that.
        //
        // SAFETY: The owner has not freed the node: until now it sees that the item is linked, and
        // waits for the lru lock before it does.
        unsafe { (*node).linked.store(false, Release) };
        // INVARIANT: The item was removed. The lock is held.
        Removed {
            lru: self.lru,
            list: self.list,
            answer: Answer::new(bindings::lru_status::LRU_REMOVED),
        }
    }

    #[inline]
    fn release_lock(self) {
        // SAFETY: By the type invariants, this thread holds the lock of the sublist.
        unsafe { release_lock(self.lru, self.list) };
    }
}

/// Releases the lock of a sublist.
///
/// # Safety
///
/// This thread must hold the lock of `list`, a sublist of `lru`, and must not access it afterwards.
#[inline]
unsafe fn release_lock<T>(lru: &ListLru<T>, list: NonNull<bindings::list_lru_one>) {
    lru.set_busy(false);
    // SAFETY: By the safety requirements of this function, this thread holds the lock.
    unsafe { bindings::spin_unlock(&raw mut (*list.as_ptr()).lock) };
}

/// The state of a callback after it has removed its item, still under the lru lock.
///
/// # Invariants
///
/// - This thread holds the lock of `list`, a sublist of `lru`.
/// - The item was removed, and `answer` says so.
#[must_use = "the walk needs an answer"]
pub struct Removed<'a, T> {
    lru: &'a ListLru<T>,
    list: NonNull<bindings::list_lru_one>,
    answer: Answer<'a>,
}

impl<'a, T: Send + Sync + 'static> Removed<'a, T> {
    /// Ends the call.
    ///
    /// The walk goes on with the next item.
    #[inline]
    pub fn done(self) -> Answer<'a> {
        self.answer
    }

    /// Releases the lru lock.
    ///
    /// The walk starts again at the oldest item.
    #[inline]
    pub fn unlock(self) -> Unlocked<'a> {
        // SAFETY: By the type invariants, this thread holds the lock of the sublist.
        unsafe { release_lock(self.lru, self.list) };
        // INVARIANT: By the type invariants, the item was removed. The lock was released.
        Unlocked {
            answer: Answer::new(bindings::lru_status::LRU_REMOVED_RETRY),
        }
    }
}

/// The state of a callback after it has released the lru lock.
///
/// In this state, the callback may sleep, wait for locks, and add, delete or drop items.
#[must_use = "the walk needs an answer"]
pub struct Unlocked<'a> {
    answer: Answer<'a>,
}

impl<'a> Unlocked<'a> {
    /// Ends the call.
    #[inline]
    pub fn done(self) -> Answer<'a> {
        self.answer
    }
}

impl<'a> From<Unlocked<'a>> for Answer<'a> {
    #[inline]
    fn from(unlocked: Unlocked<'a>) -> Self {
        unlocked.done()
    }
}

/// The part of an item that its owner shares with walks.
///
/// # Invariants
///
/// - If `linked` is `false`, no walk accesses the node, nor does one in the future until the owner
///   adds the item again.
/// - If `links` is on a list, `linked` is `true`.
struct Node<T> {
    links: Opaque<bindings::list_head>,
    /// Only the owner sets this, and only walks, under the lru lock, and the owner clear it.
    linked: Atomic<bool>,
    value: T,
}

/// An item that can be on a [`ListLru`].
///
/// The driver owns it, for example in a `Pin<KBox<LruItem<T>>>`, and shares the value with the
/// callbacks of walks. Dropping an item removes it from the list first. That takes the lru lock
/// only if the item is linked.
///
/// # Invariants
///
/// - `node` is initialised. Its `links` is on no list but the sublist `nid` of `lru`.
/// - If it is on that, the item is pinned.
///
/// # Examples
///
/// ```
/// use kernel::{list_lru::LruItem, new_list_lru, sync::Arc};
///
/// let lru = Arc::pin_init(new_list_lru!(), GFP_KERNEL)?;
/// let mut item = KBox::pin_init(LruItem::new(lru.clone(), 42), GFP_KERNEL)?;
/// assert_eq!(*item.value(), 42);
///
/// assert!(item.as_mut().add(0));
/// // It is on the list already.
/// assert!(!item.as_mut().add(0));
/// assert!(item.is_linked());
///
/// assert!(item.as_mut().del());
/// assert!(!item.as_mut().del());
/// assert_eq!(lru.count(), 0);
/// # Ok::<(), Error>(())
/// ```
#[pin_data(PinnedDrop)]
pub struct LruItem<T> {
    #[pin]
    node: Opaque<Node<T>>,
    nid: i32,
    lru: Arc<ListLru<T>>,
}

// SAFETY: An item can be used and dropped on another thread if its value can, since the lru lock
// protects the links. Walks have `&T`, so `T` must be `Sync`, too.
unsafe impl<T: Send + Sync> Send for LruItem<T> {}
// SAFETY: A shared reference gives access to `&T` and to an atomic.
unsafe impl<T: Send + Sync> Sync for LruItem<T> {}

impl<T> LruItem<T> {
    #[inline]
    fn linked(&self) -> &Atomic<bool> {
        // SAFETY: By the type invariants, the node is initialised. All accesses are atomic.
        unsafe { &(*self.node.get()).linked }
    }

    #[inline]
    fn links(&self) -> *mut bindings::list_head {
        // SAFETY: By the type invariants, the node is initialised.
        Opaque::cast_into(unsafe { &raw const (*self.node.get()).links })
    }

    /// Removes the item from the list, and returns whether it was on it.
    ///
    /// After this, no walk accesses the item. `&mut` excludes that another thread adds it.
    fn remove(&mut self) -> bool {
        // Pairs with the `Release` in `Isolate::remove`: if a walk has removed the item, all of its
        // accesses are over. `list_empty()` would not do, since `list_del_init()` writes the fields
        // one after the other.
        if !self.linked().load(Acquire) {
            return false;
        }
        let _guard = self.lru.wait_for_lock();
        // SAFETY: By the type invariants, the list is initialised, and the item is on its sublist
        // `nid` or, if a walk has just removed it, on none. The node is a possible one: see `add`.
        let removed = unsafe {
            bindings::list_lru_del(
                self.lru.inner.get(),
                self.links(),
                self.nid,
                ptr::null_mut(),
            )
        };
        // INVARIANT: `links` is on no list. A walk that had found the item held the lru lock until
        // its last access to the item, and this thread has held the lock since.
        self.linked().store(false, Relaxed);
        removed
    }
}

impl<T: Send + Sync + 'static> LruItem<T> {
    /// Makes an item for a list, which is not on it yet.
    ///
    /// # Examples
    ///
    /// See [`LruItem`].
    pub fn new(lru: Arc<ListLru<T>>, value: T) -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: `linked` is `false`, and `links` on no list.
            node <- Opaque::ffi_init(move |node: *mut Node<T>| {
                // SAFETY: `node` is valid for writes, and pinned.
                unsafe {
                    bindings::INIT_LIST_HEAD(Opaque::cast_into(&raw const (*node).links));
                    (&raw mut (*node).linked).write(Atomic::new(false));
                    (&raw mut (*node).value).write(value);
                }
            }),
            nid: 0,
            lru,
        })
    }

    /// Returns the value, which callbacks of walks may be using as well.
    #[inline]
    pub fn value(&self) -> &T {
        // SAFETY: By the type invariants, the node is initialised. Until the item is dropped, its
        // owner and walks have only shared references to the value.
        unsafe { &(*self.node.get()).value }
    }

    /// Returns the list.
    #[inline]
    pub fn lru(&self) -> &Arc<ListLru<T>> {
        &self.lru
    }

    /// Returns whether the item is on the list.
    ///
    /// If this is `false`, no walk uses the item, and none will before it is added again.
    /// Otherwise, a walk may be removing it at this moment.
    ///
    /// # Context
    ///
    /// Takes no lock.
    #[inline]
    pub fn is_linked(&self) -> bool {
        self.linked().load(Acquire)
    }

    /// Adds the item to the list, as the newest one of node `nid`.
    ///
    /// Returns whether this has changed the list: if the item is on this node already, it stays
    /// where it is. If it is on another node, it is moved. [`Page::nid`](crate::page::Page::nid)
    /// returns the node of a page.
    ///
    /// A node that does not exist or has no memory of its own for the kernel counts as the first
    /// one that has.
    ///
    /// # Context
    ///
    /// Does not sleep. Takes the lru lock, unless the item is on this node already. Must not be
    /// called in interrupt context.
    ///
    /// # Examples
    ///
    /// See [`LruItem`].
    pub fn add(self: Pin<&mut Self>, nid: i32) -> bool {
        // SAFETY: The item is not moved out of the reference.
        let this = unsafe { self.get_unchecked_mut() };
        let nid = sublist_of(nid);
        if this.linked().load(Acquire) {
            if this.nid == nid {
                // If a walk is removing the item at this moment, it does so after this call.
                // Adding the item again would not be right: the walk has yet to set `linked` to
                // `false`, or has done so before the item is on the list again.
                return false;
            }
            this.remove();
        }
        // INVARIANT: The item is on no list. No walk knows it, so none sets `linked` to `false`
        // before the item is on the list. The node is a possible one.
        this.nid = nid;
        // Relaxed: walks see it because of the lru lock.
        this.linked().store(true, Relaxed);
        let _guard = this.lru.wait_for_lock();
        // SAFETY: By the type invariants, the list is initialised, and it has a sublist for each
        // possible node. The item is pinned and on no list, and is removed before it is freed.
        unsafe {
            bindings::list_lru_add(
                this.lru.inner.get(),
                this.links(),
                this.nid,
                ptr::null_mut(),
            )
        }
    }

    /// Removes the item from the list, and returns whether it was on it.
    ///
    /// After this, no walk uses the item.
    ///
    /// # Context
    ///
    /// Does not sleep. Takes the lru lock, unless the item is not linked. Must not be called in
    /// interrupt context.
    ///
    /// # Examples
    ///
    /// See [`LruItem`].
    #[inline]
    pub fn del(self: Pin<&mut Self>) -> bool {
        // SAFETY: The item is not moved out of the reference.
        unsafe { self.get_unchecked_mut() }.remove()
    }
}

#[pinned_drop]
impl<T> PinnedDrop for LruItem<T> {
    /// Removes the item from the list, and drops its value.
    ///
    /// # Context
    ///
    /// As [`LruItem::del`], and as dropping the value and the reference to the list.
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The item is not moved out of the reference.
        let this = unsafe { self.get_unchecked_mut() };
        this.remove();
        // SAFETY: By the type invariants, the value is initialised. No walk uses the item any
        // longer, nothing else borrows it, and it is dropped only here.
        unsafe { ptr::drop_in_place(&raw mut (*this.node.get()).value) };
    }
}
