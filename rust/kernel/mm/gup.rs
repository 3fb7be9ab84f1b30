// SPDX-License-Identifier: GPL-2.0

//! Pages of user space, held while the kernel uses them (`get_user_pages`, `pin_user_pages`).
//!
//! Documentation/core-api/pin_user_pages.rst says when to use which of the two: code that accesses
//! the contents of the pages pins them. [`UserPages`] is the guard for both. Its type says how the
//! pages are held, and whether they may be written to:
//!
//! | type | C | for |
//! |---|---|---|
//! | `UserPages<Pinned, A>` | `pin_user_pages…` | short accesses to the contents |
//! | `UserPages<PinnedLongTerm, A>` | … with `FOLL_LONGTERM` | as long as user space wants |
//! | [`ChargedPages<A>`](ChargedPages) | … and `mm->pinned_vm` | the same, within a limit |
//! | `UserPages<Referenced, A>` | `get_user_pages…` | keeping the pages from being freed |
//!
//! The kernel permits what user space could do itself: pages that user space may not read, or may
//! not write, cannot be held for that. There is no `FOLL_FORCE`, which is for debuggers.

use super::{
    MmWithUser,
    MmapReadGuard, //
};
use crate::{
    alloc::KVVec,
    bindings,
    mm::memory::page_array::{
        self,
        PageArray, //
    },
    page::{
        PAGE_MASK,
        PAGE_SHIFT, //
    },
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
    task::{
        might_sleep,
        Task, //
    }, //
};
use core::{
    marker::PhantomData,
    mem,
    ptr::{
        self,
        NonNull, //
    }, //
    slice,
};

mod charged;

pub use charged::ChargedPages;

mod sealed {
    pub trait Sealed {}
}

/// A way of holding pages.
pub trait Hold: sealed::Sealed {
    /// Whether the pages are pinned, and not only referenced.
    #[doc(hidden)]
    const PIN: bool;
    /// Flags for C.
    #[doc(hidden)]
    const FLAGS: u32;
}

/// A way of holding pages that permits access to their contents.
#[diagnostic::on_unimplemented(
    message = "the contents of pages that are held as `{Self}` must not be accessed",
    note = "pin the pages: with only a reference, a driver would write to pages while the kernel \
            writes them to disk"
)]
pub trait HoldPinned: Hold {}

/// The pages are pinned for a short time.
pub enum Pinned {}
/// The pages are pinned for a time that user space determines.
///
/// The kernel moves them out of memory that must remain removable. It refuses pages of file systems
/// that cannot cope with long-term pins. Only [`UserPages::charged`] checks the limit on pinned
/// memory ([`RLIMIT_MEMLOCK`]).
///
/// [`RLIMIT_MEMLOCK`]: https://man7.org/linux/man-pages/man2/getrlimit.2.html
pub enum PinnedLongTerm {}
/// The pages are only kept from being freed.
pub enum Referenced {}

impl sealed::Sealed for Pinned {}
impl sealed::Sealed for PinnedLongTerm {}
impl sealed::Sealed for Referenced {}

impl Hold for Pinned {
    const PIN: bool = true;
    const FLAGS: u32 = 0;
}

impl Hold for PinnedLongTerm {
    const PIN: bool = true;
    const FLAGS: u32 = bindings::FOLL_LONGTERM;
}

impl Hold for Referenced {
    const PIN: bool = false;
    const FLAGS: u32 = 0;
}

impl HoldPinned for Pinned {}
impl HoldPinned for PinnedLongTerm {}

/// The access that pages are held for.
pub trait HoldFor: sealed::Sealed {
    /// Flags for C.
    #[doc(hidden)]
    const FLAGS: u32;
}

/// The pages are held for reading.
pub enum ReadOnly {}
/// The pages are held for reading and writing.
pub enum ReadWrite {}

impl sealed::Sealed for ReadOnly {}
impl sealed::Sealed for ReadWrite {}

impl HoldFor for ReadOnly {
    const FLAGS: u32 = 0;
}

impl HoldFor for ReadWrite {
    const FLAGS: u32 = bindings::FOLL_WRITE;
}

/// The mm whose pages are to be held, and the locking of the C function for it.
enum Source<'a> {
    /// The current mm, whose mmap lock is not held; C tries the page tables without the lock first.
    Fast,
    /// The current mm, whose mmap lock is not held; C takes it.
    NotLocked,
    /// The current mm, whose mmap lock is held.
    Current,
    /// An mm whose mmap lock is held; C may drop it if there is a flag in which to say so.
    Remote(&'a MmWithUser, Option<&'a mut c_int>),
}

/// Pages of user space, held until this is dropped.
///
/// These are the pages that were mapped at the addresses when this was made; other pages may be
/// mapped there later. User space may write to the pages at any time. There are therefore no
/// references to the contents, only functions that copy.
///
/// A pin counts as 1024 references to its page. If a driver keeps or leaks two million pins of one
/// page, the kernel refuses the next one, with a warning, and the layer refuses to
/// [map](super::Folio#references) the page.
///
/// # Context
///
/// Dropping this sleeps if something was written: it takes the lock of each folio to mark it dirty.
/// The caller must then not hold a [`LockedFolio`](super::LockedFolio) that may be one of them.
///
/// # Invariants
///
/// Each element of `pages` stands for one pin of, or one reference to, a valid page, as `H` says.
/// If `A` says so, the page is held for writing.
///
/// # Examples
///
/// ```
/// use kernel::{mm::{gup::*, testing::*}, page::PAGE_SIZE};
///
/// let mm = UserMm::attach()?;
/// let addr = mm.mmap_anonymous(2 * PAGE_SIZE)?;
/// mm.write(addr + PAGE_SIZE, b"hello")?;
///
/// let pages = UserPages::<Pinned, ReadWrite>::fast(addr, 2)?;
/// let mut out = [0; 5];
/// pages.read_at(PAGE_SIZE, &mut out)?;
/// assert_eq!(&out, b"hello");
/// pages.write_at(PAGE_SIZE - 1, b"yy")?;
/// drop(pages);
/// assert_eq!(mm.read(addr + PAGE_SIZE)?, *b"yello");
/// # Ok::<(), Error>(())
/// ```
///
/// Pages that are held for reading cannot be written to:
///
/// ```
/// use kernel::{mm::{gup::*, testing::*}, page::PAGE_SIZE};
///
/// let mm = UserMm::attach()?;
/// let file = mm.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
/// let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
/// assert_eq!(UserPages::<Pinned, ReadOnly>::fast(addr, 1)?.nr_pages(), 1);
/// assert!(UserPages::<Pinned, ReadWrite>::fast(addr, 1).is_err_and(|e| e == EFAULT));
/// # Ok::<(), Error>(())
/// ```
#[must_use = "the pages are released when this is dropped"]
pub struct UserPages<H: Hold, A: HoldFor> {
    pages: Pages,
    /// Whether something was written to the pages through this value.
    dirty: Atomic<bool>,
    _kind: PhantomData<fn() -> (H, A)>,
}

// SAFETY: Any thread may release a pin or a reference.
unsafe impl<H: Hold, A: HoldFor> Send for UserPages<H, A> {}
// SAFETY: Through a shared reference, threads can only copy the contents. C code does that, which
// expects the contents to change meanwhile.
unsafe impl<H: Hold, A: HoldFor> Sync for UserPages<H, A> {}

impl<H: Hold, A: HoldFor> UserPages<H, A> {
    fn new(source: Source<'_>, start: usize, nr_pages: usize) -> Result<Self> {
        let pages = hold(source, start, nr_pages, H::PIN, H::FLAGS | A::FLAGS)?;
        // INVARIANT: `hold` has pinned or referenced the pages, for the access that `A` asks for.
        Ok(Self {
            pages,
            dirty: Atomic::new(false),
            _kind: PhantomData,
        })
    }

    /// Holds pages of the current mm, from a page-aligned address on (`get_user_pages_fast`,
    /// `pin_user_pages_fast`).
    ///
    /// This is the fastest function for pages that are mapped already. It may hold fewer pages than
    /// `nr_pages`, but at least one.
    ///
    /// # Context
    ///
    /// Sleeps. The caller must hold neither the mmap lock nor a VMA lock of the current mm, nor a
    /// lock that a driver's fault handler takes: the kernel calls that handler if it has to map the
    /// pages first.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the address is not page-aligned, or `nr_pages` is zero or too large for C.
    /// - [`EFAULT`] if user space could not access the first page; if the memory cannot be held, as
    ///   that of a device; or if the current thread has no mm, as a kernel thread.
    /// - [`ENOMEM`] if there is not enough memory.
    /// - [`EINTR`] or [`EAGAIN`] if a fatal signal is pending.
    /// - Other errors that C returns.
    ///
    /// # Examples
    ///
    /// See [`UserPages`].
    pub fn fast(start: usize, nr_pages: usize) -> Result<Self> {
        if nr_pages != 1 {
            return Self::new(Source::Fast, start, nr_pages);
        }
        let page = hold_one(start, H::PIN, H::FLAGS | A::FLAGS)?;
        // INVARIANT: `hold_one` has pinned or referenced the page, for the access that `A` asks
        // for.
        Ok(Self {
            pages: Pages::One(page.as_ptr()),
            dirty: Atomic::new(false),
            _kind: PhantomData,
        })
    }

    /// Holds pages of the current mm, and takes the mmap lock in any case
    /// (`get_user_pages_unlocked`, `pin_user_pages_unlocked`).
    ///
    /// It may hold fewer pages than `nr_pages`, but at least one.
    ///
    /// # Context
    ///
    /// As for [`fast`](Self::fast).
    ///
    /// # Errors
    ///
    /// As for [`fast`](Self::fast).
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{gup::*, testing::*}, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let addr = mm.mmap_anonymous(PAGE_SIZE)?;
    /// let pages = UserPages::<PinnedLongTerm, ReadWrite>::unlocked(addr, 1)?;
    /// assert_eq!(pages.len(), PAGE_SIZE);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn unlocked(start: usize, nr_pages: usize) -> Result<Self> {
        Self::new(Source::NotLocked, start, nr_pages)
    }

    /// Holds pages of the current mm, whose mmap lock the caller holds (`get_user_pages`,
    /// `pin_user_pages`).
    ///
    /// It may hold fewer pages than `nr_pages`, but at least one.
    ///
    /// # Context
    ///
    /// Sleeps. The caller must not hold a lock that a driver's fault handler takes, as for
    /// [`fast`](Self::fast).
    ///
    /// # Errors
    ///
    /// As for [`fast`](Self::fast), and:
    ///
    /// - [`EINVAL`] if the guard is that of another mm.
    /// - [`EFAULT`] if the kernel would have to drop the lock to wait for the page, for example
    ///   because userfaultfd provides it. A kernel with `CONFIG_DEBUG_VM` logs that.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{gup::*, testing::*}, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let addr = mm.mmap_anonymous(PAGE_SIZE)?;
    /// let guard = mm.current().mmap_read_lock();
    /// let pages = UserPages::<Referenced, ReadOnly>::current(&guard, addr, 1)?;
    /// assert_eq!(pages.nr_pages(), 1);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn current(guard: &MmapReadGuard<'_>, start: usize, nr_pages: usize) -> Result<Self> {
        if !guard.mm.is_current() {
            return Err(EINVAL);
        }
        Self::new(Source::Current, start, nr_pages)
    }

    /// Holds pages of any mm, whose mmap lock the caller holds (`get_user_pages_remote`,
    /// `pin_user_pages_remote`).
    ///
    /// The lock remains held. It may hold fewer pages than `nr_pages`, but at least one.
    ///
    /// # Context
    ///
    /// Sleeps. The caller must not hold a lock that a driver's fault handler takes, as for
    /// [`fast`](Self::fast).
    ///
    /// # Errors
    ///
    /// As for [`fast`](Self::fast), and [`EFAULT`] if the kernel would have to drop the lock to
    /// wait for the page, as in [`current`](Self::current).
    /// [`remote_unlockable`](Self::remote_unlockable) permits it to.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{gup::*, testing::*}, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let addr = mm.mmap_anonymous(PAGE_SIZE)?;
    /// let guard = mm.current().mmap_read_lock();
    /// let pages = UserPages::<Pinned, ReadOnly>::remote(&guard, addr, 1)?;
    /// drop(guard);
    /// let mut out = [1; 1];
    /// pages.read_at(0, &mut out)?;
    /// assert_eq!(out, [0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn remote(guard: &MmapReadGuard<'_>, start: usize, nr_pages: usize) -> Result<Self> {
        Self::new(Source::Remote(guard.mm, None), start, nr_pages)
    }

    /// Holds pages of any mm, whose mmap lock the kernel may drop to wait for a page.
    ///
    /// If it has dropped the lock, the result has no guard, and anything looked up under the lock
    /// may be stale. Apart from that, this does what [`remote`](Self::remote) does.
    ///
    /// # Context
    ///
    /// Sleeps. The caller must not hold a VMA lock of the mm, nor a lock that a driver's fault
    /// handler takes.
    ///
    /// # Errors
    ///
    /// As for [`fast`](Self::fast).
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{gup::*, testing::*}, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let addr = mm.mmap_anonymous(PAGE_SIZE)?;
    /// let guard = mm.current().mmap_read_lock();
    /// let (pages, guard) = UserPages::<Pinned, ReadOnly>::remote_unlockable(guard, addr, 1);
    /// // Without a guard in the result, anything looked up in the mm before may be stale.
    /// let _guard = guard.unwrap_or_else(|| mm.current().mmap_read_lock());
    /// assert_eq!(pages?.nr_pages(), 1);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn remote_unlockable<'a>(
        guard: MmapReadGuard<'a>,
        start: usize,
        nr_pages: usize,
    ) -> (Result<Self>, Option<MmapReadGuard<'a>>) {
        let mut locked = 1;
        let pages = Self::new(Source::Remote(guard.mm, Some(&mut locked)), start, nr_pages);
        if locked == 0 {
            // C has dropped the lock, so the guard must not drop it again.
            mem::forget(guard);
            return (pages, None);
        }
        (pages, Some(guard))
    }

    /// Returns the number of pages, which is not zero.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        self.pages.as_slice().len()
    }

    /// Returns the number of bytes.
    #[expect(clippy::len_without_is_empty)]
    #[inline]
    pub fn len(&self) -> usize {
        self.nr_pages() << PAGE_SHIFT
    }
}

impl<H: HoldPinned, A: HoldFor> UserPages<H, A> {
    /// Copies bytes out of the pages.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the bytes extend past the end of the pages. Nothing has been copied then.
    ///
    /// # Examples
    ///
    /// See [`UserPages`].
    pub fn read_at(&self, offset: usize, out: &mut [u8]) -> Result {
        page_array::read_at(self, offset, out)
    }
}

impl<H: HoldPinned> UserPages<H, ReadWrite> {
    /// Copies bytes into the pages.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the bytes extend past the end of the pages. Nothing has been copied then.
    ///
    /// # Examples
    ///
    /// See [`UserPages`].
    pub fn write_at(&self, offset: usize, data: &[u8]) -> Result {
        self.dirty.store(true, Relaxed);
        page_array::write_at(self, offset, data)
    }
}

// SAFETY: By the type invariants, the elements are valid pages, which are held until `self` is
// dropped, and the array does not change. User space maps the pages, or did, so no Rust code has a
// reference to their contents.
unsafe impl<H: Hold, A: HoldFor> PageArray for UserPages<H, A> {
    #[inline]
    fn nr_pages(&self) -> usize {
        self.pages.as_slice().len()
    }

    #[inline]
    fn page(&self, index: usize) -> Option<NonNull<bindings::page>> {
        self.pages
            .as_slice()
            .get(index)
            .copied()
            .and_then(NonNull::new)
    }
}

impl<H: Hold, A: HoldFor> Drop for UserPages<H, A> {
    #[inline]
    fn drop(&mut self) {
        let dirty = self.dirty.load(Relaxed);
        match &mut self.pages {
            // SAFETY: By the type invariants, the element stands for one pin or reference, as `H`
            // says. The page is not used after this.
            Pages::One(page) if !dirty => unsafe { release_one(*page, H::PIN) },
            // SAFETY: By the type invariants, each element stands for one pin or reference, as `H`
            // says. The pages are not used after this.
            pages => unsafe { release(pages.as_mut_slice(), H::PIN, dirty) },
        }
    }
}

/// An array of pages, which needs no allocation for one page.
enum Pages {
    One(*mut bindings::page),
    Many(KVVec<*mut bindings::page>),
}

impl Pages {
    /// Makes an array of null pointers.
    fn new(nr_pages: usize) -> Result<Self> {
        Ok(match nr_pages {
            1 => Self::One(ptr::null_mut()),
            _ => Self::Many(KVVec::from_elem(ptr::null_mut(), nr_pages, GFP_KERNEL)?),
        })
    }

    #[inline]
    fn as_slice(&self) -> &[*mut bindings::page] {
        match self {
            Self::One(page) => slice::from_ref(page),
            Self::Many(pages) => pages,
        }
    }

    #[inline]
    fn as_mut_slice(&mut self) -> &mut [*mut bindings::page] {
        match self {
            Self::One(page) => slice::from_mut(page),
            Self::Many(pages) => pages,
        }
    }

    /// Shortens the array, not to nothing.
    fn truncate(&mut self, nr_pages: usize) {
        if let Self::Many(pages) = self {
            pages.truncate(nr_pages);
        }
    }
}

/// Returns whether the current thread has an mm, which a kernel thread need not have.
#[inline]
fn current_has_mm() -> bool {
    // SAFETY: The current task is valid. Only the task itself changes its `mm`.
    unsafe { !(*Task::current_raw()).mm.is_null() }
}

/// Holds the page at an address of the current mm, whose mmap lock is not held.
///
/// This is [`hold`] for the most frequent case, without its choices.
#[inline(never)]
fn hold_one(start: usize, pin: bool, flags: u32) -> Result<NonNull<bindings::page>> {
    if start & !PAGE_MASK != 0 {
        return Err(EINVAL);
    }
    might_sleep();
    if !current_has_mm() {
        return Err(EFAULT);
    }
    let mut page = ptr::null_mut();
    let get = match pin {
        true => bindings::pin_user_pages_fast,
        false => bindings::get_user_pages_fast,
    };
    // SAFETY: There is room for one pointer. The current task has an mm, as was just checked. The
    // flags are among those that callers may pass.
    let ret = unsafe { get(start, 1, flags, &mut page) };
    if ret < 0 {
        return Err(Error::from_errno(ret));
    }
    NonNull::new(page).ok_or(EFAULT)
}

/// Holds pages with the C function for `source`.
#[inline(never)]
fn hold(source: Source<'_>, start: usize, nr_pages: usize, pin: bool, flags: u32) -> Result<Pages> {
    // The number of pages that C takes, and for which an array can be allocated without a warning.
    let most = i32::MAX as usize / mem::size_of::<*mut bindings::page>();
    if start & !PAGE_MASK != 0 || nr_pages == 0 || nr_pages > most {
        return Err(EINVAL);
    }
    might_sleep();
    if !matches!(source, Source::Remote(..)) && !current_has_mm() {
        return Err(EFAULT);
    }
    let mut pages = Pages::new(nr_pages)?;
    let array = pages.as_mut_slice().as_mut_ptr();
    // SAFETY:
    // - The array has room for `nr_pages` pointers.
    // - `Fast`, `NotLocked` and `Current` use the mm of the current task, which has one, as was
    //   checked above. The callers have a guard of its mmap lock if they pass `Current`.
    // - The callers have a guard of the mmap lock of `mm` if they pass `Remote`. C drops the lock
    //   only if `locked` is not null, and says so there.
    // - The flags are among those that callers may pass.
    let ret = unsafe {
        match (source, pin) {
            (Source::Fast, true) => {
                bindings::pin_user_pages_fast(start, nr_pages as c_int, flags, array) as isize
            }
            (Source::Fast, false) => {
                bindings::get_user_pages_fast(start, nr_pages as c_int, flags, array) as isize
            }
            (Source::NotLocked, true) => {
                bindings::pin_user_pages_unlocked(start, nr_pages, array, flags)
            }
            (Source::NotLocked, false) => {
                bindings::get_user_pages_unlocked(start, nr_pages, array, flags)
            }
            (Source::Current, true) => bindings::pin_user_pages(start, nr_pages, flags, array),
            (Source::Current, false) => bindings::get_user_pages(start, nr_pages, flags, array),
            (Source::Remote(mm, locked), pin) => {
                let locked = locked.map_or(ptr::null_mut(), ptr::from_mut);
                let function = match pin {
                    true => bindings::pin_user_pages_remote,
                    false => bindings::get_user_pages_remote,
                };
                function(mm.as_raw(), start, nr_pages, flags, array, locked)
            }
        }
    };
    match usize::try_from(ret) {
        Ok(0) => Err(EFAULT),
        Ok(held) => {
            pages.truncate(held);
            Ok(pages)
        }
        Err(_) => Err(Error::from_errno(ret as c_int)),
    }
}

/// Releases a page that was not written to.
///
/// # Context
///
/// Does not sleep.
///
/// # Safety
///
/// `page` must stand for one pin of a page if `pin`, otherwise for one reference. The caller must
/// not use the page after this.
#[inline]
unsafe fn release_one(page: *mut bindings::page, pin: bool) {
    match pin {
        // SAFETY: By the safety requirements of this function, `page` stands for one pin.
        true => unsafe { bindings::unpin_user_page(page) },
        // SAFETY: By the safety requirements of this function, `page` stands for one reference.
        false => unsafe { bindings::put_page(page) },
    }
}

/// Releases pages.
///
/// # Context
///
/// Sleeps if `dirty`.
///
/// # Safety
///
/// Each element must stand for one pin of a page if `pin`, otherwise for one reference. The caller
/// must not use the pages after this.
#[inline(never)]
unsafe fn release(pages: &mut [*mut bindings::page], pin: bool, dirty: bool) {
    if pin {
        // SAFETY: By the safety requirements of this function, each element stands for one pin.
        unsafe { bindings::unpin_user_pages_dirty_lock(pages.as_mut_ptr(), pages.len(), dirty) };
        return;
    }
    for page in pages {
        // SAFETY: By the safety requirements of this function, the element stands for one
        // reference. The page need not be marked dirty: only pinned pages can be written to.
        unsafe { bindings::put_page(*page) };
    }
}
