// SPDX-License-Identifier: GPL-2.0

//! The description of a mapping that is about to be made.
//!
//! `mmap_prepare` is called before there is a VMA. It gets a [`VmaDesc`], may adjust what a driver
//! may adjust, and ends with one call that says what the mapping is made of: its [`Mapping`]. The
//! kernel makes the VMA from that, and tells nobody whether it did: the mapping may be merged into
//! a neighbour or fail later. So the hook must not have an effect but its result. That it owns
//! nothing which the mapping needs is seen to by types; a counter is still a counter of attempts.
//!
//! Reference: `Documentation/filesystems/mmap_prepare.rst`
//!
//! C header: [`include/linux/mm_types.h`](srctree/include/linux/mm_types.h)

use super::flags::{
    ClearFlags,
    SetFlags,
    VmaFlags, //
};
use crate::{
    bindings,
    fs::File,
    page::{
        PAGE_MASK,
        PAGE_SHIFT, //
    },
    prelude::*,
    types::NotThreadSafe, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

mod action;

pub use action::Mapping;
pub(super) use action::Operations;

/// Makes a type invariant in a lifetime, so that values of different hook calls never mix.
type Brand<'f> = PhantomData<fn(&'f ()) -> &'f ()>;

/// The description of a mapping that user space has asked for.
///
/// `'f` is the time during which the file is open for sure. The hook cannot know how long it is:
/// what a mapping is made of must be borrowed from the device, and not be made in the hook.
///
/// `D` is the type of the file that is mapped.
///
/// # Invariants
///
/// - `raw` is valid, and nobody else accesses it, until the hook that got this value has returned.
/// - The `file` in it is open during `'f`, and has no active `fdget_pos` region on this thread.
/// - `device` is the private data of the file.
/// - `'f` belongs to one hook call alone.
///
/// # Examples
///
/// A misc device that lets user space read its pages, and never write them.
///
/// ```
/// use kernel::{
///     fs::File,
///     miscdevice::{MiscDevice, MiscDeviceRegistration},
///     mm::{
///         desc::{Mapping, VmaDesc},
///         flags::{ClearFlags, SetFlags},
///         testing::{UserMm, READ, SHARED, WRITE},
///         KernelPages, //
///     }, //
///     page::PAGE_SIZE,
/// };
///
/// struct Log {
///     pages: KernelPages,
/// }
///
/// #[vtable]
/// impl MiscDevice for Log {
///     type Ptr = KBox<Self>;
///
///     fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
///         Ok(KBox::new(Log { pages: KernelPages::new(4, GFP_KERNEL)? }, GFP_KERNEL)?)
///     }
///
///     fn mmap_prepare<'f>(log: &'f Log, mut desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
///         desc.try_clear(ClearFlags::MAYWRITE | ClearFlags::MAYEXEC)?;
///         desc.set(SetFlags::DONTDUMP);
///         desc.map_kernel_pages(&log.pages)
///     }
/// }
///
/// // A user mm, as a test has it.
/// let mm = UserMm::attach()?;
/// let log = KBox::new(Log { pages: KernelPages::new(4, GFP_KERNEL)? }, GFP_KERNEL)?;
/// log.pages.write_at(0, b"first page")?;
/// let file = mm.open::<Log>(log)?;
///
/// let addr = file.mmap(4 * PAGE_SIZE, READ, SHARED, 0)?;
/// assert_eq!(mm.read::<10>(addr)?, *b"first page");
/// assert_eq!(file.mmap(PAGE_SIZE, READ | WRITE, SHARED, 0), Err(EACCES));
/// // One page more than there is.
/// assert_eq!(file.mmap(4 * PAGE_SIZE, READ, SHARED, 1), Err(ENXIO));
/// # Ok::<(), Error>(())
/// ```
pub struct VmaDesc<'f, D> {
    raw: NonNull<bindings::vm_area_desc>,
    device: *mut c_void,
    _brand: Brand<'f>,
    _file: PhantomData<fn(D) -> D>,
    _not_send: NotThreadSafe,
}

impl<'f, D> VmaDesc<'f, D> {
    /// # Safety
    ///
    /// - `raw` must be the descriptor that an `mmap_prepare` hook was called with, and nobody may
    ///   access it before that hook has returned but through the returned value.
    /// - The file in it must stay open during `'f`, and be of the type `D`.
    /// - `device` must be the private data of the file.
    /// - `'f` must not be used for another hook call.
    pub(crate) unsafe fn from_raw(
        raw: NonNull<bindings::vm_area_desc>,
        device: *mut c_void,
    ) -> Self {
        // INVARIANT: As the caller promises. `mmap` takes the file without its position lock.
        Self {
            raw,
            device,
            _brand: PhantomData,
            _file: PhantomData,
            _not_send: NotThreadSafe,
        }
    }

    /// Changes the type of the file.
    ///
    /// # Safety
    ///
    /// What the hook of a file of type `E` may do with the descriptor must be right for this file.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(super) unsafe fn retag<E>(self) -> VmaDesc<'f, E> {
        // INVARIANT: The same descriptor, with a type that the caller vouches for.
        VmaDesc {
            raw: self.raw,
            device: self.device,
            _brand: PhantomData,
            _file: PhantomData,
            _not_send: NotThreadSafe,
        }
    }

    /// Returns the private data of the file.
    #[inline]
    pub(super) fn device(&self) -> *mut c_void {
        self.device
    }

    fn as_raw(&self) -> NonNull<bindings::vm_area_desc> {
        self.raw
    }

    #[inline]
    fn raw(&self) -> &bindings::vm_area_desc {
        // SAFETY: By the type invariants, `raw` is valid and only accessed through `self`.
        unsafe { self.raw.as_ref() }
    }

    #[inline]
    fn raw_mut(&mut self) -> &mut bindings::vm_area_desc {
        // SAFETY: By the type invariants, `raw` is valid and only accessed through `self`.
        unsafe { self.raw.as_mut() }
    }

    /// Returns the (inclusive) start address of the mapping.
    #[inline]
    pub fn start(&self) -> usize {
        self.raw().start
    }

    /// Returns the (exclusive) end address of the mapping.
    #[inline]
    pub fn end(&self) -> usize {
        self.raw().end
    }

    /// Returns the length of the mapping in bytes: whole pages, never zero.
    #[expect(clippy::len_without_is_empty)]
    #[inline]
    pub fn len(&self) -> usize {
        self.end() - self.start()
    }

    /// Returns the length of the mapping in pages.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        self.len() >> PAGE_SHIFT
    }

    /// Returns the offset in the file at which the mapping starts, in pages.
    ///
    /// `pgoff() + nr_pages()` does not overflow. Other than that, it is what user space has given.
    #[inline]
    pub fn pgoff(&self) -> usize {
        self.raw().pgoff
    }

    /// Returns the offset in the file at which the mapping starts, in bytes.
    ///
    /// # Errors
    ///
    /// [`EOVERFLOW`] if that is not a file offset, which is possible since user space gives pages.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::testing::*, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let file = mm.device(|dev, desc| {
    ///     assert_eq!((desc.pgoff(), desc.offset()?), (1, PAGE_SIZE));
    ///     assert_eq!((desc.len(), desc.nr_pages()), (2 * PAGE_SIZE, 2));
    ///     assert_eq!(desc.start() + desc.len(), desc.end());
    ///     desc.map_kernel_pages(&dev.pages)
    /// })?;
    /// file.mmap(2 * PAGE_SIZE, READ, SHARED, 1)?;
    ///
    /// // A page offset that has no offset in bytes.
    /// let file = mm.device(|_, desc| desc.offset().map(|_| desc.map_nothing()))?;
    /// assert_eq!(file.mmap(PAGE_SIZE, READ, SHARED, (i64::MAX as usize >> 12) + 1), Err(EOVERFLOW));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn offset(&self) -> Result<usize> {
        if self.pgoff() > (isize::MAX as usize) >> PAGE_SHIFT {
            return Err(EOVERFLOW);
        }
        Ok(self.pgoff() << PAGE_SHIFT)
    }

    /// Returns the file that is mapped.
    ///
    /// Where a stacked file system maps a file of ours, this is our file, not the one that user
    /// space sees.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::testing::*, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let file = mm.device(|_, desc| {
    ///     // Both read and write.
    ///     assert_eq!(desc.file().flags() & 3, 2);
    ///     Ok(desc.map_nothing())
    /// })?;
    /// file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn file(&self) -> &File {
        // SAFETY: By the type invariants, the file is open for longer than `self` lives, and has no
        // active `fdget_pos` region on this thread.
        unsafe { File::from_raw_file(self.raw().file) }
    }

    /// Returns the flags that the mapping will have, as far as they are known.
    #[inline]
    pub fn flags(&self) -> VmaFlags {
        VmaFlags::from_raw(self.raw().vma_flags)
    }

    /// Has user space asked to read? On most processors, what is writable can be read anyway.
    #[inline]
    pub fn readable(&self) -> bool {
        self.flags().readable()
    }

    /// May user space write, be it to the object or to private copies?
    #[inline]
    pub fn writable(&self) -> bool {
        self.flags().writable()
    }

    /// May user space execute?
    #[inline]
    pub fn executable(&self) -> bool {
        self.flags().executable()
    }

    /// Was the mapping asked for with `MAP_SHARED`?
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::testing::*, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let shared = mm.device(|_, desc| {
    ///     assert!(desc.is_shared() && !desc.is_cow());
    ///     assert!(desc.readable() && !desc.writable() && !desc.executable());
    ///     Ok(desc.map_nothing())
    /// })?;
    /// shared.mmap(PAGE_SIZE, READ, SHARED, 0)?;
    ///
    /// let private = mm.device(|_, desc| {
    ///     assert!(desc.is_cow() && !desc.is_shared());
    ///     assert!(desc.writable());
    ///     Ok(desc.map_nothing())
    /// })?;
    /// private.mmap(PAGE_SIZE, READ | WRITE, PRIVATE, 0)?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn is_shared(&self) -> bool {
        self.flags().is_shared()
    }

    /// Does a write make a private copy, now or after an `mprotect`?
    ///
    /// True for a `MAP_PRIVATE` mapping that is read-only, too, unless
    /// [`ClearFlags::MAYWRITE`] has been cleared.
    #[inline]
    pub fn is_cow(&self) -> bool {
        self.flags().is_cow()
    }

    /// Sets flags. Where two advices contradict each other, see [`SetFlags`] for what holds.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::flags::{SetFlags, VmaFlag};
    /// use kernel::{mm::testing::*, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let file = mm.device(|dev, mut desc| {
    ///     desc.set(SetFlags::DONTCOPY | SetFlags::HUGEPAGE);
    ///     assert!(desc.flags().contains(VmaFlag::HUGEPAGE));
    ///     // The stronger of two that contradict each other.
    ///     desc.set(SetFlags::NOHUGEPAGE);
    ///     desc.set(SetFlags::HUGEPAGE);
    ///     assert!(!desc.flags().contains(VmaFlag::HUGEPAGE));
    ///     desc.set(SetFlags::SEQ_READ | SetFlags::RAND_READ);
    ///     assert!(!desc.flags().contains(VmaFlag::SEQ_READ));
    ///     desc.set(SetFlags::SEQ_READ);
    ///     assert!(!desc.flags().contains(VmaFlag::RAND_READ));
    ///     desc.map_kernel_pages(&dev.pages)
    /// })?;
    /// file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn set(&mut self, flags: SetFlags) {
        let flags = flags.apply_to(self.flags());
        self.raw_mut().vma_flags = flags.into_raw();
    }

    /// Takes permissions away, for good.
    ///
    /// # Errors
    ///
    /// [`EACCES`] if the access that one of them permits has been asked for. Nothing has changed
    /// then.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::flags::{ClearFlags, VmaFlag};
    /// use kernel::{mm::testing::*, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let file = mm.device(|dev, mut desc| {
    ///     desc.try_clear(ClearFlags::MAYWRITE)?;
    ///     assert!(!desc.flags().contains(VmaFlag::MAYWRITE));
    ///     desc.map_kernel_pages(&dev.pages)
    /// })?;
    /// file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
    /// assert_eq!(file.mmap(PAGE_SIZE, READ | WRITE, SHARED, 0), Err(EACCES));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn try_clear(&mut self, flags: ClearFlags) -> Result {
        if self.flags().intersects(flags.access()) {
            return Err(EACCES);
        }
        let flags = self.flags().difference(flags.flags());
        self.raw_mut().vma_flags = flags.into_raw();
        Ok(())
    }

    /// Makes sure that user space never gets private copies of what is mapped.
    ///
    /// For an object whose point is that everybody sees the same. A private mapping that can only
    /// be read stays possible, and can never become writable.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] for a private mapping that is writable.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::testing::*, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let file = mm.device(|dev, mut desc| {
    ///     desc.deny_cow()?;
    ///     assert!(!desc.is_cow());
    ///     desc.map_kernel_pages(&dev.pages)
    /// })?;
    /// file.mmap(PAGE_SIZE, READ | WRITE, SHARED, 0)?;
    /// file.mmap(PAGE_SIZE, READ, PRIVATE, 0)?;
    /// assert_eq!(file.mmap(PAGE_SIZE, READ | WRITE, PRIVATE, 0), Err(EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn deny_cow(&mut self) -> Result {
        if !self.is_cow() {
            return Ok(());
        }
        self.try_clear(ClearFlags::MAYWRITE).map_err(|_| EINVAL)
    }

    /// Replaces the page offset.
    ///
    /// For drivers whose offsets are cookies. The page offset is also what
    /// [`AddressSpace::unmap`](super::rmap::AddressSpace::unmap) goes by, and where the
    /// whole-mapping actions start in their object. The kernel replaces it in turn, by the number of
    /// the first frame, where a copy-on-write mapping is filled with page frames.
    ///
    /// # Errors
    ///
    /// [`EOVERFLOW`] if the end of the mapping would not have a page offset. Nothing has changed
    /// then.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::testing::*, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let file = mm.device(|dev, mut desc| {
    ///     // The offset is a cookie that stands for the third page.
    ///     if desc.pgoff() != 0x1234 {
    ///         return Err(ENXIO);
    ///     }
    ///     assert_eq!(desc.set_pgoff(usize::MAX), Err(EOVERFLOW));
    ///     assert_eq!(desc.set_pgoff((i64::MAX as usize >> 12) + 1), Err(EOVERFLOW));
    ///     desc.set_pgoff(2)?;
    ///     desc.map_kernel_pages(&dev.pages)
    /// })?;
    /// let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0x1234)?;
    /// assert_eq!(mm.read(addr)?, [2]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn set_pgoff(&mut self, pgoff: usize) -> Result {
        let end = pgoff.checked_add(self.nr_pages()).ok_or(EOVERFLOW)?;
        // The kernel keeps file offsets in bytes in a signed 64-bit number.
        if end > (i64::MAX as u64 >> PAGE_SHIFT) as usize {
            return Err(EOVERFLOW);
        }
        self.raw_mut().pgoff = pgoff;
        Ok(())
    }

    /// Returns all of the mapping's addresses, for the actions that fill a part of it.
    #[inline]
    pub fn range(&self) -> DescRange<'f> {
        // INVARIANT: `start` and `end` are at page borders, `start < end`, and they never change.
        DescRange {
            start: self.start(),
            len: self.len(),
            _brand: PhantomData,
        }
    }
}

/// Some of the addresses of a mapping that is about to be made.
///
/// # Invariants
///
/// `start` and `len` are multiples of the page size, `len` is not zero, and all the addresses are
/// in the mapping that the hook call with the lifetime `'f` is about.
#[derive(Clone, Copy, Debug)]
pub struct DescRange<'f> {
    start: usize,
    len: usize,
    _brand: Brand<'f>,
}

impl DescRange<'_> {
    /// Returns the start address.
    #[inline]
    pub fn start(&self) -> usize {
        self.start
    }

    /// Returns the length in bytes, which is never zero.
    #[expect(clippy::len_without_is_empty)]
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns the length in pages, which is never zero.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        self.len >> PAGE_SHIFT
    }

    /// Returns the `len` bytes that start `offset` bytes into this range.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if they are not whole pages, or none, or not all inside.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::testing::*, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let file = mm.device(|dev, desc| {
    ///     let all = desc.range();
    ///     assert_eq!((all.start(), all.len(), all.nr_pages()), (desc.start(), desc.len(), 4));
    ///     let middle = all.sub(PAGE_SIZE, 2 * PAGE_SIZE)?;
    ///     assert_eq!(middle.sub(PAGE_SIZE, PAGE_SIZE)?.start(), desc.start() + 2 * PAGE_SIZE);
    ///     for (offset, len) in [
    ///         (0, 0),
    ///         (1, PAGE_SIZE),
    ///         (0, PAGE_SIZE + 1),
    ///         (PAGE_SIZE, 4 * PAGE_SIZE),
    ///         (4 * PAGE_SIZE, PAGE_SIZE),
    ///         (!(PAGE_SIZE - 1), 2 * PAGE_SIZE),
    ///     ] {
    ///         assert!(all.sub(offset, len).is_err_and(|e| e == EINVAL));
    ///     }
    ///     desc.map_kernel_pages_range(middle, dev.pages.slice(0, 2)?)
    /// })?;
    /// let addr = file.mmap(4 * PAGE_SIZE, READ, SHARED, 0)?;
    /// assert_eq!(mm.read::<1>(addr), Err(EFAULT));
    /// assert_eq!(mm.read(addr + 2 * PAGE_SIZE)?, [1]);
    /// assert_eq!(mm.read::<1>(addr + 3 * PAGE_SIZE), Err(EFAULT));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn sub(self, offset: usize, len: usize) -> Result<Self> {
        let end = offset.checked_add(len).ok_or(EINVAL)?;
        if len == 0 || end > self.len || (offset | len) & !PAGE_MASK != 0 {
            return Err(EINVAL);
        }
        // INVARIANT: Just checked; `start + offset` cannot overflow, being inside.
        Ok(Self {
            start: self.start + offset,
            len,
            _brand: PhantomData,
        })
    }
}
