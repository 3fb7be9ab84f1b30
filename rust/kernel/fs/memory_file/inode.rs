// SPDX-License-Identifier: GPL-2.0

//! The inode of a memory file: its page cache, its size and its seals.

use super::Seals;
use crate::{
    bindings,
    error::to_result,
    mm::{
        filemap::PageCache,
        uffd::Decide, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};
use core::ops::Range;

/// The inode of a memory file.
///
/// # Invariants
///
/// The inode was made by `rust_memory_file_create`, with the tables of this module, and has not
/// been evicted.
#[repr(transparent)]
pub(super) struct MemoryInode(Opaque<bindings::rust_memory_inode>);

impl MemoryInode {
    /// Returns the memory file that an inode belongs to.
    ///
    /// # Safety
    ///
    /// `inode` must be that of a memory file, and must not be evicted during `'a`.
    #[inline]
    pub(super) unsafe fn from_inode<'a>(inode: *mut bindings::inode) -> &'a Self {
        // SAFETY: By the safety requirements of this function, the inode is part of a
        // `struct rust_memory_inode`, which is alive during `'a`. The types have the same layout.
        unsafe { &*bindings::rust_memory_inode(inode).cast() }
    }

    /// Returns the memory file that is open as `file`.
    ///
    /// # Safety
    ///
    /// `file` must be a memory file that is open, and must not be released during `'a`.
    #[inline]
    pub(super) unsafe fn from_file<'a>(file: *const bindings::file) -> &'a Self {
        // SAFETY: By the safety requirements of this function, the file is that of a memory file,
        // and has a reference to its inode during `'a`.
        unsafe { Self::from_inode((*file).f_inode) }
    }

    #[inline]
    pub(super) fn as_ptr(&self) -> *mut bindings::rust_memory_inode {
        self.0.get()
    }

    #[inline]
    pub(super) fn inode(&self) -> *mut bindings::inode {
        // SAFETY: By the type invariants, this is a `struct rust_memory_inode`.
        unsafe { &raw mut (*self.as_ptr()).filemap.inode }
    }

    /// Returns the page cache.
    #[inline]
    pub(super) fn cache(&self) -> &PageCache {
        // SAFETY:
        // - By the type invariants, the inode is alive as long as it is borrowed. It is that of a
        //   `struct rust_filemap_inode`, and its page cache is its own.
        // - Folios are added only through `PageCache`, so they are up to date, and have no private
        //   data. `dirty_folio` is `noop_dirty_folio`, and there is no writeback: see `SPACE`.
        // - `LockedInode` holds `invalidate_lock` for writing where it removes folios.
        unsafe { PageCache::from_raw((*self.inode()).i_mapping) }
    }

    /// Returns the size in bytes, which can change at any time unless the inode is locked.
    #[inline]
    pub(super) fn size(&self) -> u64 {
        self.cache().size()
    }

    /// Returns the seals, to which more can be added at any time unless the inode is locked.
    #[inline]
    pub(super) fn seals(&self) -> Seals {
        // SAFETY: By the type invariants, this is a `struct rust_memory_inode`. Another thread may
        // add seals at the same time.
        Seals::from_raw(unsafe { core::ptr::read_volatile(&raw const (*self.as_ptr()).seals) })
    }

    /// Returns whether the file may have large folios.
    #[inline]
    pub(super) fn is_huge(&self) -> bool {
        // SAFETY: By the type invariants, the file is made. The field does not change after that.
        unsafe { (*self.as_ptr()).flags & bindings::RUST_MEMORY_FILE_HUGE != 0 }
    }

    /// Returns whether one of these pages, of which there is at least one, is in the page cache.
    pub(super) fn has_page(&self, pages: Range<usize>) -> bool {
        // Unsigned: the end of the last page that a file can have is at 1 << 63.
        let first = (pages.start as u64) << PAGE_SHIFT;
        let last = ((pages.end as u64) << PAGE_SHIFT) - 1;
        // SAFETY: By the type invariants, the page cache is alive.
        unsafe {
            bindings::filemap_range_has_page(self.cache().as_ptr(), first as i64, last as i64)
        }
    }

    /// Returns the function that calls the driver for a fault, if it has one.
    #[inline]
    pub(super) fn decide(&self) -> Option<Decide> {
        // SAFETY: By the type invariants, the inode has its type until it is evicted. The type is
        // a static of the driver's module, to which the inode has a reference.
        unsafe { (*(*self.as_ptr()).type_).decide }
    }

    /// Returns the operations of the mappings of this type of file.
    #[inline]
    pub(super) fn vm_ops(&self) -> *const bindings::vm_operations_struct {
        // SAFETY: By the type invariants, the inode has its type until it is evicted. The type is
        // a static of the driver's module, to which the inode has a reference.
        unsafe { (*(*self.as_ptr()).type_).vm_ops }
    }

    /// Locks the inode.
    ///
    /// # Context
    ///
    /// Sleeps. The caller must hold neither an mmap lock nor a lock of a folio.
    pub(super) fn lock(&self) -> LockedInode<'_> {
        // SAFETY: By the type invariants, the inode is alive.
        unsafe { bindings::inode_lock(self.inode()) };
        // INVARIANT: The inode was just locked.
        LockedInode {
            inode: self,
            _not_send: NotThreadSafe,
        }
    }
}

/// The inode of a memory file, locked: its size does not change, and no seals are added.
///
/// # Invariants
///
/// This thread holds the lock of the inode.
pub(super) struct LockedInode<'a> {
    inode: &'a MemoryInode,
    _not_send: NotThreadSafe,
}

impl core::ops::Deref for LockedInode<'_> {
    type Target = MemoryInode;

    #[inline]
    fn deref(&self) -> &MemoryInode {
        self.inode
    }
}

impl Drop for LockedInode<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, this thread holds the lock.
        unsafe { bindings::inode_unlock(self.inode.inode()) };
    }
}

impl<'a> LockedInode<'a> {
    /// Wraps an inode that the caller of a C function has locked.
    ///
    /// # Safety
    ///
    /// This thread must hold the lock of `inode` during `'a`.
    pub(super) unsafe fn from_locked(inode: &'a MemoryInode) -> core::mem::ManuallyDrop<Self> {
        // INVARIANT: By the safety requirements of this function, this thread holds the lock. The
        // value is not dropped, so the lock remains the caller's.
        core::mem::ManuallyDrop::new(Self {
            inode,
            _not_send: NotThreadSafe,
        })
    }

    /// Checks that the seals allow to change the contents.
    ///
    /// # Errors
    ///
    /// [`EPERM`] if they do not.
    pub(super) fn check_write(&self) -> Result {
        if self.seals().intersects(Seals::WRITE | Seals::FUTURE_WRITE) {
            return Err(EPERM);
        }
        Ok(())
    }

    /// Checks that the seals allow to write up to `end`, in bytes.
    ///
    /// # Errors
    ///
    /// [`EPERM`] if they do not.
    pub(super) fn check_write_to(&self, end: u64) -> Result {
        self.check_write()?;
        self.check_end(end)
    }

    /// Checks that the seals allow the file to go on to `end`, in bytes, if it does not yet.
    ///
    /// # Errors
    ///
    /// [`EPERM`] if they do not.
    pub(super) fn check_end(&self, end: u64) -> Result {
        self.check_size(end.max(self.size()))
    }

    /// Checks that the seals allow the file to have this size, in bytes.
    ///
    /// # Errors
    ///
    /// [`EPERM`] if they do not.
    pub(super) fn check_size(&self, size: u64) -> Result {
        let (old, seals) = (self.size(), self.seals());
        if size < old && seals.intersects(Seals::SHRINK)
            || size > old && seals.intersects(Seals::GROW)
        {
            return Err(EPERM);
        }
        Ok(())
    }

    /// Makes the file larger; does nothing if it is not smaller than `size`.
    ///
    /// What is in the page cache beyond the old end becomes part of the file.
    pub(super) fn grow(&self, size: u64) {
        if size > self.size() {
            // SAFETY: By the type invariants, this thread holds the lock of the inode, under which
            // the size is written.
            unsafe { bindings::i_size_write(self.inode(), size as i64) };
        }
    }

    /// Sets the size, and removes what is beyond it, from mappings as well.
    pub(super) fn truncate(&self, size: u64) {
        // SAFETY: By the type invariants, the inode is alive, and this thread holds its lock.
        unsafe { bindings::rust_memory_truncate(self.inode(), size as i64) };
    }

    /// Removes the pages that are entirely in the range, from mappings as well, and fills what else
    /// is in the range with zeroes.
    pub(super) fn punch_hole(&self, start: u64, end: u64) {
        let mapping = self.cache().as_ptr();
        // SAFETY: By the type invariants, the inode is alive. This thread holds the lock of the
        // inode; the one of the page cache comes after it.
        unsafe {
            bindings::filemap_invalidate_lock(mapping);
            bindings::truncate_pagecache_range(self.inode(), start as i64, end as i64 - 1);
            bindings::filemap_invalidate_unlock(mapping);
        }
    }

    /// Checks that a file may be this large, in bytes.
    ///
    /// # Errors
    ///
    /// [`EFBIG`] if not.
    pub(super) fn check_max_size(&self, size: u64) -> Result {
        // SAFETY: By the type invariants, the inode belongs to a file system.
        let max = unsafe { (*(*self.inode()).i_sb).s_maxbytes };
        if i64::try_from(size).is_ok_and(|size| size <= max) {
            Ok(())
        } else {
            Err(EFBIG)
        }
    }

    /// Checks that the process may make the file this large.
    ///
    /// # Errors
    ///
    /// [`EFBIG`] if the limits of the process or of the file system do not allow it. The limit of
    /// the process also sends `SIGXFSZ`.
    pub(super) fn check_limits(&self, size: u64) -> Result {
        let size = i64::try_from(size).map_err(|_| EFBIG)?;
        // SAFETY: By the type invariants, the inode is alive.
        to_result(unsafe { bindings::inode_newsize_ok(self.inode(), size) })
    }
}
