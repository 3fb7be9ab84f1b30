// SPDX-License-Identifier: GPL-2.0

//! What a memory file has allocated, and its size.

use super::{
    inode::{
        LockedInode,
        MemoryInode, //
    },
    Seals, //
};
use crate::{
    bindings,
    error::{
        from_result,
        to_result, //
    },
    mm::filemap::{
        Filled,
        LockedCacheFolio,
        NewFolio, //
    },
    page::PAGE_SHIFT,
    prelude::*,
};
use core::ops::Range;

/// The attributes of `struct iattr` that are handled here.
const ATTR_SIZE: c_uint = bindings::ATTR_SIZE;
const ATTR_MODE: c_uint = bindings::ATTR_MODE;
const TIMES: c_uint = bindings::ATTR_MTIME | bindings::ATTR_CTIME;

/// Lets other tasks run.
///
/// # Errors
///
/// [`EINTR`] if a fatal signal is pending.
#[inline]
pub(super) fn keep_going() -> Result {
    // SAFETY: All callers are in process context and may sleep.
    match unsafe { bindings::rust_mm_pgtable_cond_resched() } {
        true => Err(EINTR),
        false => Ok(()),
    }
}

/// Allocates a folio for the page with page offset `index`, and returns it with the page offset of
/// its first page.
///
/// The page is in `range`.
///
/// If the file may have large folios, it is the largest one that is inside `range`, where no page
/// is in the page cache, and for which there is memory. Otherwise it is one page.
///
/// # Errors
///
/// [`ENOMEM`] if there is not enough memory, also if the memory cgroup of `mm` may not have more.
///
/// # Safety
///
/// `mm` must be null, for that of the current task, or valid.
#[inline]
pub(super) unsafe fn alloc_for(
    memory: &MemoryInode,
    mm: *mut bindings::mm_struct,
    index: usize,
    range: Range<usize>,
) -> Result<(NewFolio, usize)> {
    if memory.is_huge() {
        let mut order = range.len().checked_ilog2().unwrap_or(0).min(MAX_ORDER);
        while order > 0 {
            let first = index & (usize::MAX << order);
            let len = 1 << order;
            // The range has `index`, so it does not end before `first`. The sum could overflow.
            if first >= range.start
                && range.end - first >= len
                && !memory.has_page(first..first + len)
            {
                // SAFETY: The safety requirements are the same.
                if let Ok(folio) = unsafe { memory.cache().alloc_for(mm, first, order) } {
                    return Ok((folio, first));
                }
            }
            order -= 1;
        }
    }
    // SAFETY: The safety requirements are the same.
    Ok((unsafe { memory.cache().alloc_for(mm, index, 0) }?, index))
}

/// Allocates a folio that the memory cgroup of the current task pays for.
///
/// # Errors
///
/// As [`alloc_for`].
pub(super) fn alloc(
    memory: &MemoryInode,
    index: usize,
    range: Range<usize>,
) -> Result<(NewFolio, usize)> {
    // SAFETY: The current task pays.
    unsafe { alloc_for(memory, core::ptr::null_mut(), index, range) }
}

/// The order of the largest folios: the size of a PMD mapping.
#[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
pub(super) const MAX_ORDER: u32 = bindings::PMD_SHIFT - PAGE_SHIFT as u32;
#[cfg(not(CONFIG_TRANSPARENT_HUGEPAGE))]
pub(super) const MAX_ORDER: u32 = 0;

impl LockedInode<'_> {
    /// Adds a folio to the page cache, also past the end of the file.
    ///
    /// # Errors
    ///
    /// As [`PageCache::add`](crate::mm::filemap::PageCache::add), but not [`EFAULT`].
    pub(super) fn add(
        &self,
        folio: NewFolio<Filled>,
        index: usize,
    ) -> core::result::Result<LockedCacheFolio<'_>, (NewFolio<Filled>, Error)> {
        // The inode is locked, so the file does not become smaller.
        self.cache().add_past_end(folio, index)
    }

    /// Allocates the pages of a range, filled with zeroes.
    ///
    /// What is allocated when this fails remains allocated.
    ///
    /// # Errors
    ///
    /// - [`EINTR`] if a fatal signal is pending.
    /// - [`ENOMEM`] if there is not enough memory, also if the memory cgroup may not have more.
    fn allocate(&self, range: Range<usize>) -> Result {
        let mut index = range.start;

        while index < range.end {
            if let Some(folio) = self.cache().get_locked(index)? {
                // What user space has allocated must not be reclaimed.
                folio.mark_dirty();
                index = folio.index() + folio.nr_pages();
            } else {
                let (folio, first) = alloc(self, index, index..range.end)?;
                match self.add(folio.zeroed(), first) {
                    Ok(folio) => {
                        folio.mark_dirty();
                        index = first + folio.nr_pages();
                    }
                    // A fault has added a page in between.
                    Err((_, err)) if err == EEXIST => {}
                    Err((_, err)) => return Err(err),
                }
            }
            keep_going()?;
        }
        Ok(())
    }

    /// Does what `fallocate(2)` asks for.
    ///
    /// # Errors
    ///
    /// See `fallocate(2)`.
    fn fallocate(&self, mode: c_uint, start: u64, len: u64) -> Result {
        let punch = mode & bindings::FALLOC_FL_PUNCH_HOLE != 0;
        let clear = punch || mode & bindings::FALLOC_FL_ZERO_RANGE != 0;
        let end = start + len;

        if clear {
            self.check_write()?;
        }
        if !punch {
            // Both also if the size is to be kept, as for a memfd.
            self.check_limits(end)?;
            self.check_end(end)?;
        }
        if clear {
            self.punch_hole(start, end);
        }
        if !punch {
            let pages = (start >> PAGE_SHIFT) as usize..((end - 1) >> PAGE_SHIFT) as usize + 1;
            self.allocate(pages)?;
            if mode & bindings::FALLOC_FL_KEEP_SIZE == 0 {
                self.grow(end);
            }
        }
        Ok(())
    }

    /// Sets the attributes that `attr` names.
    ///
    /// # Errors
    ///
    /// See `ftruncate(2)` and `fchmod(2)`.
    ///
    /// # Safety
    ///
    /// C must be calling `inode_operations::setattr` with these arguments, for this inode.
    unsafe fn setattr(
        &self,
        idmap: *mut bindings::mnt_idmap,
        dentry: *mut bindings::dentry,
        attr: *mut bindings::iattr,
    ) -> Result {
        // SAFETY: By the safety requirements of this function, the arguments are valid.
        to_result(unsafe { bindings::setattr_prepare(idmap, dentry, attr) })?;
        // SAFETY: By the safety requirements of this function, `attr` is valid, and nothing else
        // accesses it.
        let valid = unsafe { (*attr).ia_valid };
        if valid & ATTR_MODE != 0 && self.seals().intersects(Seals::EXEC) {
            // SAFETY: As `ATTR_MODE` is set, C has initialised the mode. The inode is locked.
            let changes = unsafe { (*self.inode()).i_mode ^ (*attr).ia_mode };
            if changes & 0o111 != 0 {
                return Err(EPERM);
            }
        }
        if valid & ATTR_SIZE != 0 {
            // SAFETY: As `ATTR_SIZE` is set, C has initialised the size.
            let size = unsafe { (*attr).ia_size as u64 };
            self.check_size(size)?;
            if size != self.size() {
                // SAFETY: By the safety requirements of this function, `attr` is valid, and nothing
                // else accesses it.
                unsafe { (*attr).ia_valid |= TIMES };
            }
            // Also if the size remains the same: there may be pages past the end.
            self.truncate(size);
        }
        // SAFETY: By the safety requirements of this function, the arguments are valid, and the
        // inode is locked.
        unsafe { bindings::setattr_copy(idmap, self.inode(), attr) };
        Ok(())
    }
}

/// `file_operations::fallocate`.
///
/// # Safety
///
/// C must be calling this for `file`, which must be a memory file.
pub(super) unsafe extern "C" fn fallocate(
    file: *mut bindings::file,
    mode: c_int,
    offset: i64,
    len: i64,
) -> c_long {
    const MODES: c_uint = bindings::FALLOC_FL_KEEP_SIZE
        | bindings::FALLOC_FL_PUNCH_HOLE
        | bindings::FALLOC_FL_ZERO_RANGE;

    let mode = mode as c_uint;
    if mode & !MODES != 0 {
        return EOPNOTSUPP.to_errno() as c_long;
    }
    // SAFETY: By the safety requirements of this function, the file is a memory file, which is not
    // released meanwhile.
    let inode = unsafe { MemoryInode::from_file(file) }.lock();
    // C has checked that neither is negative, and that the sum does not overflow.
    let result = inode
        .fallocate(mode, offset as u64, len as u64)
        // SAFETY: The file is not released meanwhile, and its inode is locked.
        .and_then(|()| to_result(unsafe { bindings::file_modified(file) }));
    match result {
        Ok(()) => 0,
        Err(err) => err.to_errno() as c_long,
    }
}

/// `inode_operations::setattr`.
///
/// # Safety
///
/// C must be calling this with these arguments, and the inode must be that of a memory file.
pub(super) unsafe extern "C" fn setattr(
    idmap: *mut bindings::mnt_idmap,
    dentry: *mut bindings::dentry,
    attr: *mut bindings::iattr,
) -> c_int {
    from_result(|| {
        // SAFETY: By the safety requirements of this function, the inode is that of a memory file,
        // and remains alive meanwhile.
        let memory = unsafe { MemoryInode::from_inode((*dentry).d_inode) };
        // SAFETY: The caller of `setattr` has locked the inode.
        let inode = unsafe { LockedInode::from_locked(memory) };
        // SAFETY: By the safety requirements of this function, C is calling `setattr` with these
        // arguments, for this inode.
        unsafe { inode.setattr(idmap, dentry, attr) }?;
        Ok(0)
    })
}

/// `file_operations::llseek`.
///
/// # Safety
///
/// C must be calling this for `file`, which must be a memory file.
pub(super) unsafe extern "C" fn llseek(
    file: *mut bindings::file,
    offset: i64,
    whence: c_int,
) -> i64 {
    if !matches!(whence as c_uint, bindings::SEEK_DATA | bindings::SEEK_HOLE) {
        // SAFETY: By the safety requirements of this function, the arguments are valid.
        return unsafe { bindings::generic_file_llseek(file, offset, whence) };
    }
    if offset < 0 {
        return i64::from(ENXIO.to_errno());
    }
    // SAFETY: By the safety requirements of this function, the file is a memory file, which is not
    // released meanwhile.
    let inode = unsafe { MemoryInode::from_file(file) }.lock();
    let size = inode.size() as i64;
    // SAFETY: The page cache is that of the inode, which is alive.
    let offset =
        unsafe { bindings::mapping_seek_hole_data(inode.cache().as_ptr(), offset, size, whence) };
    if offset < 0 {
        return offset;
    }
    // SAFETY: The file is not released meanwhile, and its inode belongs to a file system.
    unsafe { bindings::vfs_setpos(file, offset, (*(*inode.inode()).i_sb).s_maxbytes) }
}
