// SPDX-License-Identifier: GPL-2.0

//! Folios that are in no page cache yet.

use super::folio_of;
use crate::{
    bindings,
    iov::IovIterSource,
    mm::memory::Folio,
    prelude::*,
    uaccess::UserSliceReader, //
};
use core::{
    marker::PhantomData,
    mem,
    ptr::NonNull, //
};

mod sealed {
    pub trait Sealed {}
}

/// Whether a [`NewFolio`] has contents: [`Blank`] or [`Filled`].
pub trait Contents: sealed::Sealed {}

/// The folio has what was in the memory before.
///
/// It can be neither read nor added to a page cache.
pub enum Blank {}

/// All bytes of the folio have been written.
pub enum Filled {}

impl sealed::Sealed for Blank {}
impl sealed::Sealed for Filled {}
impl Contents for Blank {}
impl Contents for Filled {}

/// A folio that is in no page cache, is not locked, and has no other reference.
///
/// # Invariants
///
/// - The folio is from `rust_filemap_alloc`, was never in a page cache and is not mapped. It is not
///   locked.
/// - This value has the only reference, apart from those that C code takes for a moment to look
///   whether the memory can be used.
/// - If `S` is [`Filled`], all bytes have been written since the folio was allocated.
pub struct NewFolio<S: Contents = Blank> {
    folio: NonNull<bindings::folio>,
    /// Whether there may be anything but zeroes.
    dirty: bool,
    _contents: PhantomData<S>,
}

// SAFETY: The folio is not tied to a thread.
unsafe impl<S: Contents> Send for NewFolio<S> {}
// SAFETY: Methods that take `&self` only read, or copy the contents with C code.
unsafe impl<S: Contents> Sync for NewFolio<S> {}

impl NewFolio {
    /// # Safety
    ///
    /// The type invariants must hold for `folio`, and the caller must give up its reference.
    #[inline]
    pub(crate) unsafe fn from_raw(folio: NonNull<bindings::folio>) -> Self {
        // INVARIANT: By the safety requirements of this function, the invariants hold.
        Self {
            folio,
            dirty: true,
            _contents: PhantomData,
        }
    }

    /// Fills the folio with zeroes.
    pub fn zeroed(self) -> NewFolio<Filled> {
        // SAFETY: By the type invariants, the folio is valid, and was never in a page cache.
        unsafe { bindings::rust_filemap_zero(self.as_ptr()) };
        // INVARIANT: All bytes have just been written.
        self.into_state(false)
    }

    /// Copies `data` to the start of the folio, and fills the rest with zeroes.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if `data` does not fit.
    pub fn filled(self, data: &[u8]) -> Result<NewFolio<Filled>> {
        self.folio().write_at(0, data)?;
        self.folio().zero(data.len(), self.len() - data.len())?;
        // INVARIANT: All bytes have just been written.
        Ok(self.into_state(true))
    }

    /// Copies `len` bytes from user space to the start of the folio, and fills the rest with
    /// zeroes.
    ///
    /// # Context
    ///
    /// See [`Folio::copy_from_user`].
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `len` is more than the size of the folio.
    /// - [`EFAULT`] if `from` has less than `len` bytes, or user space cannot access some of them.
    pub fn filled_from_user(
        self,
        from: &mut UserSliceReader,
        len: usize,
    ) -> Result<NewFolio<Filled>> {
        self.folio().copy_from_user(0, from, len)?;
        self.folio().zero(len, self.len() - len)?;
        // INVARIANT: All bytes have just been written.
        Ok(self.into_state(true))
    }

    /// Copies up to `len` bytes to `offset`, and fills the rest with zeroes.
    ///
    /// Returns the number of bytes copied: fewer if user space cannot access some of them.
    ///
    /// # Context
    ///
    /// See [`Folio::copy_from_iter`].
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is not inside the folio. Nothing is copied in that case.
    pub(crate) fn filled_from_iter(
        self,
        offset: usize,
        len: usize,
        iov: &mut IovIterSource<'_>,
    ) -> Result<(NewFolio<Filled>, usize)> {
        self.folio().zero(0, offset)?;
        if len > self.len() - offset {
            return Err(EINVAL);
        }
        // SAFETY: The range is inside the folio, whose first page is where the folio is. `iov` is a
        // valid iterator of a source.
        let done = unsafe {
            bindings::copy_page_from_iter(self.as_ptr().cast(), offset, len, iov.as_raw())
        };
        let end = offset + done.min(len);
        self.folio().zero(end, self.len() - end)?;
        // INVARIANT: All bytes have just been written.
        Ok((self.into_state(true), done))
    }

    /// Declares that C code has written the contents.
    ///
    /// # Safety
    ///
    /// All bytes must have been written since the folio was allocated.
    pub(crate) unsafe fn assume_filled(self) -> NewFolio<Filled> {
        // INVARIANT: By the safety requirements of this function, all bytes have been written.
        self.into_state(true)
    }

    fn into_state(self, dirty: bool) -> NewFolio<Filled> {
        NewFolio {
            folio: self.into_raw(),
            dirty,
            _contents: PhantomData,
        }
    }
}

impl NewFolio<Filled> {
    /// Copies bytes out of the folio.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is not inside the folio. Nothing is copied in that case.
    pub fn read_at(&self, offset: usize, out: &mut [u8]) -> Result {
        self.folio().read_at(offset, out)
    }

    /// Copies bytes into the folio.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is not inside the folio. Nothing is copied in that case.
    pub fn write_at(&mut self, offset: usize, data: &[u8]) -> Result {
        self.dirty = true;
        self.folio().write_at(offset, data)
    }

    /// Declares that the folio is written as soon as it is in the page cache.
    #[inline]
    pub(crate) fn into_dirty(mut self) -> Self {
        self.dirty = true;
        self
    }

    /// Returns whether the folio may have anything but zeroes.
    #[inline]
    pub(super) fn is_dirty(&self) -> bool {
        self.dirty
    }
}

impl<S: Contents> NewFolio<S> {
    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut bindings::folio {
        self.folio.as_ptr()
    }

    #[inline]
    fn folio(&self) -> &Folio {
        // SAFETY: By the type invariants, the folio is valid and has a reference.
        unsafe { folio_of(self.folio) }
    }

    /// Gives up the reference.
    #[inline]
    pub(crate) fn into_raw(self) -> NonNull<bindings::folio> {
        let folio = self.folio;
        mem::forget(self);
        folio
    }

    /// Returns the order: the binary logarithm of the number of pages.
    #[inline]
    pub fn order(&self) -> u32 {
        self.folio().order()
    }

    /// Returns the number of pages.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        self.folio().nr_pages()
    }

    /// Returns the size in bytes, which is never zero.
    #[expect(clippy::len_without_is_empty)]
    #[inline]
    pub fn len(&self) -> usize {
        self.folio().len()
    }
}

impl<S: Contents> Drop for NewFolio<S> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, this value has a reference, which is not used again.
        unsafe { bindings::folio_put_saturating(self.folio.as_ptr()) };
    }
}
