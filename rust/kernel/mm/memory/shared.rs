// SPDX-License-Identifier: GPL-2.0

//! Words and records in memory that user space may write at any time.
//!
//! The functions that copy bytes promise nothing about words: `memcpy` may read a word in parts, or
//! twice, and a processor may copy it byte by byte. What user space and the kernel tell each other
//! through shared memory is therefore not read with them, but with what is here:
//!
//! - an [`Atomic`], in place, for an index or a flag;
//! - a *record*, which is copied word by word, each word once, for all else.
//!
//! A record is a value. Code that has checked it cannot read it from the memory a second time by
//! mistake, after user space has changed it.

use crate::{
    bindings,
    mm::memory::{
        page_array::{
            self,
            PageArray, //
        },
        Folio,
        KernelPages, //
    },
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::atomic::{
        Atomic,
        AtomicType, //
    }, //
};
use core::{
    ffi::c_void,
    mem::MaybeUninit,
    ptr::NonNull, //
};
use zerocopy::{
    FromBytes,
    IntoBytes, //
};

mod sealed {
    pub trait Sealed {}
}

/// An integer on which user space and the kernel can use atomics in memory that they share.
///
/// Each value of such a type is valid, since user space can write any. The type has at most the
/// size of a machine word: on some 32-bit machines, the kernel's 64-bit atomics take a lock that
/// user space does not know.
pub trait SharedInt: AtomicType + sealed::Sealed {}

macro_rules! impl_shared_int {
    ($($(#[$cfg:meta])* $ty:ty),*) => {$(
        $(#[$cfg])*
        impl sealed::Sealed for $ty {}
        $(#[$cfg])*
        impl SharedInt for $ty {}
    )*};
}

impl_shared_int!(
    i32,
    u32,
    #[cfg(CONFIG_64BIT)]
    i64,
    #[cfg(CONFIG_64BIT)]
    u64
);

/// Returns the address at which the kernel can use atomics on a page.
///
/// # Errors
///
/// [`EOPNOTSUPP`] if the page has no such address.
///
/// # Safety
///
/// `page` must be valid.
#[inline]
unsafe fn address(page: NonNull<bindings::page>) -> Result<NonNull<u8>> {
    // SAFETY: By the safety requirements of this function, the page is valid.
    let address = unsafe { bindings::rust_mm_shared_address(page.as_ptr()) };
    NonNull::new(address.cast()).ok_or(EOPNOTSUPP)
}

/// Returns `count` atomics in the `len` bytes at `start`, from `offset` on.
///
/// # Errors
///
/// [`EINVAL`] if they are not inside the bytes, or if `offset` is not a multiple of their size.
///
/// # Safety
///
/// - The bytes must be valid for reads and writes during `'a`, and `start` must be aligned to 8.
/// - During `'a`, Rust code must access them only through atomics. C code may access them in any
///   way: the functions of the layer that copy or zero bytes are out of line, so the compiler knows
///   nothing of them where the atomics are, and they promise no more than bytes.
#[inline]
pub(super) unsafe fn atomics_in<'a, T: SharedInt>(
    start: NonNull<u8>,
    len: usize,
    offset: usize,
    count: usize,
) -> Result<&'a [Atomic<T>]> {
    let size = count.checked_mul(size_of::<T>()).ok_or(EINVAL)?;
    match offset.checked_add(size) {
        Some(end) if end <= len && offset % size_of::<T>() == 0 => {}
        _ => return Err(EINVAL),
    }
    // SAFETY: The check above shows that the offset is inside the bytes, or at their end.
    let first = unsafe { start.add(offset) };
    // CAST: An `Atomic<T>` has the size and the alignment of a `T`.
    //
    // SAFETY:
    // - The check above shows that `count` values are inside the bytes, and that they are aligned:
    //   the size of an integer is at least its alignment.
    // - All values of a `SharedInt` are valid, and `Atomic` expects that other threads change them.
    // - By the safety requirements of this function, the bytes are valid during `'a`, and Rust code
    //   accesses them only through atomics.
    Ok(unsafe { core::slice::from_raw_parts(first.as_ptr().cast(), count) })
}

/// Returns the first of a slice that has one element.
#[inline]
pub(super) fn one<T>(slice: &[T]) -> Result<&T> {
    slice.first().ok_or(EINVAL)
}

/// The size of the largest record, in bytes.
///
/// A record is a value, so it is on the stack, and the compiler may have more than one copy there.
const MAX_RECORD: usize = 512;

/// Checks that a record of type `T` can be at an offset.
///
/// This does not build if the record is larger than [`MAX_RECORD`].
///
/// # Errors
///
/// [`EINVAL`] if it would not be aligned.
#[inline]
pub(super) fn check_record<T>(offset: usize) -> Result {
    const {
        assert!(
            size_of::<T>() <= MAX_RECORD,
            "a record is a value on the stack: use `read_at` and `write_at` for more than 512 bytes"
        )
    };
    if offset % align_of::<T>() != 0 {
        return Err(EINVAL);
    }
    Ok(())
}

/// Reads a record with a function that gets the destination and its size.
///
/// # Safety
///
/// If `read` returns [`Ok`], it must have initialised all bytes of the destination.
#[inline]
pub(super) unsafe fn read_record_with<T: FromBytes>(
    offset: usize,
    read: impl FnOnce(*mut c_void, usize) -> Result,
) -> Result<T> {
    check_record::<T>(offset)?;
    let mut record = MaybeUninit::<T>::uninit();
    read(record.as_mut_ptr().cast(), size_of::<T>())?;
    // SAFETY: By the safety requirements of this function, all bytes are initialised, and all
    // values of a type that is `FromBytes` are valid.
    Ok(unsafe { record.assume_init() })
}

/// Reads words out of the pages.
///
/// # Errors
///
/// [`EINVAL`] if the range is not inside the array. Nothing is read in that case.
///
/// # Safety
///
/// `to` must be valid for writes of `len` bytes.
unsafe fn read_words(
    array: &impl PageArray,
    offset: usize,
    mut to: *mut c_void,
    len: usize,
) -> Result {
    page_array::check(array, offset, len)?;
    page_array::for_each_part(array, offset, len, |page, at, len| {
        // SAFETY:
        // - `page` is a valid page, and `at + len` is inside it.
        // - The parts add up to the length that the caller gave, so `to` is valid for `len` bytes.
        unsafe { bindings::rust_mm_load_words_from_page(to, page.as_ptr(), at, len) };
        // SAFETY: As above, the result is at most one past the end of the destination.
        to = unsafe { to.byte_add(len) };
        len
    });
    Ok(())
}

/// Writes words into the pages.
///
/// # Errors
///
/// [`EINVAL`] if the range is not inside the array. Nothing is written in that case.
///
/// # Safety
///
/// `from` must be valid for reads of `len` initialised bytes.
unsafe fn write_words(
    array: &impl PageArray,
    offset: usize,
    mut from: *const c_void,
    len: usize,
) -> Result {
    page_array::check(array, offset, len)?;
    page_array::for_each_part(array, offset, len, |page, at, len| {
        // SAFETY:
        // - `page` is a valid page, and `at + len` is inside it. No Rust reference to its contents
        //   exists but to atomics.
        // - The parts add up to the length that the caller gave, so `from` is valid for `len`
        //   bytes.
        unsafe { bindings::rust_mm_store_words_to_page(page.as_ptr(), at, from, len) };
        // SAFETY: As above, the result is at most one past the end of the source.
        from = unsafe { from.byte_add(len) };
        len
    });
    Ok(())
}

/// Reads a record out of the pages.
#[inline]
fn read_record<T: FromBytes>(array: &impl PageArray, offset: usize) -> Result<T> {
    // SAFETY: The destination is valid for writes of `len` bytes.
    let read = |to: *mut c_void, len: usize| unsafe { read_words(array, offset, to, len) };
    // SAFETY: `read_words` fails, or writes all of the destination.
    unsafe { read_record_with(offset, read) }
}

/// Writes a record into the pages.
#[inline]
fn write_record<T: IntoBytes>(array: &impl PageArray, offset: usize, record: T) -> Result {
    check_record::<T>(offset)?;
    let from = (&raw const record).cast();
    // SAFETY: `record` is valid for reads, and since `T` is `IntoBytes`, it has no bytes that are
    // not initialised.
    unsafe { write_words(array, offset, from, size_of::<T>()) }
}

/// Words and records that user space may write at the same time.
impl KernelPages {
    /// Returns an integer in the pages, for atomics.
    ///
    /// For an index, a counter or a flag that user space shares with the driver. It may have any
    /// value at any time, so check it each time that you load it. A load with
    /// [`Acquire`](crate::sync::atomic::Acquire) and a store with
    /// [`Release`](crate::sync::atomic::Release) order the accesses to other shared memory, as
    /// `smp_load_acquire()` and `smp_store_release()` do in C.
    ///
    /// A copy of the same bytes by another thread of the driver, with [`read_at`](Self::read_at) or
    /// [`write_at`](Self::write_at), may have only a part of the integer.
    ///
    /// Prefer loads and stores. User space can make a compare-and-exchange fail each time, so no
    /// loop may end only when it succeeds. Where the processor implements the others as a loop
    /// (LL/SC), user space that writes to the word all the time can delay them.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the integer is not inside the array, or if `offset` is not a multiple of its
    ///   size.
    /// - [`EOPNOTSUPP`] if the kernel has no permanent address for the page, as in high memory, or
    ///   if the cache of the processor can show user space other contents there. A [`Vmap`] has an
    ///   address for high memory.
    ///
    /// [`Vmap`]: crate::mm::Vmap
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::KernelPages,
    ///     sync::atomic::{Acquire, Release}, //
    /// };
    ///
    /// let pages = KernelPages::new(2, GFP_KERNEL)?;
    /// let head = pages.atomic::<u32>(4)?;
    /// head.store(7, Release);
    /// assert_eq!(pages.atomic::<u32>(4)?.load(Acquire), 7);
    ///
    /// assert!(pages.atomic::<u32>(6).is_err_and(|e| e == EINVAL));
    /// assert!(pages.atomic::<u32>(pages.len()).is_err_and(|e| e == EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn atomic<T: SharedInt>(&self, offset: usize) -> Result<&Atomic<T>> {
        one(self.atomics(offset, 1)?)
    }

    /// Returns `count` integers in one of the pages, for atomics.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// As [`atomic`](Self::atomic); also [`EINVAL`] if they are not all in one page. Those of a
    /// [`Vmap`](crate::mm::Vmap) can be in several.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::KernelPages, page::PAGE_SIZE, sync::atomic::Relaxed};
    ///
    /// let pages = KernelPages::new(2, GFP_KERNEL)?;
    /// let counters = pages.atomics::<u32>(PAGE_SIZE - 16, 4)?;
    /// counters[3].fetch_add(2, Relaxed);
    /// let mut out = [0; 4];
    /// pages.read_at(PAGE_SIZE - 4, &mut out)?;
    /// assert_eq!(u32::from_ne_bytes(out), 2);
    ///
    /// assert!(pages.atomics::<u32>(PAGE_SIZE - 16, 5).is_err_and(|e| e == EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn atomics<T: SharedInt>(&self, offset: usize, count: usize) -> Result<&[Atomic<T>]> {
        let page = self.page(offset >> PAGE_SHIFT).ok_or(EINVAL)?;
        // SAFETY: By the type invariants, the page is valid.
        let start = unsafe { address(page) }?;
        // SAFETY:
        // - The page is valid for as long as `self` is borrowed, and starts at `start`.
        // - Rust code has no other references to the contents.
        unsafe { atomics_in(start, PAGE_SIZE, offset & (PAGE_SIZE - 1), count) }
    }

    /// Reads a record.
    ///
    /// A word that is naturally aligned in the memory, of at most the size of a machine word, is
    /// read by a single access, exactly once. So such a word has a value that was stored, if it was
    /// stored by a single access. The record itself may be old in part: nothing orders the accesses
    /// to its words. User space and the driver agree on what is complete by an
    /// [atomic](Self::atomic).
    ///
    /// Check the value that the function returns, and use that: reading it again may give another.
    ///
    /// A record of more than 512 bytes does not build, since it is on the stack.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the record is not inside the array, or if `offset` is not a multiple of the
    /// alignment of `T`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::KernelPages, page::PAGE_SIZE};
    ///
    /// #[derive(FromBytes, IntoBytes, PartialEq, Debug)]
    /// #[repr(C)]
    /// struct Request {
    ///     id: u64,
    ///     offset: u32,
    ///     len: u32,
    /// }
    ///
    /// let pages = KernelPages::new(2, GFP_KERNEL)?;
    /// // Across the boundary of two pages.
    /// pages.write_record(PAGE_SIZE - 8, Request { id: 1, offset: 2, len: 3 })?;
    /// let request: Request = pages.read_record(PAGE_SIZE - 8)?;
    /// assert_eq!(request, Request { id: 1, offset: 2, len: 3 });
    ///
    /// // Not aligned, and not inside the pages.
    /// assert_eq!(pages.read_record::<Request>(4), Err(EINVAL));
    /// assert_eq!(pages.read_record::<Request>(pages.len() - 8), Err(EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn read_record<T: FromBytes>(&self, offset: usize) -> Result<T> {
        read_record(self, offset)
    }

    /// Writes a record.
    ///
    /// A word that is naturally aligned in the memory, of at most the size of a machine word, is
    /// written by a single access. Nothing orders the accesses to different words: store an
    /// [atomic](Self::atomic) with [`Release`](crate::sync::atomic::Release) afterwards, and user
    /// space that has loaded it with acquire semantics sees all of the record.
    ///
    /// A record has no padding: it would show user space what the kernel's memory held before.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// As [`read_record`](Self::read_record). Nothing is written in that case.
    ///
    /// # Examples
    ///
    /// See [`read_record`](Self::read_record).
    #[inline]
    pub fn write_record<T: IntoBytes>(&self, offset: usize, record: T) -> Result {
        write_record(self, offset, record)
    }
}

/// Words and records that user space may write at the same time.
///
/// See [`KernelPages`] for what the functions promise.
impl Folio {
    /// Returns an integer in the folio, for atomics.
    ///
    /// See [`KernelPages::atomic`].
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// As [`KernelPages::atomic`].
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::Folio, page::PAGE_SIZE, sync::atomic::Relaxed};
    ///
    /// let folio = Folio::alloc(1, GFP_KERNEL)?;
    /// folio.atomic::<u32>(folio.len() - 4)?.store(3, Relaxed);
    /// // A folio is contiguous.
    /// let words = folio.atomics::<u32>(0, folio.len() / 4)?;
    /// assert_eq!(words[words.len() - 1].load(Relaxed), 3);
    /// assert!(folio.atomics::<u32>(4, folio.len() / 4).is_err_and(|e| e == EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn atomic<T: SharedInt>(&self, offset: usize) -> Result<&Atomic<T>> {
        one(self.atomics(offset, 1)?)
    }

    /// Returns `count` integers in the folio, for atomics.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// As [`KernelPages::atomic`].
    ///
    /// # Examples
    ///
    /// See [`atomic`](Self::atomic).
    #[inline]
    pub fn atomics<T: SharedInt>(&self, offset: usize, count: usize) -> Result<&[Atomic<T>]> {
        // SAFETY: The folio has references for as long as it is borrowed, so its first page is
        // valid. That page is where the folio is.
        let start = unsafe { address(NonNull::from(self).cast()) }?;
        // SAFETY:
        // - The folio is valid for as long as it is borrowed. It is contiguous in the kernel's own
        //   mapping of memory, where it starts at `start`.
        // - Rust code has no other references to the contents.
        unsafe { atomics_in(start, self.len(), offset, count) }
    }

    /// Reads a record.
    ///
    /// See [`KernelPages::read_record`].
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// As [`KernelPages::read_record`].
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::Folio;
    ///
    /// let folio = Folio::alloc(0, GFP_KERNEL)?;
    /// folio.write_record(8, [1u32, 2, 3])?;
    /// assert_eq!(folio.read_record::<[u32; 2]>(12)?, [2, 3]);
    /// assert_eq!(folio.write_record(folio.len() - 8, [0u32; 3]), Err(EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn read_record<T: FromBytes>(&self, offset: usize) -> Result<T> {
        read_record(self, offset)
    }

    /// Writes a record.
    ///
    /// See [`KernelPages::write_record`].
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// As [`KernelPages::read_record`]. Nothing is written in that case.
    ///
    /// # Examples
    ///
    /// See [`read_record`](Self::read_record).
    #[inline]
    pub fn write_record<T: IntoBytes>(&self, offset: usize, record: T) -> Result {
        write_record(self, offset, record)
    }
}
