// SPDX-License-Identifier: GPL-2.0

//! A kernel view of several pages in one piece.
//!
//! C header: [`include/linux/vmalloc.h`](srctree/include/linux/vmalloc.h)

use crate::{
    bindings,
    error::from_err_ptr,
    mm::memory::{
        shared::{
            self,
            SharedInt, //
        },
        KernelPages,
        KernelPagesSlice, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    sync::atomic::Atomic, //
};
use core::{
    ffi::c_void,
    ptr::NonNull, //
};
use zerocopy::{
    FromBytes,
    IntoBytes, //
};

/// Pages that the kernel sees at consecutive addresses.
///
/// The pages of [`KernelPages`] are anywhere in memory, and each access has to find its page first.
/// A `Vmap` makes one piece of them: records and integers can be at any aligned offset, in high
/// memory too, and a copy is a single one. It costs a mapping in the kernel's page tables.
///
/// The view holds references to the pages, so the driver may drop the [`KernelPages`] before it.
/// Its cache mode is that of the mappings of user space.
///
/// As with [`KernelPages`], user space may change the contents at any time.
///
/// # Context
///
/// A view may be dropped in any context but an NMI, and a section that must not block
/// (`non_block_start()`). It is gone at once where the kernel knows that the caller may sleep.
/// Otherwise, as always without `CONFIG_PREEMPT_COUNT`, a worker unmaps the pages later, and drops
/// the references to them.
///
/// # Invariants
///
/// - `map` is a mapping that this value owns, of `len` bytes at `start`.
/// - `len` is not zero, and `start` is page-aligned.
/// - Rust code accesses the contents only through atomics.
///
/// # Examples
///
/// ```
/// use kernel::{
///     mm::KernelPages,
///     page::PAGE_SIZE,
///     sync::atomic::{Acquire, Release}, //
/// };
///
/// let pages = KernelPages::new(3, GFP_KERNEL)?;
/// let view = pages.vmap()?;
/// assert_eq!(view.len(), 3 * PAGE_SIZE);
///
/// // Across the boundary of two pages.
/// let words = view.atomics::<u32>(PAGE_SIZE - 4, 2)?;
/// words[1].store(5, Release);
/// assert_eq!(pages.atomic::<u32>(PAGE_SIZE)?.load(Acquire), 5);
///
/// view.write_at(2 * PAGE_SIZE - 1, b"abc")?;
/// let mut out = [0; 3];
/// pages.read_at(2 * PAGE_SIZE - 1, &mut out)?;
/// assert_eq!(&out, b"abc");
/// # Ok::<(), Error>(())
/// ```
pub struct Vmap {
    map: NonNull<bindings::rust_mm_vmap>,
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: Any thread may access the mapping, and remove it.
unsafe impl Send for Vmap {}
// SAFETY: Through a shared reference, there are only atomics, and copies by C code that expects
// concurrent changes.
unsafe impl Sync for Vmap {}

impl Vmap {
    /// Returns the number of pages, which is not zero.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        self.len >> PAGE_SHIFT
    }

    /// Returns the size in bytes, which is never zero.
    #[expect(clippy::len_without_is_empty)]
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns the address of `len` bytes, starting at `offset`.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is not inside the view.
    #[inline]
    fn at(&self, offset: usize, len: usize) -> Result<NonNull<u8>> {
        match offset.checked_add(len) {
            // SAFETY: By the type invariants, the view has the bytes up to `end`.
            Some(end) if end <= self.len => Ok(unsafe { self.start.add(offset) }),
            _ => Err(EINVAL),
        }
    }

    /// Copies bytes out of the view.
    ///
    /// As with [`KernelPages::read_at`], each byte is either the old or the new one if user space
    /// writes at the same time, but words are not whole.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is not inside the view. Nothing is copied in that case.
    #[inline]
    pub fn read_at(&self, offset: usize, out: &mut [u8]) -> Result {
        let from = self.at(offset, out.len())?;
        let to = out.as_mut_ptr().cast();
        // SAFETY: `from` is valid for reads of the length of `out`, and C code reads.
        unsafe { bindings::rust_mm_load_bytes(to, from.as_ptr().cast(), out.len()) };
        Ok(())
    }

    /// Copies bytes into the view.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is not inside the view. Nothing is copied in that case.
    #[inline]
    pub fn write_at(&self, offset: usize, data: &[u8]) -> Result {
        let to = self.at(offset, data.len())?;
        let from = data.as_ptr().cast();
        // SAFETY: `to` is valid for writes of the length of `data`, and C code writes. No Rust
        // reference to the contents exists but to atomics.
        unsafe { bindings::rust_mm_store_bytes(to.as_ptr().cast(), from, data.len()) };
        Ok(())
    }

    /// Returns an integer in the view, for atomics.
    ///
    /// See [`KernelPages::atomic`].
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the integer is not inside the view, or if `offset` is not a multiple of its
    /// size.
    #[inline]
    pub fn atomic<T: SharedInt>(&self, offset: usize) -> Result<&Atomic<T>> {
        shared::one(self.atomics(offset, 1)?)
    }

    /// Returns `count` integers in the view, for atomics.
    ///
    /// They can be in several pages.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// As [`atomic`](Self::atomic).
    #[inline]
    pub fn atomics<T: SharedInt>(&self, offset: usize, count: usize) -> Result<&[Atomic<T>]> {
        // SAFETY: By the type invariants, the bytes are valid for as long as `self` is borrowed,
        // start at a page boundary, and Rust code accesses them only through atomics.
        unsafe { shared::atomics_in(self.start, self.len, offset, count) }
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
    /// [`EINVAL`] if the record is not inside the view, or if `offset` is not a multiple of the
    /// alignment of `T`.
    #[inline]
    pub fn read_record<T: FromBytes>(&self, offset: usize) -> Result<T> {
        let read = |to: *mut c_void, len: usize| -> Result {
            let from = self.at(offset, len)?;
            // SAFETY: `to` is valid for writes of `len` bytes, and `from` for reads, which C code
            // does.
            unsafe { bindings::rust_mm_load_words(to, from.as_ptr().cast(), len) };
            Ok(())
        };
        // SAFETY: The closure fails, or initialises all of the destination.
        unsafe { shared::read_record_with(offset, read) }
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
    /// As [`read_record`](Self::read_record). Nothing is written in that case.
    #[inline]
    pub fn write_record<T: IntoBytes>(&self, offset: usize, record: T) -> Result {
        shared::check_record::<T>(offset)?;
        let to = self.at(offset, size_of::<T>())?;
        let from = (&raw const record).cast();
        // SAFETY:
        // - `to` is valid for writes, which C code does. No Rust reference to the contents exists
        //   but to atomics.
        // - `record` is valid for reads, and since `T` is `IntoBytes`, all of its bytes are
        //   initialised.
        unsafe { bindings::rust_mm_store_words(to.as_ptr().cast(), from, size_of::<T>()) };
        Ok(())
    }
}

impl Drop for Vmap {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, this value owns the mapping, which is not used again.
        unsafe { bindings::rust_mm_vunmap(self.map.as_ptr()) };
    }
}

impl KernelPages {
    /// Maps the pages at consecutive kernel addresses.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`ENOMEM`] if there is not enough memory, or not enough of the kernel's addresses; or if a
    ///   page has too many references.
    /// - [`EOPNOTSUPP`] if the cache of the processor can show user space other contents than the
    ///   view.
    ///
    /// # Examples
    ///
    /// See [`Vmap`].
    pub fn vmap(&self) -> Result<Vmap> {
        self.slice(0, self.nr_pages())?.vmap()
    }
}

impl KernelPagesSlice<'_> {
    /// Maps the pages at consecutive kernel addresses.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// As [`KernelPages::vmap`]; also [`EINVAL`] if there is no page.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::KernelPages, page::PAGE_SIZE};
    ///
    /// let pages = KernelPages::new(3, GFP_KERNEL)?;
    /// let view = pages.slice(1, 2)?.vmap()?;
    /// // The view remains after the array.
    /// pages.write_at(PAGE_SIZE, b"second")?;
    /// drop(pages);
    /// assert_eq!(view.read_record::<[u8; 6]>(0)?, *b"second");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn vmap(&self) -> Result<Vmap> {
        if self.nr_pages() == 0 {
            return Err(EINVAL);
        }
        self.check_mappable()?;
        let mut start = core::ptr::null_mut();
        // SAFETY: The array has that number of valid pages, which is not zero. `start` is valid for
        // writes.
        let map = unsafe {
            bindings::rust_mm_vmap(
                self.as_page_array().cast_const(),
                self.nr_pages(),
                &mut start,
            )
        };
        let map = NonNull::new(from_err_ptr(map)?).ok_or(ENOMEM)?;
        let start = NonNull::new(start.cast()).ok_or(ENOMEM)?;
        // INVARIANT: The mapping was just made, with that number of pages, and this value owns it.
        // No Rust reference to its contents exists but to atomics of other views.
        Ok(Vmap {
            map,
            start,
            len: self.nr_pages() << PAGE_SHIFT,
        })
    }
}
