// SPDX-License-Identifier: GPL-2.0

//! Pages of user space, held while the kernel uses them (`get_user_pages`, `pin_user_pages`).
//!
//! Documentation/core-api/pin_user_pages.rst says which of the two is for what: who accesses the
//! contents pins. [`UserPages`] is the guard for both, and its type says which it is, and what for:
//!
//! | type | C | for |
//! |---|---|---|
//! | `UserPages<Pinned, A>` | `pin_user_pages…` | accessing the contents for a short time |
//! | `UserPages<PinnedLongTerm, A>` | … with `FOLL_LONGTERM` | the same, for as long as user space wants |
//! | `UserPages<Referenced, A>` | `get_user_pages…` | keeping the pages from being freed |
//!
//! Pages are asked for as user space would access them: what it may not read or write cannot be
//! had. There is no `FOLL_FORCE`, which is for debuggers.

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
};

mod sealed {
    pub trait Sealed {}
}

/// How pages are held.
pub trait Hold: sealed::Sealed {
    /// Are they pinned, and not only referenced?
    #[doc(hidden)]
    const PIN: bool;
    /// Flags for C.
    #[doc(hidden)]
    const FLAGS: u32;
}

/// Pages whose contents may be accessed.
#[diagnostic::on_unimplemented(
    message = "pages that are held as `{Self}` must not be written to",
    note = "pin them: whoever has only a reference writes to pages that the kernel may just be \
            writing out"
)]
pub trait HoldPinned: Hold {}

/// Pages that are pinned for a short time.
pub enum Pinned {}
/// Pages that are pinned for a time that user space decides about.
///
/// They are moved out of places from which memory must be removable, and memory of file systems that
/// could not cope with it cannot be had. How much one may pin ([`RLIMIT_MEMLOCK`]) is not checked.
///
/// [`RLIMIT_MEMLOCK`]: https://man7.org/linux/man-pages/man2/getrlimit.2.html
pub enum PinnedLongTerm {}
/// Pages that are only kept from being freed.
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

/// What pages are held for.
pub trait HoldFor: sealed::Sealed {
    /// Flags for C.
    #[doc(hidden)]
    const FLAGS: u32;
}

/// To read them.
pub enum ReadOnly {}
/// To read and write them.
pub enum ReadWrite {}

impl sealed::Sealed for ReadOnly {}
impl sealed::Sealed for ReadWrite {}

impl HoldFor for ReadOnly {
    const FLAGS: u32 = 0;
}

impl HoldFor for ReadWrite {
    const FLAGS: u32 = bindings::FOLL_WRITE;
}

/// Where pages come from.
enum Source<'a> {
    /// The current mm. No lock is held.
    Fast,
    /// As above, not looking at the page tables without a lock before.
    Unlocked,
    /// The current mm, of which the mmap lock is held.
    Current,
    /// An mm, of which the mmap lock is held. C may give up the lock if this says so.
    Remote(&'a MmWithUser, Option<&'a mut c_int>),
}

/// Pages of user space, held until this is dropped.
///
/// A pin counts as 1024 of the page's references: a driver that leaks or keeps two million of one page makes
/// the kernel refuse the next, with a warning, and the layer refuse to [map](super::Folio#references) it.
///
/// They are what was mapped at the addresses when this was made. What is mapped there later is
/// another question. User space may write to them at any time, so there are no references to the
/// contents, only functions that copy.
///
/// Dropping it sleeps if something was written: it takes the lock of each folio, to mark it dirty. So no
/// [`LockedFolio`](super::LockedFolio) that may be one of them may be held.
///
/// # Invariants
///
/// All of `pages` are pages that were pinned or referenced, as `H` says, once for each entry; and
/// for writing, if `A` says so.
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
/// What was asked for in order to read it, cannot be written:
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
#[must_use = "the pages are given up when this is dropped"]
pub struct UserPages<H: Hold, A: HoldFor> {
    pages: KVVec<*mut bindings::page>,
    /// Was something written to them through this?
    dirty: Atomic<bool>,
    _kind: PhantomData<fn() -> (H, A)>,
}

// SAFETY: A pin or reference belongs to no thread.
unsafe impl<H: Hold, A: HoldFor> Send for UserPages<H, A> {}
// SAFETY: As above; what can be done through a reference is copying, by C code that expects the
// contents to change meanwhile.
unsafe impl<H: Hold, A: HoldFor> Sync for UserPages<H, A> {}

impl<H: Hold, A: HoldFor> UserPages<H, A> {
    fn new(source: Source<'_>, start: usize, nr_pages: usize) -> Result<Self> {
        let pages = hold(source, start, nr_pages, H::PIN, H::FLAGS | A::FLAGS)?;
        // INVARIANT: That is what was just done.
        Ok(Self {
            pages,
            dirty: Atomic::new(false),
            _kind: PhantomData,
        })
    }

    /// Holds pages of the current mm, from a page's address on
    /// (`get_user_pages_fast`, `pin_user_pages_fast`). The quickest way for pages that are mapped.
    ///
    /// May return fewer pages than asked for, but at least one.
    ///
    /// # Context
    ///
    /// Sleeps. The mmap lock of the current mm must not be held, nor a VMA lock of it, nor a lock that a
    /// driver's fault handler takes: the pages may be ones that it has to map first.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the address is not that of a page, or the number of pages is zero or absurd.
    /// - [`EFAULT`] if user space could not access the first page, or it is not memory that can be
    ///   held, as of a device; or if there is no user space, in a kernel thread.
    /// - [`ENOMEM`] if there is not enough memory.
    /// - Others, of the fault handler.
    pub fn fast(start: usize, nr_pages: usize) -> Result<Self> {
        Self::new(Source::Fast, start, nr_pages)
    }

    /// As [`fast`](Self::fast), but takes the mmap lock in any case
    /// (`get_user_pages_unlocked`, `pin_user_pages_unlocked`).
    ///
    /// # Context
    ///
    /// As [`fast`](Self::fast).
    ///
    /// # Errors
    ///
    /// As [`fast`](Self::fast).
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
        Self::new(Source::Unlocked, start, nr_pages)
    }

    /// Holds pages of the current mm, whose mmap lock is held
    /// (`get_user_pages`, `pin_user_pages`).
    ///
    /// # Context
    ///
    /// Sleeps. No lock that a driver's fault handler takes may be held, as for [`fast`](Self::fast).
    ///
    /// # Errors
    ///
    /// As [`fast`](Self::fast); [`EINVAL`] also if the lock is another mm's. What would have to
    /// be waited for without the lock is [`EFAULT`]: a page that userfaultfd is to provide. (With
    /// `CONFIG_DEBUG_VM`, the kernel logs that.)
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

    /// Holds pages of any mm, whose mmap lock is held, and stays so
    /// (`get_user_pages_remote`, `pin_user_pages_remote`).
    ///
    /// # Context
    ///
    /// Sleeps. No lock that a driver's fault handler takes may be held, as for [`fast`](Self::fast).
    ///
    /// # Errors
    ///
    /// As [`fast`](Self::fast). What would have to be waited for without the lock is [`EFAULT`], as in
    /// [`current`](Self::current): see [`remote_unlockable`](Self::remote_unlockable).
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

    /// As [`remote`](Self::remote), but may give up the mmap lock to wait for something.
    ///
    /// If it has done so, there is no guard in the result.
    ///
    /// # Context
    ///
    /// Sleeps. No VMA lock of the mm may be held, nor a lock that a driver's fault handler takes.
    ///
    /// # Errors
    ///
    /// As [`fast`](Self::fast).
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
    /// // What was known of the mm is known no more, unless the guard is still there.
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
            // It stands for a lock that C has given up.
            mem::forget(guard);
            return (pages, None);
        }
        (pages, Some(guard))
    }

    /// Returns the number of pages. At least one.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        self.pages.len()
    }

    /// Returns the number of bytes.
    #[expect(clippy::len_without_is_empty)]
    #[inline]
    pub fn len(&self) -> usize {
        self.pages.len() << PAGE_SHIFT
    }
}

impl<H: HoldPinned, A: HoldFor> UserPages<H, A> {
    /// Copies bytes out of the pages.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if there are fewer.
    pub fn read_at(&self, offset: usize, out: &mut [u8]) -> Result {
        page_array::read_at(self, offset, out)
    }
}

impl<H: HoldPinned> UserPages<H, ReadWrite> {
    /// Copies bytes into the pages.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if there is no place for all.
    pub fn write_at(&self, offset: usize, data: &[u8]) -> Result {
        self.dirty.store(true, Relaxed);
        page_array::write_at(self, offset, data)
    }
}

// SAFETY: By the type invariants, they are pages, and kept; the array does not change. They are or
// were mapped by user space, and so there are no references to their contents.
unsafe impl<H: Hold, A: HoldFor> PageArray for UserPages<H, A> {
    #[inline]
    fn nr_pages(&self) -> usize {
        self.pages.len()
    }

    #[inline]
    fn page(&self, index: usize) -> Option<NonNull<bindings::page>> {
        self.pages.get(index).copied().and_then(NonNull::new)
    }
}

impl<H: Hold, A: HoldFor> Drop for UserPages<H, A> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants; they are not used after this.
        unsafe { release(&mut self.pages, H::PIN, self.dirty.load(Relaxed)) };
    }
}

/// Calls the function of C that goes with `source`.
#[inline(never)]
fn hold(
    source: Source<'_>,
    start: usize,
    nr_pages: usize,
    pin: bool,
    flags: u32,
) -> Result<KVVec<*mut bindings::page>> {
    // What C takes, and what can be allocated without a warning.
    let most = i32::MAX as usize / mem::size_of::<*mut bindings::page>();
    if start & !PAGE_MASK != 0 || nr_pages == 0 || nr_pages > most {
        return Err(EINVAL);
    }
    might_sleep();
    // SAFETY: The current task is valid, and its mm is changed by itself only.
    let current = unsafe { (*Task::current_raw()).mm };
    if current.is_null() && !matches!(source, Source::Remote(..)) {
        return Err(EFAULT);
    }
    let mut pages = KVVec::from_elem(ptr::null_mut(), nr_pages, GFP_KERNEL)?;
    let array = pages.as_mut_ptr();
    // SAFETY: The array has room for that many pages. Of the current mm, which there is,
    // the mmap lock is held if it is `Current`; of the other one, it is held, and C says whether it
    // has given it up. The flags are among those that may be given.
    let ret = unsafe {
        match (source, pin) {
            (Source::Fast, true) => {
                bindings::pin_user_pages_fast(start, nr_pages as c_int, flags, array) as isize
            }
            (Source::Fast, false) => {
                bindings::get_user_pages_fast(start, nr_pages as c_int, flags, array) as isize
            }
            (Source::Unlocked, true) => {
                bindings::pin_user_pages_unlocked(start, nr_pages, array, flags)
            }
            (Source::Unlocked, false) => {
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

/// Gives up pages.
///
/// # Safety
///
/// All must be held once for each entry: pinned, or referenced if `pin` is not set.
#[inline(never)]
unsafe fn release(pages: &mut [*mut bindings::page], pin: bool, dirty: bool) {
    if pin {
        // SAFETY: The caller's promise.
        unsafe { bindings::unpin_user_pages_dirty_lock(pages.as_mut_ptr(), pages.len(), dirty) };
        return;
    }
    for page in pages {
        // SAFETY: The caller's promise. Nobody has written through a reference.
        unsafe { bindings::put_page(*page) };
    }
}
