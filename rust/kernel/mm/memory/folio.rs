// SPDX-License-Identifier: GPL-2.0

//! Folios: memory with a reference count and a lock.
//!
//! A fault handler maps memory one folio at a time. A [`Folio`] is the memory, an
//! [`ARef<Folio>`](ARef) is one reference to it, and a [`LockedFolio`] is a reference together with
//! the lock of the folio.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use crate::{
    alloc::{
        flags::__GFP_ZERO,
        Flags,
        NumaNode, //
    },
    bindings,
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    mm::memory::{
        gfp,
        page_array::{
            self,
            PageArray, //
        }, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    types::Opaque,
    uaccess::{
        UserSliceReader,
        UserSliceWriter, //
    }, //
};
use core::{
    mem::ManuallyDrop,
    ops::Deref,
    ptr::NonNull, //
};

/// A folio: one page, or a power of two of pages, contiguous and aligned.
///
/// User space may have the folio mapped and change the contents at any time, so there are no
/// references to the contents but to atomics, only functions that copy.
///
/// # References
///
/// The reference count has 32 bits. Each page table entry that maps a page of the folio holds one
/// reference, and each pin by `get_user_pages` holds up to 1024. If a folio has 2^30 references,
/// the layer does not map it again: the access ends with SIGBUS.
///
/// If a driver leaks references until there are 1.5 times as many, the count saturates, as that of
/// an [`Arc`](crate::sync::Arc) does, and the folio is never freed. This holds for references that
/// Rust code takes, since C code counts without a check. The kernel warns once when user space does
/// I/O on a page whose count is that high.
///
/// # Invariants
///
/// The reference count of an instance is not zero.
///
/// # Examples
///
/// ```
/// use kernel::{mm::Folio, page::PAGE_SIZE, sync::aref::ARef};
///
/// let folio = Folio::alloc(1, GFP_KERNEL)?;
/// assert_eq!((folio.order(), folio.nr_pages(), folio.len()), (1, 2, 2 * PAGE_SIZE));
///
/// folio.write_at(PAGE_SIZE - 1, b"xy")?;
/// let other: ARef<Folio> = folio.clone();
/// let mut out = [0; 3];
/// other.read_at(PAGE_SIZE - 2, &mut out)?;
/// assert_eq!(&out, b"\0xy");
/// # Ok::<(), Error>(())
/// ```
#[repr(transparent)]
pub struct Folio(Opaque<bindings::folio>);

// SAFETY: A folio is not tied to a thread, and any thread may drop the last reference.
unsafe impl Send for Folio {}
// SAFETY: Through a shared reference, C code that expects concurrent changes copies the contents.
// All other methods use the atomic reference count, the lock of the folio, or fields that do not
// change.
unsafe impl Sync for Folio {}

// SAFETY: `inc_ref` takes a reference to the folio, and `dec_ref` drops one. A saturated count
// never reaches zero, so the folio outlives every reference.
unsafe impl AlwaysRefCounted for Folio {
    #[inline]
    fn inc_ref(&self) {
        // SAFETY: By the type invariants, the reference count is not zero.
        unsafe { bindings::folio_get_saturating(self.as_ptr()) };
    }

    #[inline]
    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: By the safety requirements of this function, the caller owns a reference to
        // `obj`, and gives it up.
        unsafe { bindings::folio_put_saturating(obj.as_ptr().cast()) };
    }
}

impl Folio {
    /// Allocates a folio of `1 << order` pages, filled with zeroes.
    ///
    /// Bits of `flags` for which [`alloc::flags`](crate::alloc::flags) has no name are ignored.
    ///
    /// # Context
    ///
    /// Sleeps if `flags` allows it.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `order` is above that of the largest block of the page allocator.
    /// - [`ENOMEM`] if there is not enough contiguous memory.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::Folio;
    ///
    /// assert!(Folio::alloc(63, GFP_KERNEL).is_err_and(|e| e == EINVAL));
    /// ```
    pub fn alloc(order: u32, flags: Flags) -> Result<ARef<Self>> {
        // SAFETY: The order and the flags are ones that callers may use.
        Self::alloc_with(order, flags, |gfp| unsafe {
            bindings::folio_alloc(gfp, order)
        })
    }

    /// Allocates a folio of `1 << order` pages on a node, filled with zeroes.
    ///
    /// If the node has no memory left, the kernel takes that of another node.
    /// [`alloc`](Self::alloc) leaves the choice to the memory policy of the task, and so does
    /// [`NumaNode::NO_NODE`].
    ///
    /// # Context
    ///
    /// As [`alloc`](Self::alloc).
    ///
    /// # Errors
    ///
    /// As [`alloc`](Self::alloc), and [`EINVAL`] if the node is not online.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{alloc::NumaNode, mm::Folio};
    ///
    /// let folio = Folio::alloc_on(NumaNode::new(0)?, 1, GFP_KERNEL)?;
    /// assert_eq!((folio.nid(), folio.order()), (0, 1));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn alloc_on(node: NumaNode, order: u32, flags: Flags) -> Result<ARef<Self>> {
        if node == NumaNode::NO_NODE {
            return Self::alloc(order, flags);
        }
        let nid = gfp::node(node)?;
        // SAFETY: The order and the flags are ones that callers may use, and the node is online.
        Self::alloc_with(order, flags, |gfp| unsafe {
            bindings::__folio_alloc_node(gfp, order, nid)
        })
    }

    /// Allocates a folio on a node that the memory policy of a VMA chooses, filled with zeroes.
    ///
    /// # Errors
    ///
    /// As [`alloc`](Self::alloc).
    ///
    /// # Safety
    ///
    /// `vma` must be a VMA that is locked at least for reading, and `addr` an address in it.
    pub(in crate::mm) unsafe fn alloc_for(
        vma: *mut bindings::vm_area_struct,
        addr: usize,
        order: u32,
        flags: Flags,
    ) -> Result<ARef<Self>> {
        // SAFETY: The order and the flags are ones that callers may use. By the safety requirements
        // of this function, the VMA is locked, so its policy does not change.
        Self::alloc_with(order, flags, |gfp| unsafe {
            bindings::vma_alloc_folio(gfp, order as c_int, vma, addr)
        })
    }

    /// Checks the order and the flags, and allocates a folio with a function of C.
    ///
    /// `alloc` gets flags that callers may use, for an order of at most `MAX_PAGE_ORDER`. It must
    /// return a folio with a reference, or null.
    fn alloc_with(
        order: u32,
        flags: Flags,
        alloc: impl FnOnce(bindings::gfp_t) -> *mut bindings::folio,
    ) -> Result<ARef<Self>> {
        if order > bindings::MAX_PAGE_ORDER {
            return Err(EINVAL);
        }
        let folio = alloc((gfp::known(flags) | __GFP_ZERO).as_raw());
        let folio = NonNull::new(folio).ok_or(ENOMEM)?;
        // SAFETY: All callers pass a function of C that returns a valid folio and a reference to
        // it, or null.
        Ok(unsafe { ARef::from_raw(folio.cast()) })
    }

    /// Returns the folio that a pointer from C points to.
    ///
    /// # Safety
    ///
    /// `folio` must be valid, and its reference count must remain above zero during `'a`.
    #[inline]
    pub(in crate::mm) unsafe fn from_raw<'a>(folio: *mut bindings::folio) -> &'a Self {
        // SAFETY: The types have the same layout. By the safety requirements of this function,
        // `folio` is valid and has references during `'a`.
        unsafe { &*folio.cast() }
    }

    #[inline]
    pub(in crate::mm) fn as_ptr(&self) -> *mut bindings::folio {
        self.0.get()
    }

    /// Returns the order: the binary logarithm of the number of pages.
    #[inline]
    pub fn order(&self) -> u32 {
        // SAFETY: By the type invariants, the folio has references, so its order does not change.
        unsafe { bindings::folio_order(self.as_ptr()) }
    }

    /// Returns the number of pages.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        1 << self.order()
    }

    /// Returns the size in bytes, which is never zero.
    #[expect(clippy::len_without_is_empty)]
    #[inline]
    pub fn len(&self) -> usize {
        self.nr_pages() << PAGE_SHIFT
    }

    /// Returns the NUMA node that the folio is on.
    #[inline]
    pub fn nid(&self) -> i32 {
        // SAFETY: By the type invariants, the folio has references, so it is valid.
        unsafe { bindings::folio_nid(self.as_ptr()) }
    }

    /// Returns the number of references.
    ///
    /// For tests and statistics: the number may have changed already.
    #[inline]
    pub fn ref_count(&self) -> usize {
        // SAFETY: By the type invariants, the folio has references, so it is valid.
        unsafe { bindings::folio_ref_count(self.as_ptr()) as usize }
    }

    /// Returns whether the folio may be pinned: whether I/O may write to it, although it is not
    /// mapped.
    ///
    /// I/O, such as `read(2)` with `O_DIRECT`, pins the pages of user space, and writes to them
    /// through the pin. The write that a [`page_mkwrite`] is called for is the pin: nothing is
    /// called when the I/O writes, which can be much later. So a driver that tracks which pages are
    /// written keeps a page dirty while it may be pinned.
    ///
    /// `true` can be wrong: a small folio with 1024 references counts as pinned, and a pin for
    /// reading counts as well. A reference by `get_user_pages` does not count; who has only that
    /// must not write to the page. `false` is right at the moment, and is stable if, in this order,
    ///
    /// 1. the driver takes a lock that its [`fault`] and [`page_mkwrite`] hold when they decide;
    /// 2. it [unmaps] the page from all mappings;
    /// 3. it calls this.
    ///
    /// No thread can pin the page then without another fault, which waits for the lock. A call
    /// before the page is unmapped can miss a pin.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{rmap::AddressSpace, Folio};
    ///
    /// struct Page<'a> {
    ///     folio: &'a Folio,
    ///     /// Set by `page_mkwrite`.
    ///     dirty: bool,
    /// }
    ///
    /// /// Returns whether a page was written, and marks it clean if it cannot be written unseen.
    /// ///
    /// /// The caller holds the lock that the pages are in.
    /// fn clean(page: &mut Page<'_>, index: usize, space: &AddressSpace) -> bool {
    ///     let was_dirty = page.dirty;
    ///     if was_dirty {
    ///         space.unmap(index, 1);
    ///         page.dirty = page.folio.maybe_dma_pinned();
    ///     }
    ///     was_dirty
    /// }
    ///
    /// let (folio, space) = (Folio::alloc(0, GFP_KERNEL)?, kernel::mm::testing::address_space()?);
    /// let mut page = Page { folio: &folio, dirty: true };
    /// assert!(clean(&mut page, 0, &space));
    /// assert!(!clean(&mut page, 0, &space));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// [`fault`]: crate::mm::ops::VmOperations::fault
    /// [`page_mkwrite`]: crate::mm::ops::VmOperations::page_mkwrite
    /// [unmaps]: crate::mm::rmap::AddressSpace::unmap
    #[inline]
    pub fn maybe_dma_pinned(&self) -> bool {
        // SAFETY: By the type invariants, the folio has references, so it is valid.
        unsafe { bindings::rust_folio_maybe_dma_pinned(self.as_ptr()) }
    }

    /// Returns the order of the folio, or [`None`] if it has too many references to be mapped
    /// again.
    #[inline]
    pub(in crate::mm) fn mappable_order(&self) -> Option<u32> {
        // SAFETY: By the type invariants, the folio has references, so it is valid.
        u32::try_from(unsafe { bindings::folio_mappable_order(self.as_ptr()) }).ok()
    }

    /// Returns the page with the given index, or [`None`] if the folio is shorter.
    ///
    /// The page is valid for as long as the folio is.
    #[inline]
    pub(in crate::mm) fn page(&self, index: usize) -> Option<NonNull<bindings::page>> {
        if index == 0 {
            // The first page of a folio is where the folio is: this needs neither its order nor
            // the functions of C, which most drivers would call for each page that they map.
            return Some(NonNull::from(self).cast());
        }
        if index >= self.nr_pages() {
            return None;
        }
        // SAFETY: By the check above, the folio has a page with that index.
        NonNull::new(unsafe { bindings::folio_page(self.as_ptr(), index) })
    }

    /// Copies bytes out of the folio.
    ///
    /// See [`KernelPages::read_at`](crate::mm::KernelPages::read_at).
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is not inside the folio. Nothing is copied in that case.
    pub fn read_at(&self, offset: usize, out: &mut [u8]) -> Result {
        page_array::read_at(self, offset, out)
    }

    /// Copies bytes into the folio.
    ///
    /// See [`KernelPages::write_at`](crate::mm::KernelPages::write_at).
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is not inside the folio. Nothing is copied in that case.
    pub fn write_at(&self, offset: usize, data: &[u8]) -> Result {
        page_array::write_at(self, offset, data)
    }

    /// Fills bytes of the folio with zeroes.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is not inside the folio. Nothing is zeroed in that case.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::Folio;
    ///
    /// let folio = Folio::alloc(0, GFP_KERNEL)?;
    /// folio.write_at(0, b"abcd")?;
    /// folio.zero(1, 2)?;
    /// let mut out = [0; 4];
    /// folio.read_at(0, &mut out)?;
    /// assert_eq!(&out, b"a\0\0d");
    /// assert_eq!(folio.zero(folio.len(), 1), Err(EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn zero(&self, offset: usize, len: usize) -> Result {
        page_array::zero(self, offset, len)
    }

    /// Copies `len` bytes from user space, to `offset` in the folio.
    ///
    /// # Context
    ///
    /// May fault in user memory, and so may sleep. The caller must hold neither the mmap lock nor a
    /// lock that a [fault handler](crate::mm::ops::VmOperations::fault) takes: `from` may point
    /// into a mapping of the same driver, whose fault handler would wait forever for the caller's
    /// lock.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the range is not inside the folio. Nothing is copied in that case.
    /// - [`EFAULT`] if `from` has less than `len` bytes, or user space cannot access some of them.
    ///   The folio may have been written in part.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::{testing::*, Folio},
    ///     page::PAGE_SIZE,
    ///     uaccess::{UserPtr, UserSlice}, //
    /// };
    ///
    /// let user = UserMm::attach()?;
    /// let file = user.device(|dev, desc| {
    ///     dev.pages.write_at(PAGE_SIZE - 4, b"from user space")?;
    ///     desc.map_kernel_pages(&dev.pages)
    /// })?;
    /// let addr = file.mmap(2 * PAGE_SIZE, READ, SHARED, 0)?;
    ///
    /// let folio = Folio::alloc(1, GFP_KERNEL)?;
    /// let mut from = UserSlice::new(UserPtr::from_addr(addr + PAGE_SIZE - 4), 10).reader();
    /// folio.copy_from_user(PAGE_SIZE - 2, &mut from, 9)?;
    /// let mut out = [0; 10];
    /// folio.read_at(PAGE_SIZE - 2, &mut out)?;
    /// assert_eq!(&out, b"from user\0");
    ///
    /// // One byte is left.
    /// assert_eq!(folio.copy_from_user(0, &mut from, 2), Err(EFAULT));
    /// // The second byte is not mapped.
    /// user.munmap(addr + PAGE_SIZE, PAGE_SIZE)?;
    /// let mut from = UserSlice::new(UserPtr::from_addr(addr + PAGE_SIZE - 1), 2).reader();
    /// assert_eq!(folio.copy_from_user(0, &mut from, 2), Err(EFAULT));
    /// assert_eq!(folio.copy_from_user(folio.len(), &mut from, 1), Err(EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn copy_from_user(&self, offset: usize, from: &mut UserSliceReader, len: usize) -> Result {
        page_array::copy_from_user(self, offset, from, len)
    }

    /// Copies `len` bytes, starting at `offset` in the folio, to user space.
    ///
    /// # Context
    ///
    /// As [`copy_from_user`](Self::copy_from_user).
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the range is not inside the folio. Nothing is copied in that case.
    /// - [`EFAULT`] if `to` has less than `len` bytes, or user space cannot access some of them.
    ///   Some bytes may have been copied.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::{testing::*, Folio},
    ///     page::PAGE_SIZE,
    ///     uaccess::{UserPtr, UserSlice}, //
    /// };
    ///
    /// let user = UserMm::attach()?;
    /// let addr = user.mmap_anonymous(PAGE_SIZE)?;
    /// let mut to = UserSlice::new(UserPtr::from_addr(addr), 4).writer();
    ///
    /// let folio = Folio::alloc(1, GFP_KERNEL)?;
    /// folio.write_at(PAGE_SIZE - 1, b"xy")?;
    /// folio.copy_to_user(PAGE_SIZE - 1, &mut to, 2)?;
    /// assert_eq!(user.read(addr)?, *b"xy\0\0");
    /// assert_eq!(folio.copy_to_user(0, &mut to, 3), Err(EFAULT));
    /// assert_eq!(folio.copy_to_user(folio.len(), &mut to, 1), Err(EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn copy_to_user(&self, offset: usize, to: &mut UserSliceWriter, len: usize) -> Result {
        page_array::copy_to_user(self, offset, to, len)
    }

    /// Copies bytes to user space, starting at `offset` in the folio.
    ///
    /// Copies until the end of the folio or of `iov`, or until an address that user space cannot
    /// access. Returns the number of bytes copied.
    ///
    /// # Context
    ///
    /// May fault in user memory, and so may sleep. The caller must hold neither the mmap lock nor a
    /// lock that a [fault handler](crate::mm::ops::VmOperations::fault) takes: `iov` may point into
    /// a mapping of the same driver, whose fault handler would wait forever for the caller's lock.
    pub fn copy_to_iter(&self, offset: usize, iov: &mut IovIterDest<'_>) -> usize {
        page_array::copy_to_iter(self, offset, iov)
    }

    /// Copies bytes from user space, starting at `offset` in the folio.
    ///
    /// Copies until the end of the folio or of `iov`, or until an address that user space cannot
    /// access. Returns the number of bytes copied.
    ///
    /// # Context
    ///
    /// May fault in user memory, and so may sleep. The caller must hold neither the mmap lock nor a
    /// lock that a [fault handler](crate::mm::ops::VmOperations::fault) takes: `iov` may point into
    /// a mapping of the same driver, whose fault handler would wait forever for the caller's lock.
    pub fn copy_from_iter(&self, offset: usize, iov: &mut IovIterSource<'_>) -> usize {
        page_array::copy_from_iter(self, offset, iov)
    }
}

// SAFETY:
// - The pages are those of the folio, which has references for as long as it is borrowed; their
//   number does not change.
// - A `Folio` gives out no reference to the contents but to atomics.
unsafe impl PageArray for Folio {
    #[inline]
    fn nr_pages(&self) -> usize {
        Folio::nr_pages(self)
    }

    #[inline]
    fn page(&self, index: usize) -> Option<NonNull<bindings::page>> {
        Folio::page(self, index)
    }
}

/// A reference to a folio that is locked.
///
/// # Invariants
///
/// The folio is locked, and this value owns the lock.
///
/// # Examples
///
/// ```
/// use kernel::mm::{Folio, LockedFolio};
///
/// let locked = LockedFolio::new(Folio::alloc(0, GFP_KERNEL)?);
/// locked.write_at(0, b"written under the folio lock")?;
/// let folio = locked.unlock();
/// assert_eq!(folio.ref_count(), 1);
/// # Ok::<(), Error>(())
/// ```
pub struct LockedFolio(ManuallyDrop<ARef<Folio>>);

impl LockedFolio {
    /// Locks a folio.
    ///
    /// # Context
    ///
    /// Sleeps until the lock is free. A caller that holds the lock of another folio may deadlock.
    pub fn new(folio: ARef<Folio>) -> Self {
        // SAFETY: `folio` is a reference, so the folio is valid.
        unsafe { bindings::folio_lock(folio.as_ptr()) };
        // INVARIANT: The folio was just locked.
        Self(ManuallyDrop::new(folio))
    }

    /// Locks a folio if its lock is free.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// Returns `folio` if the folio is locked already.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{Folio, LockedFolio};
    ///
    /// let folio = Folio::alloc(0, GFP_KERNEL)?;
    /// let locked = LockedFolio::try_new(folio.clone()).map_err(|_| EBUSY)?;
    /// assert!(LockedFolio::try_new(folio.clone()).is_err());
    /// drop(locked);
    /// assert!(LockedFolio::try_new(folio.clone()).is_ok());
    /// assert_eq!(folio.ref_count(), 1);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn try_new(folio: ARef<Folio>) -> core::result::Result<Self, ARef<Folio>> {
        // SAFETY: `folio` is a reference, so the folio is valid.
        if unsafe { bindings::folio_trylock(folio.as_ptr()) } {
            // INVARIANT: The folio was just locked.
            Ok(Self(ManuallyDrop::new(folio)))
        } else {
            Err(folio)
        }
    }

    /// Makes a locked folio of a reference and a lock that the caller has.
    ///
    /// # Safety
    ///
    /// The folio must be locked, and the caller must give up the lock.
    #[inline]
    pub(in crate::mm) unsafe fn from_locked(folio: ARef<Folio>) -> Self {
        // INVARIANT: By the safety requirements of this function, the folio is locked, and the
        // value gets the lock.
        Self(ManuallyDrop::new(folio))
    }

    /// Unlocks the folio and returns the reference.
    pub fn unlock(self) -> ARef<Folio> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: By the type invariants, the folio is locked, and this value owns the lock.
        unsafe { bindings::folio_unlock(this.0.as_ptr()) };
        // SAFETY: `this` is not used again, so the reference is taken once.
        unsafe { ManuallyDrop::take(&mut this.0) }
    }
}

impl Deref for LockedFolio {
    type Target = Folio;

    #[inline]
    fn deref(&self) -> &Folio {
        &self.0
    }
}

impl Drop for LockedFolio {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the folio is locked, and this value owns the lock.
        unsafe { bindings::folio_unlock(self.0.as_ptr()) };
        // SAFETY: `self.0` is not used again, so the reference is dropped once.
        unsafe { ManuallyDrop::drop(&mut self.0) };
    }
}
