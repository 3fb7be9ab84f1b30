// SPDX-License-Identifier: GPL-2.0

//! The page cache: the memory of a file.
//!
//! A [`PageCache`] has the folios of a file. Each folio is in one of these states, and each state
//! is a type. A method that changes the state consumes the value:
//!
//! | type | the folio is | made by |
//! |---|---|---|
//! | [`NewFolio<Blank>`](NewFolio) | new, and has no contents yet | [`PageCache::alloc`] |
//! | [`NewFolio<Filled>`](NewFolio) | new, with contents | [`NewFolio::zeroed`], ... |
//! | [`LockedCacheFolio`] | locked, in the page cache | [`PageCache::add`], [`get_locked`] |
//! | [`CachedFolio`] | referenced; it may have left the page cache | [`PageCache::get`] |
//! | [`RemovedFolio`] | referenced; it has left the page cache | [`LockedCacheFolio::remove`] |
//!
//! [`get_locked`]: PageCache::get_locked
//!
//! None of them is a [`Folio`], so a driver can map a folio of a page cache only through the file:
//! the kernel has to find all mappings when it removes the folio from the page cache.
//!
//! # Locks
//!
//! Truncation, hole punching and reclaim remove a folio under its lock. So a folio is known to be
//! in the page cache only while it is locked, and the only type that gives access to the contents
//! of a folio in the page cache is the one that has the lock. [`CachedFolio::lock`] looks again
//! after it has the lock.
//!
//! The order of the locks is: mmap lock or VMA lock, `invalidate_lock` of the page cache (which
//! [`PageCache::add`] takes), folio lock, i_mmap lock. See the comment at the top of
//! `mm/filemap.c`. A fault adds one page without `invalidate_lock`: it looks at the size of the
//! file after that, under the lock of the folio.
//!
//! C header: [`include/linux/pagemap.h`](srctree/include/linux/pagemap.h)

use crate::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    mm::memory::Folio,
    page::PAGE_SHIFT,
    prelude::*,
    types::Opaque, //
};
use core::ptr::NonNull;

mod cached;
mod new;

pub use cached::{
    CachedFolio,
    LockedCacheFolio,
    RemovedFolio, //
};
pub use new::{
    Blank,
    Contents,
    Filled,
    NewFolio, //
};

/// The page cache of a file that has no storage behind it.
///
/// What is not in the page cache is a hole, which reads as zeroes. All folios are up to date
/// whenever their lock is free.
///
/// # Invariants
///
/// - The page cache is that of the inode in a `struct rust_filemap_inode`, which remains alive
///   while the value is borrowed.
/// - No folio of it has private data or is under writeback, `dirty_folio` is `noop_dirty_folio`,
///   and apart from folios it has only shadow entries of reclaim.
/// - The code that makes the file smaller, or punches holes, holds `invalidate_lock` for writing
///   from before it changes `i_size` until it has removed the folios. Between the change and the
///   removal, it has a memory barrier.
#[repr(transparent)]
pub struct PageCache(Opaque<bindings::address_space>);

// SAFETY: A page cache is not tied to a thread. The value is only ever borrowed.
unsafe impl Send for PageCache {}
// SAFETY: All methods use functions of C that any number of threads may call at the same time.
unsafe impl Sync for PageCache {}

impl PageCache {
    /// Returns the page cache that a pointer from C points to.
    ///
    /// # Safety
    ///
    /// `mapping` must be valid, and the type invariants must hold for it during `'a`.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(mapping: *mut bindings::address_space) -> &'a Self {
        // SAFETY: The types have the same layout. By the safety requirements of this function,
        // `mapping` is valid during `'a`, and the type invariants hold.
        unsafe { &*mapping.cast() }
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut bindings::address_space {
        self.0.get()
    }

    /// Returns the size of the file in bytes.
    ///
    /// It can change at any time. While a folio of the page cache is locked, the file can become
    /// smaller, but the folio remains in the page cache.
    pub fn size(&self) -> u64 {
        // SAFETY: By the type invariants, the page cache is that of an inode, which is alive.
        let size = unsafe { bindings::i_size_read((*self.as_ptr()).host) };
        size.try_into().unwrap_or(0)
    }

    /// Returns the size of the file in pages, rounded up.
    ///
    /// It can change at any time: see [`size`](Self::size).
    pub fn size_in_pages(&self) -> usize {
        // The page offset of the last byte that a file can have fits into a `usize`.
        let last = self.size().checked_sub(1).map(|last| last >> PAGE_SHIFT);
        last.map_or(0, |last| last as usize + 1)
    }

    /// Returns the number of pages that are in the page cache.
    ///
    /// For tests and statistics: the number may have changed already.
    pub fn nr_pages(&self) -> usize {
        // SAFETY: By the type invariants, the page cache is alive. C writes the field under a lock
        // and reads it without, as is done here; it has the size of a word.
        unsafe { core::ptr::read_volatile(&raw const (*self.as_ptr()).nrpages) }
    }

    /// Looks up a page, and returns the folio that has it.
    ///
    /// # Errors
    ///
    /// See `rust_filemap_get()`.
    fn lookup(
        &self,
        index: usize,
        lock: bindings::rust_filemap_lock,
    ) -> Result<Option<NonNull<bindings::folio>>> {
        // SAFETY: By the type invariants, the page cache is alive.
        let folio = unsafe { bindings::rust_filemap_get(self.as_ptr(), index, lock) };
        Ok(NonNull::new(from_err_ptr(folio)?))
    }

    /// Finds a folio and locks it, if need be after a wait for the lock.
    #[inline]
    fn lookup_locked(&self, index: usize, wait: bool) -> Result<Option<LockedCacheFolio<'_>>> {
        let lock = match wait {
            true => bindings::rust_filemap_lock_RUST_FILEMAP_LOCK,
            false => bindings::rust_filemap_lock_RUST_FILEMAP_TRYLOCK,
        };
        let folio = self.lookup(index, lock)?;
        // SAFETY: C has locked the folio and has found it in this page cache, up to date, and gives
        // its reference to the caller.
        Ok(folio.map(|folio| unsafe { LockedCacheFolio::from_raw(self, folio) }))
    }

    /// Returns the folio that has the page with page offset `index`, if there is one.
    ///
    /// # Context
    ///
    /// Does not sleep.
    pub fn get(&self, index: usize) -> Option<CachedFolio<'_>> {
        let unlocked = bindings::rust_filemap_lock_RUST_FILEMAP_UNLOCKED;
        let folio = self.lookup(index, unlocked).ok()??;
        // SAFETY: C has found the folio in this page cache, and gives its reference to the caller.
        Some(unsafe { CachedFolio::from_raw(self, folio) })
    }

    /// Locks the folio that has the page with page offset `index`, and returns it if there is one.
    ///
    /// # Context
    ///
    /// Sleeps until the lock is free. A caller that holds the lock of another folio may deadlock,
    /// unless that is a folio of the same file, at a lower index.
    ///
    /// # Errors
    ///
    /// [`EIO`] if the folio is not up to date.
    pub fn get_locked(&self, index: usize) -> Result<Option<LockedCacheFolio<'_>>> {
        self.lookup_locked(index, true)
    }

    /// Locks the folio that has the page with page offset `index` if its lock is free, and returns
    /// it if there is one.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// - [`EAGAIN`] if the folio is locked.
    /// - [`EIO`] if the folio is not up to date.
    pub fn try_get_locked(&self, index: usize) -> Result<Option<LockedCacheFolio<'_>>> {
        self.lookup_locked(index, false)
    }

    /// Locks the folio that has the page with page offset `index`; if there is none, adds one that
    /// is filled with zeroes, for which the memory cgroup of the current task pays.
    ///
    /// # Context
    ///
    /// Sleeps. The caller must not hold the lock of a folio: this takes `invalidate_lock`, whose
    /// holder may wait for that folio.
    ///
    /// # Errors
    ///
    /// - [`EFAULT`] if the file ends before that page.
    /// - [`ENOMEM`] if there is not enough memory, also if the memory cgroup may not have more.
    /// - [`EIO`] if the folio is not up to date.
    pub fn get_or_add(&self, index: usize) -> Result<LockedCacheFolio<'_>> {
        // SAFETY: The current task is charged.
        unsafe { self.get_or_add_for(core::ptr::null_mut(), index) }
    }

    /// The same, for a folio that the memory cgroup of an mm pays for.
    ///
    /// # Errors
    ///
    /// As [`get_or_add`](Self::get_or_add).
    ///
    /// # Safety
    ///
    /// `mm` must be null, for that of the current task, or valid.
    pub(in crate::mm) unsafe fn get_or_add_for(
        &self,
        mm: *mut bindings::mm_struct,
        index: usize,
    ) -> Result<LockedCacheFolio<'_>> {
        loop {
            if let Some(folio) = self.get_locked(index)? {
                return self.check_size(index).map(|()| folio);
            }
            self.check_size(index)?;
            let order = self.min_order();
            // SAFETY: By the safety requirements of this function, `mm` is null or valid.
            let new = unsafe { self.alloc_for(mm, index, order) }?.zeroed();
            match self.fill(new, index & (usize::MAX << order)) {
                // The file may end inside the folio.
                Ok(folio) => return self.check_size(index).map(|()| folio),
                // Another thread has added one in between.
                Err(e) if e == EEXIST => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Checks that a page is in the file.
    ///
    /// The caller has the lock of the folio that has the page: truncation changes the size before
    /// it takes that lock.
    ///
    /// # Errors
    ///
    /// [`EFAULT`] if the file ends before the page.
    pub(crate) fn check_size(&self, index: usize) -> Result {
        match index < self.size_in_pages() {
            true => Ok(()),
            false => Err(EFAULT),
        }
    }

    /// Returns the order of the smallest folios that the page cache may have.
    fn min_order(&self) -> u32 {
        // SAFETY: By the type invariants, the page cache is alive.
        unsafe { bindings::mapping_min_folio_order(self.as_ptr()) }
    }

    /// Allocates a folio of `1 << order` pages for this page cache.
    ///
    /// The memory cgroup of the current task pays for it. It comes from the node that the memory
    /// policy of the page with page offset `index` wants, which user space sets with `mbind(2)`; if
    /// that page has none, from where the policy of the current task wants it.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the file does not allow folios of this size.
    /// - [`ENOMEM`] if there is not enough contiguous memory, or if the memory cgroup may not have
    ///   more.
    pub fn alloc(&self, index: usize, order: u32) -> Result<NewFolio> {
        // SAFETY: The current task is charged.
        unsafe { self.alloc_for(core::ptr::null_mut(), index, order) }
    }

    /// Allocates a folio that the memory cgroup of an mm pays for.
    ///
    /// # Errors
    ///
    /// As [`alloc`](Self::alloc).
    ///
    /// # Safety
    ///
    /// `mm` must be null, for that of the current task, or valid.
    pub(crate) unsafe fn alloc_for(
        &self,
        mm: *mut bindings::mm_struct,
        index: usize,
        order: u32,
    ) -> Result<NewFolio> {
        // SAFETY: By the type invariants, the page cache is that of a `struct rust_filemap_inode`,
        // which is alive. By the safety requirements of this function, `mm` is null or valid.
        let folio = unsafe { bindings::rust_filemap_alloc(self.as_ptr(), mm, index, order) };
        let folio = from_err_ptr(folio)?;
        let folio = NonNull::new(folio).ok_or(ENOMEM)?;
        // SAFETY: C has just allocated the folio, charged it, and gives its only reference to the
        // caller. The folio was never in a page cache.
        Ok(unsafe { NewFolio::from_raw(folio) })
    }

    /// Adds a folio to the page cache, with its first page at page offset `index`.
    ///
    /// The folio is marked up to date; it is also marked dirty, which keeps it from being
    /// reclaimed, unless the file is evictable and the folio is as [`NewFolio::zeroed`] has
    /// returned it.
    ///
    /// # Context
    ///
    /// Sleeps. Takes `invalidate_lock` of the page cache for reading, so that the file does not
    /// become smaller, and no hole is punched, while the folio is added. The caller must not hold
    /// the lock of a folio.
    ///
    /// # Errors
    ///
    /// Returns the folio together with the error:
    ///
    /// - [`EINVAL`] if the file does not allow folios of this size, or `index` is not a multiple of
    ///   it.
    /// - [`EFAULT`] if the file ends before `index`.
    /// - [`EEXIST`] if one of the pages is in the page cache already.
    /// - [`ENOMEM`] if there is not enough memory.
    pub fn add(
        &self,
        folio: NewFolio<Filled>,
        index: usize,
    ) -> core::result::Result<LockedCacheFolio<'_>, (NewFolio<Filled>, Error)> {
        self.add_with(folio, index, false)
    }

    /// Adds a folio to the page cache, also past the end of the file.
    ///
    /// The caller holds the lock of the inode, so that the size does not change.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add), but not [`EFAULT`].
    pub(crate) fn add_past_end(
        &self,
        folio: NewFolio<Filled>,
        index: usize,
    ) -> core::result::Result<LockedCacheFolio<'_>, (NewFolio<Filled>, Error)> {
        self.add_with(folio, index, true)
    }

    /// Adds a folio to the page cache in a page fault, and drops it if that fails.
    ///
    /// Takes no lock of the file to add one page.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    #[inline]
    pub(crate) fn fill(
        &self,
        folio: NewFolio<Filled>,
        index: usize,
    ) -> Result<LockedCacheFolio<'_>> {
        let dirty = folio.is_dirty();
        // SAFETY: By the type invariants of the folio, it is from `rust_filemap_alloc`, was never
        // in a page cache, has contents, and `folio` has its only reference. If this fails, it is
        // only dropped.
        let err =
            unsafe { bindings::rust_filemap_fill(self.as_ptr(), folio.as_ptr(), index, dirty) };
        to_result(err)?;
        // SAFETY: C has added the folio to this page cache, has locked it and marked it up to
        // date. The reference of `folio` is given up.
        Ok(unsafe { LockedCacheFolio::from_raw(self, folio.into_raw()) })
    }

    fn add_with(
        &self,
        folio: NewFolio<Filled>,
        index: usize,
        beyond: bool,
    ) -> core::result::Result<LockedCacheFolio<'_>, (NewFolio<Filled>, Error)> {
        let dirty = folio.is_dirty();
        // SAFETY: By the type invariants of the folio, it is from `rust_filemap_alloc`, was never
        // in a page cache, has contents, and `folio` has its only reference.
        let err = unsafe {
            bindings::rust_filemap_add(self.as_ptr(), folio.as_ptr(), index, dirty, beyond)
        };
        match to_result(err) {
            // SAFETY: C has added the folio to this page cache, has locked it and marked it up to
            // date. The reference of `folio` is given up.
            Ok(()) => Ok(unsafe { LockedCacheFolio::from_raw(self, folio.into_raw()) }),
            Err(e) => Err((folio, e)),
        }
    }
}

/// Returns the view of a folio that has the functions that copy.
///
/// # Safety
///
/// `folio` must be valid, with a reference during `'a`.
#[inline]
unsafe fn folio_of<'a>(folio: NonNull<bindings::folio>) -> &'a Folio {
    // SAFETY: The requirements are those of this function.
    unsafe { Folio::from_raw(folio.as_ptr()) }
}
