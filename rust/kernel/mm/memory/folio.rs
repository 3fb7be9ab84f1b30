// SPDX-License-Identifier: GPL-2.0

//! Folios: memory with a reference count and a lock.
//!
//! A fault handler hands out memory one folio at a time. [`Folio`] is what it owns, an
//! [`ARef<Folio>`](ARef) is one reference, and [`LockedFolio`] a reference together with the lock.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use crate::{
    alloc::{
        flags::__GFP_ZERO,
        Flags, //
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
    types::Opaque, //
};
use core::{
    mem::ManuallyDrop,
    ops::Deref,
    ptr::NonNull, //
};

/// A folio: one page, or a power of two of them, contiguous and aligned.
///
/// The contents may be mapped into user space and change at any time, so there is no way to get a
/// reference to them, only functions that copy.
///
/// # References
///
/// The reference count has 32 bits. Each entry of a page table that maps a page of the folio is one
/// reference, and a pin by `get_user_pages` counts as 1024. A folio that has 2^30 references is not mapped
/// once more: the access ends with SIGBUS.
///
/// If a driver leaks references until there are 1.5 times as many, the count saturates, as that of an
/// [`Arc`](crate::sync::Arc) does, and the folio is not freed any more. The kernel's own code counts
/// without a check, so this holds for the references that are taken from Rust. The kernel warns once when
/// user space does I/O on a page whose count is that high.
///
/// # Invariants
///
/// Instances have a reference count that is not zero.
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

// SAFETY: Nothing in a folio belongs to a thread; the last reference may be dropped on any.
unsafe impl Send for Folio {}
// SAFETY: Through a shared reference the contents are only copied, by C code that expects them to
// change meanwhile; all else is reference counts and the folio's own lock.
unsafe impl Sync for Folio {}

// SAFETY: The functions take and drop a reference to the folio. A count that saturates never gets to
// zero, so the folio outlives every reference.
unsafe impl AlwaysRefCounted for Folio {
    #[inline]
    fn inc_ref(&self) {
        // SAFETY: By the type invariants, the reference count is not zero.
        unsafe { bindings::folio_get_saturating(self.as_ptr()) };
    }

    #[inline]
    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller owns the reference that is dropped.
        unsafe { bindings::folio_put_saturating(obj.as_ptr().cast()) };
    }
}

impl Folio {
    /// Allocates a folio of `1 << order` pages, filled with zeroes.
    ///
    /// Of `flags`, what [`alloc::flags`](crate::alloc::flags) has no name for is ignored.
    ///
    /// # Context
    ///
    /// Sleeps if `flags` allows it.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the page allocator does not have the order.
    /// - [`ENOMEM`] if there is not enough memory, or not enough in one piece.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::Folio;
    ///
    /// assert!(Folio::alloc(63, GFP_KERNEL).is_err_and(|e| e == EINVAL));
    /// ```
    pub fn alloc(order: u32, flags: Flags) -> Result<ARef<Self>> {
        if order > bindings::MAX_PAGE_ORDER {
            return Err(EINVAL);
        }
        // SAFETY: The order is one that the allocator has.
        let folio =
            unsafe { bindings::folio_alloc((gfp::known(flags) | __GFP_ZERO).as_raw(), order) };
        let folio = NonNull::new(folio).ok_or(ENOMEM)?;
        // SAFETY: It is a folio, and we own the one reference to it.
        Ok(unsafe { ARef::from_raw(folio.cast()) })
    }

    /// # Safety
    ///
    /// `folio` must be valid and its reference count must stay above zero during `'a`.
    #[inline]
    pub(in crate::mm) unsafe fn from_raw<'a>(folio: *mut bindings::folio) -> &'a Self {
        // SAFETY: The types have the same layout, and the rest is the caller's promise.
        unsafe { &*folio.cast() }
    }

    #[inline]
    pub(in crate::mm) fn as_ptr(&self) -> *mut bindings::folio {
        self.0.get()
    }

    /// Returns the binary logarithm of the number of pages.
    #[inline]
    pub fn order(&self) -> u32 {
        // SAFETY: By the type invariants, it is a folio with a reference; its order is constant.
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

    /// Returns the number of references, for tests and statistics: it may have changed already.
    #[inline]
    pub fn ref_count(&self) -> usize {
        // SAFETY: By the type invariants, it is a folio with a reference.
        unsafe { bindings::folio_ref_count(self.as_ptr()) as usize }
    }

    /// Returns the order of the folio if it may be mapped once more, and [`None`] if it has too many
    /// references for that.
    #[inline]
    pub(in crate::mm) fn mappable_order(&self) -> Option<u32> {
        // SAFETY: By the type invariants, it is a folio with a reference.
        u32::try_from(unsafe { bindings::folio_mappable_order(self.as_ptr()) }).ok()
    }

    /// Returns a page of the folio, which is as valid as the folio is.
    #[inline]
    pub(in crate::mm) fn page(&self, index: usize) -> Option<NonNull<bindings::page>> {
        if index >= self.nr_pages() {
            return None;
        }
        // SAFETY: The folio has a page with that index.
        NonNull::new(unsafe { bindings::folio_page(self.as_ptr(), index) })
    }

    /// Copies bytes out of the folio. See [`KernelPages::read_at`](crate::mm::KernelPages::read_at).
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is not inside the folio; nothing has been copied then.
    pub fn read_at(&self, offset: usize, out: &mut [u8]) -> Result {
        page_array::read_at(self, offset, out)
    }

    /// Copies bytes into the folio. See [`KernelPages::write_at`](crate::mm::KernelPages::write_at).
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is not inside the folio; nothing has been copied then.
    pub fn write_at(&self, offset: usize, data: &[u8]) -> Result {
        page_array::write_at(self, offset, data)
    }

    /// Copies bytes from `offset` on to user space, as far as the folio and `iov` go. Returns how
    /// many.
    ///
    /// # Context
    ///
    /// May fault in user memory, hence sleeps. The caller must not hold the mmap lock, nor a lock that
    /// a [fault handler](crate::mm::ops::VmOperations::fault) takes: the user memory may be a mapping of
    /// the driver's own, whose fault handler would wait for its caller forever.
    pub fn copy_to_iter(&self, offset: usize, iov: &mut IovIterDest<'_>) -> usize {
        page_array::copy_to_iter(self, offset, iov)
    }

    /// Copies bytes from user space to `offset` on, as far as the folio and `iov` go. Returns how
    /// many.
    ///
    /// # Context
    ///
    /// May fault in user memory, hence sleeps. The caller must not hold the mmap lock, nor a lock that
    /// a [fault handler](crate::mm::ops::VmOperations::fault) takes: the user memory may be a mapping of
    /// the driver's own, whose fault handler would wait for its caller forever.
    pub fn copy_from_iter(&self, offset: usize, iov: &mut IovIterSource<'_>) -> usize {
        page_array::copy_from_iter(self, offset, iov)
    }
}

// SAFETY: The pages are the folio's, which has a reference for as long as it is borrowed.
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
/// The folio is locked, and the lock is this value's to give up.
///
/// # Examples
///
/// ```
/// use kernel::mm::{Folio, LockedFolio};
///
/// let locked = LockedFolio::new(Folio::alloc(0, GFP_KERNEL)?);
/// locked.write_at(0, b"nobody else holds the lock")?;
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
    /// Sleeps until nobody else holds the lock. Holding the lock of another folio meanwhile may
    /// deadlock.
    pub fn new(folio: ARef<Folio>) -> Self {
        // SAFETY: It has a reference.
        unsafe { bindings::folio_lock(folio.as_ptr()) };
        // INVARIANT: Just locked.
        Self(ManuallyDrop::new(folio))
    }

    /// Locks a folio if nobody else holds the lock; gives the reference back otherwise.
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
        // SAFETY: It has a reference.
        if unsafe { bindings::folio_trylock(folio.as_ptr()) } {
            // INVARIANT: Just locked.
            Ok(Self(ManuallyDrop::new(folio)))
        } else {
            Err(folio)
        }
    }

    /// Unlocks the folio and returns the reference.
    pub fn unlock(self) -> ARef<Folio> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: By the type invariants, it is locked, by us.
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
        // SAFETY: By the type invariants, it is locked, by us.
        unsafe { bindings::folio_unlock(self.0.as_ptr()) };
        // SAFETY: The value is going away, so the reference is dropped once.
        unsafe { ManuallyDrop::drop(&mut self.0) };
    }
}
