// SPDX-License-Identifier: GPL-2.0

//! Folios that are, or were, in a page cache.

use super::{
    folio_of,
    PageCache, //
};
use crate::{
    bindings,
    mm::memory::Folio,
    page::PAGE_SHIFT,
    prelude::*, //
};
use core::{
    marker::PhantomData,
    mem,
    ptr::NonNull, //
};

/// A reference to a folio.
///
/// # Invariants
///
/// The folio is valid, and the value owns a reference to it.
struct FolioRef(NonNull<bindings::folio>);

impl FolioRef {
    #[inline]
    fn folio(&self) -> &Folio {
        // SAFETY: By the type invariants, the folio is valid and has a reference.
        unsafe { folio_of(self.0) }
    }

    /// Returns the folio, unless its memory is broken.
    ///
    /// # Errors
    ///
    /// [`EIO`] if it is.
    fn intact(&self) -> Result<&Folio> {
        // SAFETY: By the type invariants, the folio has a reference.
        match unsafe { bindings::folio_contain_hwpoisoned_page(self.0.as_ptr()) } {
            true => Err(EIO),
            false => Ok(self.folio()),
        }
    }
}

impl Drop for FolioRef {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the value owns a reference, which is not used again.
        unsafe { bindings::folio_put_saturating(self.0.as_ptr()) };
    }
}

/// A reference to a folio that was found in a page cache.
///
/// The folio may have left the page cache since: see [`lock`](Self::lock).
///
/// # Invariants
///
/// The folio was in `cache` at some time, and was never in another page cache before.
pub struct CachedFolio<'c> {
    folio: FolioRef,
    cache: &'c PageCache,
}

// SAFETY: A reference to a folio is not tied to a thread, and any thread may drop the last one.
unsafe impl Send for CachedFolio<'_> {}
// SAFETY: The methods that take `&self` only compare.
unsafe impl Sync for CachedFolio<'_> {}

impl<'c> CachedFolio<'c> {
    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut bindings::folio {
        self.folio.0.as_ptr()
    }

    /// Returns the size in bytes, which is never zero.
    ///
    /// A folio is not split while there is a reference to it.
    #[expect(clippy::len_without_is_empty)]
    #[inline]
    pub fn len(&self) -> usize {
        self.folio.folio().len()
    }

    /// Checks that the memory is not broken.
    ///
    /// # Errors
    ///
    /// [`EIO`] if it is.
    pub(crate) fn check_intact(&self) -> Result {
        self.folio.intact().map(|_| ())
    }

    /// # Safety
    ///
    /// The type invariants must hold for `folio`, and the caller must give up a reference to it.
    #[inline]
    pub(super) unsafe fn from_raw(cache: &'c PageCache, folio: NonNull<bindings::folio>) -> Self {
        // INVARIANT: By the safety requirements of this function, the invariants hold.
        Self {
            folio: FolioRef(folio),
            cache,
        }
    }

    /// Returns whether the folio is in the page cache at the moment.
    ///
    /// It can leave the page cache at any time.
    pub fn is_cached(&self) -> bool {
        // SAFETY: By the type invariants, the folio has a reference, and the page cache is alive.
        unsafe { bindings::rust_filemap_contains(self.cache.as_ptr(), self.folio.0.as_ptr()) }
    }

    /// Makes a locked folio of this one, if it still is in the page cache.
    ///
    /// # Errors
    ///
    /// Unlocks the folio and returns an error, as [`lock`](Self::lock).
    ///
    /// # Safety
    ///
    /// The folio must be locked, and the caller must give up the lock.
    unsafe fn look_again(
        self,
    ) -> core::result::Result<LockedCacheFolio<'c>, (CachedFolio<'c>, Error)> {
        let folio = self.folio.0.as_ptr();
        // SAFETY: By the type invariants, the folio has a reference.
        let uptodate = unsafe { bindings::folio_test_uptodate(folio) };
        let error = match self.is_cached() {
            true if uptodate => {
                // INVARIANT: By the safety requirements of this function, the folio is locked, and
                // the value gets the lock. The folio is in the page cache and up to date.
                return Ok(LockedCacheFolio {
                    folio: mem::ManuallyDrop::new(self.folio),
                    cache: self.cache,
                    _lock: PhantomData,
                });
            }
            true => EIO,
            false => ENOENT,
        };
        // SAFETY: By the safety requirements of this function, the folio is locked, and the caller
        // gives up the lock.
        unsafe { bindings::folio_unlock(folio) };
        Err((self, error))
    }

    /// Locks the folio, and looks whether it still is in the page cache.
    ///
    /// # Context
    ///
    /// As [`PageCache::get_locked`].
    ///
    /// # Errors
    ///
    /// Returns the reference together with the error:
    ///
    /// - [`ENOENT`] if the folio has left the page cache. It does not come back; the page cache may
    ///   have another folio at that index.
    /// - [`EIO`] if the folio is not up to date.
    pub fn lock(self) -> core::result::Result<LockedCacheFolio<'c>, (Self, Error)> {
        // SAFETY: By the type invariants, the folio has a reference.
        unsafe { bindings::folio_lock(self.folio.0.as_ptr()) };
        // SAFETY: The folio was just locked.
        unsafe { self.look_again() }
    }

    /// Locks the folio if its lock is free, and looks whether it still is in the page cache.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock); and [`EAGAIN`] if the folio is locked.
    pub fn try_lock(self) -> core::result::Result<LockedCacheFolio<'c>, (Self, Error)> {
        // SAFETY: By the type invariants, the folio has a reference.
        if unsafe { bindings::folio_trylock(self.folio.0.as_ptr()) } {
            // SAFETY: The folio was just locked.
            unsafe { self.look_again() }
        } else {
            Err((self, EAGAIN))
        }
    }
}

/// A folio that is locked, and is in a page cache for as long as it is locked.
///
/// User space may have the folio mapped and change the contents at any time.
///
/// # Invariants
///
/// - The folio is locked, and this value owns the lock and a reference.
/// - The folio is in `cache` and up to date.
pub struct LockedCacheFolio<'c> {
    folio: mem::ManuallyDrop<FolioRef>,
    cache: &'c PageCache,
    _lock: PhantomData<*mut ()>,
}

// SAFETY: C functions copy the contents and expect concurrent changes; the other methods that take
// `&self` read what does not change while the folio is locked.
unsafe impl Sync for LockedCacheFolio<'_> {}

impl<'c> LockedCacheFolio<'c> {
    /// # Safety
    ///
    /// The type invariants must hold for `folio`, and the caller must give up the lock and a
    /// reference.
    #[inline]
    pub(crate) unsafe fn from_raw(cache: &'c PageCache, folio: NonNull<bindings::folio>) -> Self {
        // INVARIANT: By the safety requirements of this function, the invariants hold.
        Self {
            folio: mem::ManuallyDrop::new(FolioRef(folio)),
            cache,
            _lock: PhantomData,
        }
    }

    /// Gives up the lock and the reference.
    #[inline]
    pub(crate) fn into_raw(self) -> NonNull<bindings::folio> {
        mem::ManuallyDrop::new(self).folio.0
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut bindings::folio {
        self.folio.0.as_ptr()
    }

    /// Returns the page cache.
    #[inline]
    pub fn cache(&self) -> &'c PageCache {
        self.cache
    }

    /// Returns the page offset of the first page.
    #[inline]
    pub fn index(&self) -> usize {
        // SAFETY: By the type invariants, the folio has a reference. It is locked and in the page
        // cache, so the index does not change.
        unsafe { bindings::folio_index(self.as_ptr()) }
    }

    /// Returns the order: the binary logarithm of the number of pages.
    #[inline]
    pub fn order(&self) -> u32 {
        self.folio.folio().order()
    }

    /// Returns the number of pages.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        self.folio.folio().nr_pages()
    }

    /// Returns the size in bytes, which is never zero.
    #[expect(clippy::len_without_is_empty)]
    #[inline]
    pub fn len(&self) -> usize {
        self.folio.folio().len()
    }

    /// Returns where in the folio the page with page offset `index` is, in bytes; [`None`] if it is
    /// not in the folio.
    pub fn offset_of(&self, index: usize) -> Option<usize> {
        let page = index.checked_sub(self.index())?;
        (page < self.nr_pages()).then_some(page << PAGE_SHIFT)
    }

    /// Returns the page with page offset `index`, for a page table entry; [`None`] if the file ends
    /// before it, it is not in the folio, or the folio has too many references to be mapped again.
    #[inline]
    pub(crate) fn mappable_page(&self, index: usize) -> Option<NonNull<bindings::page>> {
        // SAFETY: By the type invariants, the folio is locked and in a page cache.
        NonNull::new(unsafe { bindings::rust_filemap_mappable(self.as_ptr(), index) })
    }

    /// Returns whether the folio is dirty: reclaim does not drop what it has.
    pub fn is_dirty(&self) -> bool {
        // SAFETY: By the type invariants, the folio has a reference.
        unsafe { bindings::folio_test_dirty(self.as_ptr()) }
    }

    /// Marks the folio dirty: reclaim must not drop what it has.
    ///
    /// The methods that write do this themselves, and the kernel does it when user space has
    /// written.
    pub fn mark_dirty(&self) {
        // SAFETY: By the type invariants, the folio has a reference and is locked.
        unsafe { bindings::folio_mark_dirty(self.as_ptr()) };
    }

    /// Returns whether user space has a page of the folio mapped at the moment.
    pub fn is_mapped(&self) -> bool {
        // SAFETY: By the type invariants, the folio has a reference.
        unsafe { bindings::folio_mapped(self.as_ptr()) }
    }

    /// Checks that the memory is not broken.
    ///
    /// # Errors
    ///
    /// [`EIO`] if it is.
    pub(crate) fn check_intact(&self) -> Result {
        self.folio.intact().map(|_| ())
    }

    /// Copies bytes out of the folio.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the range is not inside the folio. Nothing is copied in that case.
    /// - [`EIO`] if the memory is broken.
    pub fn read_at(&self, offset: usize, out: &mut [u8]) -> Result {
        self.folio.intact()?.read_at(offset, out)
    }

    /// Copies bytes into the folio, and marks it dirty.
    ///
    /// The size of the file does not change, nor is it looked at.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// As [`read_at`](Self::read_at).
    pub fn write_at(&self, offset: usize, data: &[u8]) -> Result {
        self.folio.intact()?.write_at(offset, data)?;
        self.mark_dirty();
        Ok(())
    }

    /// Fills bytes of the folio with zeroes, and marks it dirty.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// As [`read_at`](Self::read_at).
    pub fn zero(&self, offset: usize, len: usize) -> Result {
        self.folio.intact()?.zero(offset, len)?;
        self.mark_dirty();
        Ok(())
    }

    /// Unlocks the folio.
    pub fn unlock(self) -> CachedFolio<'c> {
        let cache = self.cache;
        let folio = self.into_raw();
        // SAFETY: By the type invariants, the folio is locked, and the value owned the lock.
        unsafe { bindings::folio_unlock(folio.as_ptr()) };
        // SAFETY: By the type invariants, the folio was in the page cache, and the value owned the
        // reference.
        unsafe { CachedFolio::from_raw(cache, folio) }
    }

    /// Removes the folio from the page cache: there is a hole in the file afterwards.
    ///
    /// Unmaps the folio from all mappings of the file first. Copy-on-write pages of private
    /// mappings remain mapped.
    ///
    /// # Context
    ///
    /// Sleeps. Takes the i_mmap lock of the file.
    pub fn remove(self) -> RemovedFolio {
        let cache = self.cache;
        let folio = self.into_raw();
        // SAFETY: By the type invariants, the folio is locked and in the page cache, which is
        // alive.
        unsafe { bindings::rust_filemap_remove(cache.as_ptr(), folio.as_ptr()) };
        // SAFETY: By the type invariants, the value owned the lock, which `remove` leaves locked.
        unsafe { bindings::folio_unlock(folio.as_ptr()) };
        // INVARIANT: The value owned the reference, and the folio has left the page cache.
        RemovedFolio(FolioRef(folio))
    }
}

impl Drop for LockedCacheFolio<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the folio is locked, and this value owns the lock.
        unsafe { bindings::folio_unlock(self.as_ptr()) };
        // SAFETY: `self.folio` is not used again, so the reference is dropped once.
        unsafe { mem::ManuallyDrop::drop(&mut self.folio) };
    }
}

/// A reference to a folio that was removed from its page cache.
///
/// The contents can still be read. The folio cannot be added to a page cache again.
///
/// # Invariants
///
/// The folio is in no page cache.
pub struct RemovedFolio(FolioRef);

// SAFETY: A reference to a folio is not tied to a thread, and any thread may drop the last one.
unsafe impl Send for RemovedFolio {}
// SAFETY: C functions copy the contents.
unsafe impl Sync for RemovedFolio {}

impl RemovedFolio {
    /// Returns the size in bytes, which is never zero.
    #[expect(clippy::len_without_is_empty)]
    #[inline]
    pub fn len(&self) -> usize {
        self.0.folio().len()
    }

    /// Copies bytes out of the folio.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the range is not inside the folio. Nothing is copied in that case.
    /// - [`EIO`] if the memory is broken.
    pub fn read_at(&self, offset: usize, out: &mut [u8]) -> Result {
        self.0.intact()?.read_at(offset, out)
    }
}
