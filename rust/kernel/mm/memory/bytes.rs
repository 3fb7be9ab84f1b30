// SPDX-License-Identifier: GPL-2.0

//! Memory at consecutive kernel addresses that others access at the same time.

use crate::{
    bindings,
    mm::memory::shared::{
        self,
        SharedInt, //
    },
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

/// Bytes that user space, or a device, may access at any time.
///
/// A driver has them of a [`Vmap`](crate::mm::Vmap), or of the coherent memory of a device
/// ([`CoherentMemory`](crate::mm::dma::CoherentMemory)).
///
/// # Invariants
///
/// - For as long as the value can be borrowed, `len` bytes at `start` are valid for reads and
///   writes. `len` is not zero, and `start` is page-aligned.
/// - Rust code accesses them only through atomics.
pub struct SharedBytes {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: Any thread may access the bytes.
unsafe impl Send for SharedBytes {}
// SAFETY: Through a shared reference, there are only atomics, and copies by C code that expects
// concurrent changes.
unsafe impl Sync for SharedBytes {}

impl SharedBytes {
    /// Makes the value for bytes of C's.
    ///
    /// # Safety
    ///
    /// The type invariants must hold.
    #[inline]
    pub(in crate::mm) unsafe fn new(start: NonNull<u8>, len: usize) -> Self {
        // INVARIANT: By the safety requirements of this function, they hold.
        Self { start, len }
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
    /// [`EINVAL`] if the range is not inside the bytes.
    #[inline]
    fn at(&self, offset: usize, len: usize) -> Result<NonNull<u8>> {
        match offset.checked_add(len) {
            // SAFETY: By the type invariants, there are bytes up to `end`.
            Some(end) if end <= self.len => Ok(unsafe { self.start.add(offset) }),
            _ => Err(EINVAL),
        }
    }

    /// Copies bytes out.
    ///
    /// Each byte is either the old or the new one if user space or a device writes at the same
    /// time, but words are not whole.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is not inside the bytes. Nothing is copied in that case.
    #[inline]
    pub fn read_at(&self, offset: usize, out: &mut [u8]) -> Result {
        let from = self.at(offset, out.len())?;
        let to = out.as_mut_ptr().cast();
        // SAFETY: `from` is valid for reads of the length of `out`, and C code reads.
        unsafe { bindings::rust_mm_load_bytes(to, from.as_ptr().cast(), out.len()) };
        Ok(())
    }

    /// Copies bytes in.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is not inside the bytes. Nothing is copied in that case.
    #[inline]
    pub fn write_at(&self, offset: usize, data: &[u8]) -> Result {
        let to = self.at(offset, data.len())?;
        let from = data.as_ptr().cast();
        // SAFETY: `to` is valid for writes of the length of `data`, and C code writes. No Rust
        // reference to the contents exists but to atomics.
        unsafe { bindings::rust_mm_store_bytes(to.as_ptr().cast(), from, data.len()) };
        Ok(())
    }

    /// Returns an integer in the bytes, for atomics.
    ///
    /// See [`KernelPages::atomic`](crate::mm::KernelPages::atomic).
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the integer is not inside the bytes, or if `offset` is not a multiple of its
    /// size.
    #[inline]
    pub fn atomic<T: SharedInt>(&self, offset: usize) -> Result<&Atomic<T>> {
        shared::one(self.atomics(offset, 1)?)
    }

    /// Returns `count` integers in the bytes, for atomics.
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
    /// See [`KernelPages::read_record`](crate::mm::KernelPages::read_record).
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the record is not inside the bytes, or if `offset` is not a multiple of the
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
    /// See [`KernelPages::write_record`](crate::mm::KernelPages::write_record).
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
