// SPDX-License-Identifier: GPL-2.0

//! Shrinkers: giving memory back under memory pressure.
//!
//! A driver that keeps memory which it can do without implements [`Shrinker`], usually on a
//! [`ListLru`](crate::list_lru::ListLru), and keeps a [`Registration`] of it.
//!
//! C header: [`include/linux/shrinker.h`](srctree/include/linux/shrinker.h)

use crate::{
    bindings,
    prelude::*,
    types::{
        ForeignOwnable,
        NotThreadSafe,
        Opaque, //
    }, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

/// How costly it is to make an object again, unless a driver says otherwise.
pub const DEFAULT_SEEKS: u32 = bindings::DEFAULT_SEEKS;

/// The greatest number that the kernel gets, here, of objects: it multiplies numbers, and two
/// values near the end of the range have a meaning of their own.
const MAX_OBJECTS: usize = isize::MAX as usize / 16;

/// The number of objects that a shrinker could free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// There are none.
    Empty,
    /// About this many.
    ///
    /// If it is 0, the number is not known, or the driver does not want to be asked for objects
    /// now. It differs from [`Empty`](Self::Empty) in that the kernel asks again.
    Objects(usize),
}

impl From<usize> for Count {
    /// Returns [`Count::Empty`] for 0.
    #[inline]
    fn from(objects: usize) -> Self {
        match objects {
            0 => Self::Empty,
            _ => Self::Objects(objects),
        }
    }
}

/// What a scan has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// It has freed this many objects.
    Freed(usize),
    /// It cannot make progress without a deadlock, so this reclaim should not call it again.
    Stop,
}

/// A driver that gives memory back under memory pressure.
///
/// # Where the functions run
///
/// The kernel calls them when any thread allocates memory and little is left, in that thread, and
/// in threads of its own. So they run under all locks that some thread holds when it allocates
/// memory:
///
/// - They must not wait for a lock under which the driver, or code that calls it, allocates memory
///   in a way that waits for reclaim, as [`GFP_KERNEL`] does. They use try-forms of such locks, and
///   answer [`Scan::Stop`], or skip the object, if a lock is not free. Lockdep reports violations
///   as `fs_reclaim`.
/// - They must not allocate memory in such a way themselves. Reclaim is what would be waited for,
///   and under its flags an allocation may use the last reserves.
/// - They may sleep.
/// - Several threads can call them at once.
/// - They must not drop their own [`Registration`]: that waits for them to return.
///
/// # Examples
///
/// ```
/// use kernel::{
///     list_lru::{ListLru, LruItem},
///     new_list_lru,
///     shrinker::{self, Count, Scan, ShrinkControl, Shrinker},
///     sync::{Arc, ArcBorrow}, //
/// };
///
/// /// Buffers that are not in use; the value is the number of an item.
/// struct Cache;
///
/// #[vtable]
/// impl Shrinker for Cache {
///     type Ptr = Arc<ListLru<u32>>;
///     const NUMA_AWARE: bool = true;
///
///     fn count(lru: ArcBorrow<'_, ListLru<u32>>, sc: &ShrinkControl) -> Count {
///         lru.shrink_count(sc).into()
///     }
///
///     fn scan(lru: ArcBorrow<'_, ListLru<u32>>, sc: &mut ShrinkControl) -> Scan {
///         Scan::Freed(lru.shrink_walk(sc, |item| item.remove().done()))
///     }
/// }
///
/// let lru = Arc::pin_init(new_list_lru!(), GFP_KERNEL)?;
/// let shrinker = shrinker::Registration::<Cache>::new(c"example-cache", lru.clone())?;
///
/// let mut item = KBox::pin_init(LruItem::new(lru, 1), GFP_KERNEL)?;
/// item.as_mut().add(0);
/// assert_eq!(shrinker.call_count(0), Count::Objects(1));
/// assert_eq!(shrinker.call_scan(0, 128), Scan::Freed(1));
/// assert_eq!(shrinker.call_count(0), Count::Empty);
/// assert!(!item.is_linked());
/// # Ok::<(), Error>(())
/// ```
#[vtable]
pub trait Shrinker: Sized {
    /// The data that the functions get.
    type Ptr: ForeignOwnable + Send + Sync + 'static;

    /// How costly it is to make an object again.
    ///
    /// The greater it is, the less of the objects does reclaim ask for. With 0, it asks for half of
    /// them.
    const SEEKS: u32 = DEFAULT_SEEKS;

    /// How many objects reclaim asks for at once; 0 is the kernel's default.
    const BATCH: usize = 0;

    /// Whether the functions use [`ShrinkControl::nid`].
    ///
    /// Reclaim then keeps what it has put off for each node.
    const NUMA_AWARE: bool = false;

    /// Returns how many objects could be freed.
    ///
    /// # Context
    ///
    /// May sleep, but should be quick: reclaim calls this often. It does not look whether locks are
    /// free; that is for [`scan`](Self::scan). The requirements of
    /// [the trait](Self#where-the-functions-run) apply.
    fn count(data: <Self::Ptr as ForeignOwnable>::Borrowed<'_>, sc: &ShrinkControl) -> Count;

    /// Frees objects, if it can, after having looked at [`ShrinkControl::nr_to_scan`] of them.
    ///
    /// # Context
    ///
    /// May sleep. The requirements of [the trait](Self#where-the-functions-run) apply.
    fn scan(data: <Self::Ptr as ForeignOwnable>::Borrowed<'_>, sc: &mut ShrinkControl) -> Scan;
}

/// What reclaim asks for.
///
/// # Invariants
///
/// The inner value is valid, and only this thread uses it.
#[repr(transparent)]
pub struct ShrinkControl {
    inner: Opaque<bindings::shrink_control>,
    _nts: NotThreadSafe,
}

impl ShrinkControl {
    /// # Safety
    ///
    /// `sc` must point to a valid `shrink_control`, which only the returned reference is used to
    /// access during `'a`.
    #[inline]
    unsafe fn from_raw<'a>(sc: *mut bindings::shrink_control) -> &'a mut Self {
        // SAFETY: The types have the same layout, and by the safety requirements of this function
        // the type invariants hold during `'a`.
        unsafe { &mut *sc.cast() }
    }

    #[inline]
    fn get(&self) -> &bindings::shrink_control {
        // SAFETY: By the type invariants, the value is valid. It is changed only through `&mut`.
        unsafe { &*self.inner.get() }
    }

    #[inline]
    fn get_mut(&mut self) -> &mut bindings::shrink_control {
        // SAFETY: By the type invariants, the value is valid, and only this thread uses it.
        unsafe { &mut *self.inner.get() }
    }

    /// Returns the node that is short of memory.
    ///
    /// Root can ask, through debugfs, for a node that does not exist. The functions of
    /// [`ListLru`](crate::list_lru::ListLru) accept any number.
    #[inline]
    pub fn nid(&self) -> i32 {
        self.get().nid
    }

    /// Returns how many objects a scan is to look at.
    #[inline]
    pub fn nr_to_scan(&self) -> usize {
        self.get().nr_to_scan
    }

    /// Changes what [`nr_to_scan`](Self::nr_to_scan) returns; the kernel does not read it.
    #[inline]
    pub fn set_nr_to_scan(&mut self, nr: usize) {
        self.get_mut().nr_to_scan = nr;
    }

    /// Tells reclaim how many objects a scan has looked at.
    ///
    /// If a scan does not call this, the kernel takes it that it has looked at as many as it was
    /// asked for. A scan that has looked at none, and has freed none, counts as [`Scan::Stop`]:
    /// otherwise reclaim would call it again and again.
    #[inline]
    pub fn set_nr_scanned(&mut self, nr: usize) {
        self.get_mut().nr_scanned = nr.min(MAX_OBJECTS);
    }

    /// Returns whether the functions may call into file systems (`__GFP_FS`).
    ///
    /// If not, the thread may hold locks of a file system.
    #[inline]
    pub fn may_enter_fs(&self) -> bool {
        self.get().gfp_mask & (1 << bindings::___GFP_FS_BIT) != 0
    }

    /// Returns whether the functions may start I/O (`__GFP_IO`).
    #[inline]
    pub fn may_start_io(&self) -> bool {
        self.get().gfp_mask & (1 << bindings::___GFP_IO_BIT) != 0
    }
}

/// The registration of a [`Shrinker`], and the owner of its data.
///
/// Dropping it ends the registration, waits for functions that are running, and drops the data.
///
/// A module that leaks it must not be unloaded: the kernel would go on to call the functions, whose
/// code is gone. The types do not exclude this. A registration in the data of the module ends when
/// the module is unloaded.
///
/// # Invariants
///
/// - `shrinker` is registered, with the functions of `S`, and this value owns it.
/// - Its `private_data` comes from `into_foreign` of `S::Ptr`, and only this value takes it back.
#[must_use = "the registration ends when this is dropped"]
pub struct Registration<S: Shrinker> {
    shrinker: NonNull<bindings::shrinker>,
    _data: PhantomData<S::Ptr>,
}

// SAFETY: A shrinker can be freed on any thread, and the data can be dropped there, since it is
// `Send`.
unsafe impl<S: Shrinker> Send for Registration<S> {}
// SAFETY: A shared reference gives access only to borrows of the data, which is `Sync`.
unsafe impl<S: Shrinker> Sync for Registration<S> {}

impl<S: Shrinker> Registration<S> {
    /// Registers a shrinker.
    ///
    /// `name` is that of its folder in debugfs, with a number appended, if there is
    /// `CONFIG_SHRINKER_DEBUG`.
    ///
    /// # Context
    ///
    /// Sleeps. The functions can be called before this returns.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`] if there is not enough memory. The data is dropped then.
    ///
    /// # Examples
    ///
    /// See [`Shrinker`].
    pub fn new(name: &CStr, data: S::Ptr) -> Result<Self> {
        const {
            assert!(S::SEEKS <= i32::MAX as u32, "`SEEKS` is too great");
            assert!(S::BATCH <= MAX_OBJECTS, "`BATCH` is too great");
        }
        let flags = if S::NUMA_AWARE {
            bindings::SHRINKER_NUMA_AWARE
        } else {
            0
        };
        // SAFETY: The format has one argument, a string, which C copies.
        let shrinker =
            unsafe { bindings::shrinker_alloc(flags, c"%s".as_char_ptr(), name.as_char_ptr()) };
        let shrinker = NonNull::new(shrinker).ok_or(ENOMEM)?;
        // SAFETY: The shrinker was just made, and is not registered yet, so nothing else uses it.
        // It gets functions and data that belong together.
        unsafe {
            let shrinker = shrinker.as_ptr();
            (*shrinker).count_objects = Some(count_objects::<S>);
            (*shrinker).scan_objects = Some(scan_objects::<S>);
            (*shrinker).batch = S::BATCH as isize;
            (*shrinker).seeks = S::SEEKS as i32;
            (*shrinker).private_data = data.into_foreign();
            bindings::shrinker_register(shrinker);
        }
        // INVARIANT: The shrinker was just registered.
        Ok(Self {
            shrinker,
            _data: PhantomData,
        })
    }

    /// Returns the data.
    #[inline]
    pub fn data(&self) -> <S::Ptr as ForeignOwnable>::Borrowed<'_> {
        // SAFETY: By the type invariants, the shrinker is valid, and its data comes from
        // `into_foreign`. It is taken back only when `self` is dropped.
        unsafe { S::Ptr::borrow((*self.shrinker.as_ptr()).private_data) }
    }
}

impl<S: Shrinker> Drop for Registration<S> {
    /// Ends the registration.
    ///
    /// # Context
    ///
    /// Sleeps until the functions of the shrinker have returned on all threads. So the caller must
    /// not hold a lock that they wait for, and must not be one of them.
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the shrinker is valid.
        let data = unsafe { (*self.shrinker.as_ptr()).private_data };
        // SAFETY: By the type invariants, the shrinker is registered, and this value owns it.
        unsafe { bindings::shrinker_free(self.shrinker.as_ptr()) };
        // SAFETY: By the type invariants, `data` comes from `into_foreign`, and only this value
        // takes it back. No function uses it: `shrinker_free` has waited for reclaim to give up its
        // references to the shrinker, and then for accesses through debugfs. It frees the shrinker
        // itself later, but nothing calls its functions any longer.
        drop(unsafe { S::Ptr::from_foreign(data) });
    }
}

/// Entries for tests: they call the functions of a shrinker as reclaim does.
#[cfg(CONFIG_KUNIT = "y")]
impl<S: Shrinker> Registration<S> {
    fn control(nid: i32, nr_to_scan: usize) -> bindings::shrink_control {
        bindings::shrink_control {
            gfp_mask: bindings::GFP_KERNEL,
            nid,
            nr_to_scan,
            nr_scanned: nr_to_scan,
            ..pin_init::zeroed()
        }
    }

    /// Calls [`Shrinker::count`] for a node.
    pub fn call_count(&self, nid: i32) -> Count {
        let mut sc = Self::control(nid, 0);
        // SAFETY: By the type invariants, the shrinker is registered, with this function.
        match unsafe { count_objects::<S>(self.shrinker.as_ptr(), &mut sc) } {
            SHRINK_EMPTY => Count::Empty,
            objects => Count::Objects(objects),
        }
    }

    /// Calls [`Shrinker::scan`] for a node.
    pub fn call_scan(&self, nid: i32, nr_to_scan: usize) -> Scan {
        let mut sc = Self::control(nid, nr_to_scan);
        // SAFETY: By the type invariants, the shrinker is registered, with this function.
        match unsafe { scan_objects::<S>(self.shrinker.as_ptr(), &mut sc) } {
            SHRINK_STOP => Scan::Stop,
            freed => Scan::Freed(freed),
        }
    }
}

/// `SHRINK_STOP`, of the type that the functions return.
const SHRINK_STOP: usize = bindings::SHRINK_STOP as usize;
/// `SHRINK_EMPTY`, of the type that the functions return.
const SHRINK_EMPTY: usize = bindings::SHRINK_EMPTY as usize;

/// # Safety
///
/// `shrinker` must be that of a [`Registration<S>`] which is not dropped meanwhile, and `sc` valid
/// and used by nothing else.
unsafe extern "C" fn count_objects<S: Shrinker>(
    shrinker: *mut bindings::shrinker,
    sc: *mut bindings::shrink_control,
) -> usize {
    // SAFETY: By the safety requirements of this function, `private_data` comes from
    // `into_foreign`, and is not taken back meanwhile.
    let data = unsafe { S::Ptr::borrow((*shrinker).private_data) };
    // SAFETY: By the safety requirements of this function, `sc` is valid and not used by anything
    // else.
    match S::count(data, unsafe { ShrinkControl::from_raw(sc) }) {
        Count::Empty => SHRINK_EMPTY,
        Count::Objects(objects) => objects.min(MAX_OBJECTS),
    }
}

/// # Safety
///
/// As for [`count_objects`].
unsafe extern "C" fn scan_objects<S: Shrinker>(
    shrinker: *mut bindings::shrinker,
    sc: *mut bindings::shrink_control,
) -> usize {
    // SAFETY: By the safety requirements of this function, `private_data` comes from
    // `into_foreign`, and is not taken back meanwhile.
    let data = unsafe { S::Ptr::borrow((*shrinker).private_data) };
    // SAFETY: By the safety requirements of this function, `sc` is valid and not used by anything
    // else.
    let sc = unsafe { ShrinkControl::from_raw(sc) };
    let freed = match S::scan(data, sc) {
        Scan::Stop => return SHRINK_STOP,
        Scan::Freed(freed) => freed.min(MAX_OBJECTS),
    };
    // Reclaim goes on until the numbers of objects that were looked at add up.
    if sc.get().nr_scanned == 0 {
        if freed == 0 {
            return SHRINK_STOP;
        }
        sc.set_nr_scanned(freed);
    }
    freed
}
