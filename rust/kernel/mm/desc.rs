// SPDX-License-Identifier: GPL-2.0

//! The description of a mapping that user space has asked for.
//!
//! The kernel calls `mmap_prepare` before the VMA exists. The hook gets a [`VmaDesc`], adjusts what
//! a driver may adjust, and ends with one call that chooses what is mapped. That call returns a
//! [`Mapping`], which is the result of the hook.
//!
//! The kernel then makes the VMA. If it does not, because it merges the mapping into a neighbour or
//! because the `mmap` fails later, it does not call the driver back. The hook must therefore be
//! free of side effects. The types ensure that it cannot keep ownership of anything that the
//! mapping uses; a counter that it increments counts attempts.
//!
//! Reference: `Documentation/filesystems/mmap_prepare.rst`
//!
//! C header: [`include/linux/mm_types.h`](srctree/include/linux/mm_types.h)

use super::flags::{
    ClearFlags,
    SetFlags,
    VmaFlag,
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
pub(super) use action::{
    Draft,
    Operations, //
};

/// Makes a type invariant in a lifetime, so that values of different hook calls never mix.
type Brand<'f> = PhantomData<fn(&'f ()) -> &'f ()>;

/// The description of a mapping that user space has asked for.
///
/// The file is open for all of `'f`, which lasts for a time that the hook does not know. The hook
/// can therefore map only memory that it borrows from the device, not memory that it allocates.
///
/// `D` is the type of the file that is mapped.
///
/// # Context
///
/// The mmap lock of the current process is held for writing. The methods do not sleep.
///
/// # Invariants
///
/// - `raw` is valid, and is accessed through this value only, until the hook that got this value
///   has returned.
/// - The `file` in it is open during `'f`, and has no active `fdget_pos` region on this thread.
/// - `device` is the private data of the file.
/// - `'f` is used for one hook call only. What the hook borrows from the device for `'f` is valid
///   until the file is released.
///
/// # Examples
///
/// A misc device whose pages user space can read, and never write:
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
///     fn mmap_prepare<'f>(
///         log: &'f Log,
///         mut desc: VmaDesc<'f, Self>,
///     ) -> Result<Mapping<'f, Self>> {
///         desc.try_clear(ClearFlags::MAYWRITE)?;
///         desc.deny_exec();
///         desc.set(SetFlags::DONTDUMP);
///         desc.map_kernel_pages(&log.pages)
///     }
/// }
///
/// // The user mm of a KUnit test.
/// let mm = UserMm::attach()?;
/// let log = KBox::new(Log { pages: KernelPages::new(4, GFP_KERNEL)? }, GFP_KERNEL)?;
/// log.pages.write_at(0, b"first page")?;
/// let file = mm.open::<Log>(log)?;
///
/// let addr = file.mmap(4 * PAGE_SIZE, READ, SHARED, 0)?;
/// assert_eq!(mm.read::<10>(addr)?, *b"first page");
/// assert_eq!(file.mmap(PAGE_SIZE, READ | WRITE, SHARED, 0), Err(EACCES));
/// // The mapping extends past the last page.
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
    /// Wraps the descriptor that the kernel has passed to a hook.
    ///
    /// # Safety
    ///
    /// - `raw` must be the descriptor that the kernel has passed to an `mmap_prepare` hook. Until
    ///   that hook has returned, it must be accessed through the returned value only.
    /// - The file in it must stay open during `'f`, and be of the type `D`.
    /// - What the hook borrows from the device for `'f` must be valid until the file is released:
    ///   it is if the hook is generic in `'f`, and the device is dropped only then.
    /// - `device` must be the private data of the file.
    /// - `'f` must not be used for another hook call.
    #[inline]
    pub(crate) unsafe fn from_raw(
        raw: NonNull<bindings::vm_area_desc>,
        device: *mut c_void,
    ) -> Self {
        // INVARIANT:
        // - By the safety requirements of this function, `raw` is valid and not accessed otherwise,
        //   the file is open during `'f`, `device` is its private data, `'f` is used for one call,
        //   and what is borrowed for `'f` is valid until the file is released.
        // - `mmap` does not take the position lock of the file (`fdget_pos`).
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
    /// The file must be one for which everything that the hook of a file of type `E` may do with
    /// the descriptor is valid.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(super) unsafe fn retag<E>(self) -> VmaDesc<'f, E> {
        // INVARIANT: All fields are the same. By the safety requirements of this function, `E` is a
        // valid type for the file.
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

    #[inline]
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
        // No overflow: the kernel passes a range of addresses.
        self.end().wrapping_sub(self.start())
    }

    /// Returns the length of the mapping in pages.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        self.len() >> PAGE_SHIFT
    }

    /// Returns the offset in the file at which the mapping starts, in pages.
    ///
    /// The value comes from user space, unless [`set_pgoff`](Self::set_pgoff) has replaced it.
    /// `pgoff() + nr_pages()` does not overflow.
    #[inline]
    pub fn pgoff(&self) -> usize {
        self.raw().pgoff
    }

    /// Returns the offset in the file at which the mapping starts, in bytes.
    ///
    /// # Errors
    ///
    /// [`EOVERFLOW`] if the offset in bytes is larger than a file offset can be. User space can ask
    /// for such an offset: the kernel keeps it in pages, and does not limit it for devices.
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
    /// // A page offset that is too large for an offset in bytes.
    /// let file = mm.device(|_, desc| desc.offset().map(|_| desc.map_nothing()))?;
    /// let pgoff = (i64::MAX as usize >> 12) + 1;
    /// assert_eq!(file.mmap(PAGE_SIZE, READ, SHARED, pgoff), Err(EOVERFLOW));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn offset(&self) -> Result<usize> {
        if self.pgoff() > (isize::MAX as usize) >> PAGE_SHIFT {
            return Err(EOVERFLOW);
        }
        Ok(self.pgoff() << PAGE_SHIFT)
    }

    /// Returns the file that is mapped.
    ///
    /// If a stacked file system maps a file of this driver, this is the driver's file, not the one
    /// that user space has opened.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::testing::*, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let file = mm.device(|_, desc| {
    ///     // Opened for reading and writing.
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

    /// Returns the flags that the mapping has so far.
    ///
    /// The final call, such as [`map_kernel_pages`](Self::map_kernel_pages), adds those that its
    /// action needs.
    #[inline]
    pub fn flags(&self) -> VmaFlags {
        VmaFlags::from_raw(self.raw().vma_flags)
    }

    /// Returns whether `VM_READ` is set.
    ///
    /// Most processors let user space read a writable mapping without it.
    #[inline]
    pub fn readable(&self) -> bool {
        self.flags().readable()
    }

    /// Returns whether `VM_WRITE` is set.
    ///
    /// User space then writes to the object or, if the mapping is [copy-on-write](Self::is_cow), to
    /// copy-on-write pages.
    #[inline]
    pub fn writable(&self) -> bool {
        self.flags().writable()
    }

    /// Returns whether `VM_EXEC` is set.
    #[inline]
    pub fn executable(&self) -> bool {
        self.flags().executable()
    }

    /// Returns whether user space has asked for a `MAP_SHARED` mapping.
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

    /// Returns whether a write makes a copy-on-write page, now or after `mprotect` has permitted
    /// it.
    ///
    /// This includes a `MAP_PRIVATE` mapping that is read-only, unless the driver has cleared
    /// [`ClearFlags::MAYWRITE`].
    #[inline]
    pub fn is_cow(&self) -> bool {
        self.flags().is_cow()
    }

    /// Sets flags.
    ///
    /// If two advice flags contradict each other, [`SetFlags`] says which of them takes effect.
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
    ///     // `NOHUGEPAGE` takes precedence over `HUGEPAGE`, in either order.
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

    /// Clears permissions for good: `mprotect` cannot grant them later.
    ///
    /// # Errors
    ///
    /// [`EACCES`] if the mapping has an access that one of them permits: user space has asked for
    /// it, or has the personality that [`deny_exec`](Self::deny_exec) is for. The flags have not
    /// changed then.
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
    #[inline]
    pub fn try_clear(&mut self, flags: ClearFlags) -> Result {
        if self.flags().intersects(flags.access()) {
            return Err(EACCES);
        }
        let flags = self.flags().difference(flags.flags());
        self.raw_mut().vma_flags = flags.into_raw();
        Ok(())
    }

    /// Ensures that user space never gets copy-on-write pages of the object.
    ///
    /// For an object of which all processes must see the same contents. A private mapping that is
    /// read-only remains possible, and can never become writable.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the mapping is private and writable.
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
    #[inline]
    pub fn deny_cow(&mut self) -> Result {
        if !self.is_cow() {
            return Ok(());
        }
        self.try_clear(ClearFlags::MAYWRITE).map_err(|_| EINVAL)
    }

    /// Ensures that user space never executes the memory.
    ///
    /// The mapping loses execute access if it has it, and `mprotect` cannot grant it later. Unlike
    /// [`try_clear`](Self::try_clear), this cannot fail: with the personality `READ_IMPLIES_EXEC`,
    /// the kernel adds `PROT_EXEC` to each mapping that is readable, although user space has not
    /// asked for it. 32-bit programs without the ELF header `PT_GNU_STACK` have that personality.
    ///
    /// A driver that wants to refuse `PROT_EXEC` uses [`executable`](Self::executable), and refuses
    /// all mappings of such programs.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{flags::VmaFlag, testing::*}, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let file = mm.device(|dev, mut desc| {
    ///     desc.deny_exec();
    ///     assert!(!desc.executable() && desc.readable());
    ///     assert!(!desc.flags().contains(VmaFlag::MAYEXEC));
    ///     desc.map_kernel_pages(&dev.pages)
    /// })?;
    /// let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
    ///
    /// let guard = mm.current().mmap_read_lock();
    /// let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    /// assert!(!vma.stable().flags().executable());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn deny_exec(&mut self) {
        clear_exec(self.raw_mut());
    }

    /// Replaces the page offset.
    ///
    /// For drivers that use the offset as a cookie.
    /// [`AddressSpace::unmap`](super::rmap::AddressSpace::unmap) finds the mapping by its page
    /// offset, and the actions that populate the whole mapping start at the page offset in their
    /// object. If a copy-on-write mapping is populated with PFNs, the kernel replaces the page
    /// offset with the first PFN.
    ///
    /// # Errors
    ///
    /// [`EOVERFLOW`] if the end of the mapping would be past the largest file offset. The page
    /// offset has not changed then.
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
    ///     # #[cfg(CONFIG_64BIT)]
    ///     assert_eq!(desc.set_pgoff((i64::MAX as usize >> 12) + 1), Err(EOVERFLOW));
    ///     desc.set_pgoff(2)?;
    ///     desc.map_kernel_pages(&dev.pages)
    /// })?;
    /// let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0x1234)?;
    /// assert_eq!(mm.read(addr)?, [2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn set_pgoff(&mut self, pgoff: usize) -> Result {
        let end = pgoff.checked_add(self.nr_pages()).ok_or(EOVERFLOW)?;
        // The kernel keeps file offsets in bytes in an `loff_t`, a signed 64-bit number.
        if end > (i64::MAX as u64 >> PAGE_SHIFT) as usize {
            return Err(EOVERFLOW);
        }
        self.raw_mut().pgoff = pgoff;
        Ok(())
    }

    /// Returns the addresses of the whole mapping, for the actions that populate a part of it.
    #[inline]
    pub fn range(&self) -> DescRange<'f> {
        // INVARIANT: `start` and `end` are page-aligned, `start < end`, and they never change.
        DescRange {
            start: self.start(),
            len: self.len(),
            _brand: PhantomData,
        }
    }
}

/// Clears the flags that permit execution, and takes it out of the page protection.
///
/// The page protection depends on nothing but the flags until an action applies its cache mode.
fn clear_exec(desc: &mut bindings::vm_area_desc) {
    let flags = VmaFlags::from_raw(desc.vma_flags);
    let cleared = flags.without(VmaFlag::EXEC).without(VmaFlag::MAYEXEC);
    desc.vma_flags = cleared.into_raw();
    if flags.executable() {
        // The function takes the flags as they were before there was a bitmap: its first word.
        //
        // SAFETY: The function only computes a value.
        desc.page_prot = unsafe { bindings::vm_get_page_prot(cleared.into_raw().__vma_flags[0]) };
    }
}

/// A range of addresses in the mapping that a [`VmaDesc`] describes.
///
/// # Invariants
///
/// `start` and `len` are multiples of the page size, `len` is not zero, and all addresses are in
/// the mapping of the hook call that `'f` is used for.
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

    /// Returns the part of this range that starts at `offset` and is `len` bytes long.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if `offset` or `len` is not a multiple of the page size, if `len` is zero, or if
    /// the part extends past the end of this range.
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
        // INVARIANT: The part is inside this range, as the checks above show, so `start + offset`
        // does not overflow.
        Ok(Self {
            start: self.start + offset,
            len,
            _brand: PhantomData,
        })
    }
}
