// SPDX-License-Identifier: GPL-2.0

//! Reading and writing memory files.
//!
//! Reading takes no lock: a folio that is found has contents, and a reference keeps it. Writing
//! takes the lock of the inode, and that of each folio.

use super::{
    inode::{
        LockedInode,
        MemoryInode, //
    },
    space::{
        alloc,
        keep_going, //
    },
};
use crate::{
    bindings,
    error::to_result,
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    mm::filemap::{
        CachedFolio,
        LockedCacheFolio, //
    },
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
};

/// Returns where in a folio of `len` bytes the byte at `pos` of the file is.
///
/// The first byte of a folio is at a multiple of its size.
#[inline]
fn offset_in(len: usize, pos: u64) -> usize {
    pos as usize & (len - 1)
}

/// Makes what user space has written through its mappings visible here, where caches have aliases.
///
/// # Safety
///
/// `folio` must be a folio of the page cache of `memory`, or have been one, to which the caller has
/// a reference.
#[inline]
unsafe fn flush_mapped(memory: &MemoryInode, folio: *mut bindings::folio) {
    // SAFETY: The page cache is alive while the inode is borrowed, and by the safety requirements
    // of this function, so is the folio.
    unsafe {
        if bindings::mapping_writably_mapped(memory.cache().as_ptr()) {
            bindings::flush_dcache_folio(folio);
        }
    }
}

/// Copies up to `len` bytes at `pos` out of a folio, and returns how many were copied.
///
/// # Errors
///
/// [`EIO`] if the memory is broken.
fn copy_to(
    folio: &CachedFolio<'_>,
    memory: &MemoryInode,
    pos: u64,
    len: usize,
    iov: &mut IovIterDest<'_>,
) -> Result<(usize, usize)> {
    folio.check_intact()?;
    let offset = offset_in(folio.len(), pos);
    let want = len.min(folio.len() - offset);
    // SAFETY: The reference keeps the folio alive, and its page cache is that of the inode.
    unsafe { flush_mapped(memory, folio.as_ptr()) };
    // SAFETY: The first page of a folio is where the folio is. The range is inside the folio, and
    // `iov` is a valid iterator of a destination.
    let done =
        unsafe { bindings::copy_page_to_iter(folio.as_ptr().cast(), offset, want, iov.as_raw()) };
    Ok((want, done))
}

/// Reads from `pos` on, until the end of the file or of `iov`, and returns the number of bytes.
///
/// Holes read as zeroes, and remain holes.
///
/// # Errors
///
/// If nothing was read:
///
/// - [`EFAULT`] if the destination cannot be written.
/// - [`EIO`] if the memory is broken.
pub(super) fn read(memory: &MemoryInode, start: u64, iov: &mut IovIterDest<'_>) -> Result<usize> {
    let mut total = 0;
    let mut error = None;

    while !iov.is_empty() {
        let pos = start + total as u64;
        let Some(left) = memory.size().checked_sub(pos).filter(|&left| left != 0) else {
            break;
        };
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(iov.len());
        let (want, done) = match memory.cache().get((pos >> PAGE_SHIFT) as usize) {
            Some(folio) => match copy_to(&folio, memory, pos, len, iov) {
                Ok(copied) => copied,
                Err(err) => {
                    error = Some(err);
                    break;
                }
            },
            None => {
                let want = len.min(PAGE_SIZE - offset_in(PAGE_SIZE, pos));
                // SAFETY: `iov` is a valid iterator of a destination.
                (want, unsafe {
                    bindings::rust_memory_read_hole(want, iov.as_raw())
                })
            }
        };
        total += done;
        if done < want {
            error = Some(EFAULT);
            break;
        }
        if let Err(err) = keep_going() {
            error = Some(err);
            break;
        }
    }
    match error {
        Some(err) if total == 0 => Err(err),
        _ => Ok(total),
    }
}

/// Copies up to `len` bytes to `pos` in a folio, and returns how many were copied.
///
/// Does not fault in the source: it may be a mapping of the same folio, which is locked.
///
/// # Errors
///
/// [`EIO`] if the memory is broken.
fn copy_from(
    folio: &LockedCacheFolio<'_>,
    memory: &MemoryInode,
    pos: u64,
    len: usize,
    iov: &mut IovIterSource<'_>,
) -> Result<usize> {
    folio.check_intact()?;
    let offset = offset_in(folio.len(), pos);
    let len = len.min(folio.len() - offset);
    // SAFETY: The folio is alive, and its page cache is that of the inode.
    unsafe { flush_mapped(memory, folio.as_ptr()) };
    // SAFETY: The range is inside the folio, and `iov` is a valid iterator of a source.
    let done =
        unsafe { bindings::copy_folio_from_iter_atomic(folio.as_ptr(), offset, len, iov.as_raw()) };
    // SAFETY: The folio is alive.
    unsafe { bindings::flush_dcache_folio(folio.as_ptr()) };
    if done != 0 {
        folio.mark_dirty();
    }
    Ok(done)
}

/// Fills a hole with bytes of the source, and returns how many were copied; 0 if it is no longer a
/// hole.
///
/// The folio is filled before other threads can see it, so this may fault in the source.
///
/// # Errors
///
/// - [`EFAULT`] if the source cannot be read.
/// - [`ENOMEM`] if there is not enough memory, also if the memory cgroup may not have more.
fn fill_hole(
    inode: &LockedInode<'_>,
    pos: u64,
    len: usize,
    iov: &mut IovIterSource<'_>,
) -> Result<usize> {
    let index = (pos >> PAGE_SHIFT) as usize;
    // Only whole pages are worth a large folio.
    let (folio, index) = alloc(inode, index, index..index + (len >> PAGE_SHIFT).max(1))?;
    let offset = (pos - ((index as u64) << PAGE_SHIFT)) as usize;
    let len = len.min(folio.len() - offset);
    let (folio, done) = folio.filled_from_iter(offset, len, iov)?;
    if done == 0 {
        return Err(EFAULT);
    }
    match inode.add(folio, index) {
        Ok(_locked) => Ok(done),
        Err((_, err)) => {
            // SAFETY: The iterator was advanced by that many bytes.
            unsafe { iov.revert(done) };
            if err == EEXIST {
                Ok(0)
            } else {
                Err(err)
            }
        }
    }
}

/// Writes up to `len` bytes to one folio, and returns how many; 0 if the caller should try again.
///
/// # Errors
///
/// As [`write`].
fn write_some(
    inode: &LockedInode<'_>,
    pos: u64,
    len: usize,
    iov: &mut IovIterSource<'_>,
) -> Result<usize> {
    let Some(folio) = inode.cache().get_locked((pos >> PAGE_SHIFT) as usize)? else {
        return fill_hole(inode, pos, len, iov);
    };
    let done = copy_from(&folio, inode, pos, len, iov)?;
    // The source can be faulted in only without the lock of the folio.
    drop(folio);
    if done == 0 {
        let want = len.min(PAGE_SIZE);
        // SAFETY: `iov` is a valid iterator of a source.
        if unsafe { bindings::fault_in_iov_iter_readable(iov.as_raw(), want) } == want {
            return Err(EFAULT);
        }
    }
    Ok(done)
}

/// Writes up to `len` bytes to `start` and what follows, and returns their number.
///
/// The caller has checked the seals and the limits. `iov` has at least `len` bytes.
///
/// # Errors
///
/// If nothing was written:
///
/// - [`EFAULT`] if the source cannot be read.
/// - [`EINTR`] if a fatal signal is pending.
/// - [`EIO`] if the memory is broken.
/// - [`ENOMEM`] if there is not enough memory, also if the memory cgroup may not have more.
pub(super) fn write(
    inode: &LockedInode<'_>,
    start: u64,
    len: usize,
    iov: &mut IovIterSource<'_>,
) -> Result<usize> {
    let mut total = 0;

    while total < len {
        let pos = start + total as u64;
        let result = write_some(inode, pos, len - total, iov).map(|done| {
            total += done;
            if done != 0 {
                inode.grow(pos + done as u64);
            }
        });
        if let Err(err) = result.and_then(|()| keep_going()) {
            return if total == 0 { Err(err) } else { Ok(total) };
        }
    }
    Ok(total)
}

/// `file_operations::read_iter`.
///
/// # Safety
///
/// C must be calling this for `kiocb`, whose file must be a memory file.
pub(super) unsafe extern "C" fn read_iter(
    kiocb: *mut bindings::kiocb,
    iter: *mut bindings::iov_iter,
) -> isize {
    // SAFETY: By the safety requirements of this function, `kiocb` is valid. Its file is a memory
    // file, which is not released meanwhile.
    let (file, memory) = unsafe {
        let file = (*kiocb).ki_filp;
        (file, MemoryInode::from_file(file))
    };
    // SAFETY: C passes a valid iterator to write to, which nothing else uses meanwhile.
    let iov = unsafe { IovIterDest::from_raw(iter) };
    // SAFETY: By the safety requirements of this function, `kiocb` is valid.
    let pos = unsafe { (*kiocb).ki_pos };
    // C does not call this with a negative position.
    let result = read(memory, pos as u64, iov);
    // SAFETY: The file is not released meanwhile.
    unsafe { bindings::file_accessed(file) };
    match result {
        Ok(done) => {
            // SAFETY: By the safety requirements of this function, `kiocb` is valid, and nothing
            // else accesses it.
            unsafe { (*kiocb).ki_pos = pos + done as i64 };
            done as isize
        }
        Err(err) => err.to_errno() as isize,
    }
}

/// Checks a write as other file systems do, and writes.
///
/// # Safety
///
/// As for [`write_iter`].
unsafe fn do_write_iter(
    kiocb: *mut bindings::kiocb,
    iter: *mut bindings::iov_iter,
) -> Result<usize> {
    // SAFETY: By the safety requirements of this function, `kiocb` is valid. Its file is a memory
    // file, which is not released meanwhile.
    let (file, memory) = unsafe {
        let file = (*kiocb).ki_filp;
        (file, MemoryInode::from_file(file))
    };
    let inode = memory.lock();
    // SAFETY: By the safety requirements of this function, `kiocb` and `iter` are those of a write.
    let len = unsafe { bindings::generic_write_checks(kiocb, iter) };
    if len <= 0 {
        return to_result(len as c_int).map(|()| 0);
    }
    // SAFETY: The file is not released meanwhile, and its inode is locked.
    to_result(unsafe { bindings::file_remove_privs(file) })?;
    // SAFETY: The file is not released meanwhile, and its inode is locked.
    to_result(unsafe { bindings::file_update_time(file) })?;
    // SAFETY: By the safety requirements of this function, `kiocb` is valid.
    let pos = unsafe { (*kiocb).ki_pos };
    let len = len as usize;
    inode.check_write_to(pos as u64 + len as u64)?;
    // SAFETY: C passes a valid iterator to read from, which nothing else uses meanwhile.
    let iov = unsafe { IovIterSource::from_raw(iter) };
    let done = write(&inode, pos as u64, len, iov)?;
    // SAFETY: By the safety requirements of this function, `kiocb` is valid, and nothing else
    // accesses it.
    unsafe { (*kiocb).ki_pos = pos + done as i64 };
    Ok(done)
}

/// `file_operations::write_iter`.
///
/// # Safety
///
/// C must be calling this for `kiocb`, whose file must be a memory file.
pub(super) unsafe extern "C" fn write_iter(
    kiocb: *mut bindings::kiocb,
    iter: *mut bindings::iov_iter,
) -> isize {
    // SAFETY: The safety requirements are the same.
    match unsafe { do_write_iter(kiocb, iter) } {
        Ok(done) => done as isize,
        Err(err) => err.to_errno() as isize,
    }
}
