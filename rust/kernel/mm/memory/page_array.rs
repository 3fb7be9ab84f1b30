// SPDX-License-Identifier: GPL-2.0

//! Copying to and from memory that user space may have mapped.
//!
//! C code does all copying, because it may access memory that user space writes at the same time.
//! Rust code handles only pointers to the memory, and atomics: another reference to bytes that user
//! space writes would be undefined behaviour.

use crate::{
    bindings,
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    uaccess::{
        UserSliceReader,
        UserSliceWriter, //
    }, //
};
use core::ptr::{
    self,
    NonNull, //
};

/// A value that consists of pages.
///
/// # Safety
///
/// For as long as the value is borrowed:
///
/// - `page(i)` must be a valid page for every `i` below `nr_pages()`, and neither may change.
/// - No Rust reference to the contents of the pages may exist but to atomics.
pub(in crate::mm) unsafe trait PageArray {
    /// Returns the number of pages.
    fn nr_pages(&self) -> usize;

    /// Returns the page with the given index, or [`None`] if there is none.
    fn page(&self, index: usize) -> Option<NonNull<bindings::page>>;
}

/// Splits `len` bytes, starting at `offset`, at page boundaries, and calls `part` for each part.
///
/// `part` gets a page, an offset in it, and a number of bytes, which do not extend past the page.
/// It returns how many of them it has processed. The walk stops at the end of the array, or when
/// `part` returns less than it was given.
///
/// Returns the sum of what `part` has returned.
#[inline]
pub(super) fn for_each_part(
    array: &impl PageArray,
    offset: usize,
    len: usize,
    mut part: impl FnMut(NonNull<bindings::page>, usize, usize) -> usize,
) -> usize {
    let mut done = 0;

    while done < len {
        // An offset for which this overflows is past the end of every array.
        let Some(at) = offset.checked_add(done) else {
            break;
        };
        let Some(page) = array.page(at >> PAGE_SHIFT) else {
            break;
        };
        let in_page = at & (PAGE_SIZE - 1);
        let want = (PAGE_SIZE - in_page).min(len - done);
        let got = part(page, in_page, want);
        done += got;
        if got < want {
            break;
        }
    }
    done
}

/// Checks that `len` bytes, starting at `offset`, are inside the array.
///
/// # Errors
///
/// [`EINVAL`] if not.
pub(super) fn check(array: &impl PageArray, offset: usize, len: usize) -> Result {
    match offset.checked_add(len) {
        Some(end) if end <= array.nr_pages() << PAGE_SHIFT => Ok(()),
        _ => Err(EINVAL),
    }
}

/// Returns the page that has all of `len` bytes, starting at `offset`, and where in it they start.
///
/// Returns [`None`] if they are on more than one page, or not inside the array.
#[inline]
fn within_a_page(
    array: &impl PageArray,
    offset: usize,
    len: usize,
) -> Option<(NonNull<bindings::page>, usize)> {
    let at = offset & (PAGE_SIZE - 1);
    if len > PAGE_SIZE - at {
        return None;
    }
    Some((array.page(offset >> PAGE_SHIFT)?, at))
}

/// Copies bytes out of the pages.
///
/// # Errors
///
/// [`EINVAL`] if the range is not inside the array. Nothing is copied in that case.
#[inline]
pub(in crate::mm) fn read_at(array: &impl PageArray, offset: usize, out: &mut [u8]) -> Result {
    let Some((page, at)) = within_a_page(array, offset, out.len()) else {
        return read_parts(array, offset, out);
    };
    // SAFETY: `page` is a valid page, and the bytes of `out` from `at` on are inside it.
    unsafe {
        bindings::rust_mm_memcpy_from_page(out.as_mut_ptr().cast(), page.as_ptr(), at, out.len())
    };
    Ok(())
}

/// Copies bytes out of several pages: see [`read_at`].
#[inline(never)]
fn read_parts(array: &impl PageArray, offset: usize, out: &mut [u8]) -> Result {
    check(array, offset, out.len())?;
    let mut to = out.as_mut_ptr();
    for_each_part(array, offset, out.len(), |page, at, len| {
        // SAFETY:
        // - `page` is a valid page, and `at + len` is inside it.
        // - The parts add up to `out.len()` at most, so `to` is valid for `len` bytes.
        unsafe { bindings::rust_mm_memcpy_from_page(to.cast(), page.as_ptr(), at, len) };
        // SAFETY: The parts add up to `out.len()` at most, so the result is at most one past the
        // end of `out`.
        to = unsafe { to.add(len) };
        len
    });
    Ok(())
}

/// Copies bytes into the pages.
///
/// # Errors
///
/// [`EINVAL`] if the range is not inside the array. Nothing is copied in that case.
#[inline]
pub(in crate::mm) fn write_at(array: &impl PageArray, offset: usize, data: &[u8]) -> Result {
    let Some((page, at)) = within_a_page(array, offset, data.len()) else {
        return write_parts(array, offset, data);
    };
    // SAFETY: `page` is a valid page, and the bytes of `data` from `at` on are inside it. No Rust
    // reference to its contents exists but to atomics.
    unsafe {
        bindings::rust_mm_memcpy_to_page(page.as_ptr(), at, data.as_ptr().cast(), data.len())
    };
    Ok(())
}

/// Copies bytes into several pages: see [`write_at`].
#[inline(never)]
fn write_parts(array: &impl PageArray, offset: usize, data: &[u8]) -> Result {
    check(array, offset, data.len())?;
    let mut from = data.as_ptr();
    for_each_part(array, offset, data.len(), |page, at, len| {
        // SAFETY:
        // - `page` is a valid page, and `at + len` is inside it. No Rust reference to its contents
        //   exists but to atomics.
        // - The parts add up to `data.len()` at most, so `from` is valid for `len` bytes.
        unsafe { bindings::rust_mm_memcpy_to_page(page.as_ptr(), at, from.cast(), len) };
        // SAFETY: The parts add up to `data.len()` at most, so the result is at most one past the
        // end of `data`.
        from = unsafe { from.add(len) };
        len
    });
    Ok(())
}

/// Zeroes bytes of the pages.
///
/// # Errors
///
/// [`EINVAL`] if the range is not inside the array. Nothing is zeroed in that case.
pub(in crate::mm) fn zero(array: &impl PageArray, offset: usize, len: usize) -> Result {
    check(array, offset, len)?;
    for_each_part(array, offset, len, |page, at, len| {
        // SAFETY: `page` is a valid page, and `at + len` is inside it. No Rust reference to its
        // contents exists but to atomics.
        unsafe { bindings::rust_mm_memzero_page(page.as_ptr(), at, len) };
        len
    });
    Ok(())
}

/// Copies bytes from user space into the pages.
///
/// # Context
///
/// May fault in user memory, and so may sleep. The caller must hold neither the mmap lock nor a
/// lock that a fault handler takes: `from` may point into a mapping of the same pages.
///
/// # Errors
///
/// - [`EINVAL`] if the range is not inside the array. Nothing is copied in that case.
/// - [`EFAULT`] if `from` has less than `len` bytes, or user space cannot access some of them. The
///   pages may have been written in part.
pub(in crate::mm) fn copy_from_user(
    array: &impl PageArray,
    offset: usize,
    from: &mut UserSliceReader,
    len: usize,
) -> Result {
    check(array, offset, len)?;
    let done = for_each_part(array, offset, len, |page, at, len| {
        let copied = from.read_with(len, |from| {
            // SAFETY: `page` is a valid page, and `at + len` is inside it. No Rust reference to its
            // contents exists but to atomics.
            unsafe { bindings::rust_mm_copy_page_from_user(page.as_ptr(), at, from, len) }
        });
        copied.map_or(0, |()| len)
    });
    if done == len {
        Ok(())
    } else {
        Err(EFAULT)
    }
}

/// Copies `len` bytes, starting at `offset`, to user space.
///
/// # Context
///
/// As [`copy_from_user`].
///
/// # Errors
///
/// - [`EINVAL`] if the range is not inside the array. Nothing is copied in that case.
/// - [`EFAULT`] if `to` has less than `len` bytes, or user space cannot access some of them. Some
///   bytes may have been copied.
pub(in crate::mm) fn copy_to_user(
    array: &impl PageArray,
    offset: usize,
    to: &mut UserSliceWriter,
    len: usize,
) -> Result {
    check(array, offset, len)?;
    let done = for_each_part(array, offset, len, |page, at, len| {
        let copied = to.write_with(len, |to| {
            // SAFETY: `page` is a valid page, and `at + len` is inside it.
            unsafe { bindings::rust_mm_copy_page_to_user(page.as_ptr(), at, to, len) }
        });
        copied.map_or(0, |()| len)
    });
    if done == len {
        Ok(())
    } else {
        Err(EFAULT)
    }
}

/// Writes zeroes to user space.
///
/// # Context
///
/// As [`copy_from_user`].
///
/// # Errors
///
/// [`EFAULT`] if `to` has less than `len` bytes, or user space cannot access some of them. Some
/// bytes may have been written.
pub(in crate::mm) fn zero_user(to: &mut UserSliceWriter, len: usize) -> Result {
    // SAFETY: Without a page, C writes zeroes.
    to.write_with(len, |to| unsafe {
        bindings::rust_mm_copy_page_to_user(ptr::null_mut(), 0, to, len)
    })
}

/// Writes zeroes to user space, `len` bytes or up to the end of `iov`, and returns their number.
///
/// # Context
///
/// As [`copy_to_iter`].
pub(in crate::mm) fn zero_iter(iov: &mut IovIterDest<'_>, len: usize) -> usize {
    // SAFETY: `iov` is a valid iterator of a destination.
    unsafe { bindings::iov_iter_zero(len, iov.as_raw()) }
}

/// Copies bytes to user space, starting at `offset`, and returns their number.
///
/// Copies until the end of the array or of `iov`, or until an address that user space cannot
/// access.
///
/// # Context
///
/// May fault in user memory, and so may sleep. The caller must hold neither the mmap lock nor a
/// lock that a fault handler takes: `iov` may point into a mapping of the same pages.
pub(in crate::mm) fn copy_to_iter(
    array: &impl PageArray,
    offset: usize,
    iov: &mut IovIterDest<'_>,
) -> usize {
    for_each_part(array, offset, iov.len(), |page, at, len| {
        // SAFETY:
        // - `page` is a valid page, and `at + len` is inside it.
        // - `iov` is a valid iterator of a destination.
        unsafe { bindings::copy_page_to_iter(page.as_ptr(), at, len, iov.as_raw()) }
    })
}

/// Copies bytes from user space, starting at `offset`, and returns their number.
///
/// Copies until the end of the array or of `iov`, or until an address that user space cannot
/// access.
///
/// # Context
///
/// May fault in user memory, and so may sleep. The caller must hold neither the mmap lock nor a
/// lock that a fault handler takes: `iov` may point into a mapping of the same pages.
pub(in crate::mm) fn copy_from_iter(
    array: &impl PageArray,
    offset: usize,
    iov: &mut IovIterSource<'_>,
) -> usize {
    for_each_part(array, offset, iov.len(), |page, at, len| {
        // SAFETY:
        // - `page` is a valid page, and `at + len` is inside it. No Rust reference to its contents
        //   exists but to atomics.
        // - `iov` is a valid iterator of a source.
        unsafe { bindings::copy_page_from_iter(page.as_ptr(), at, len, iov.as_raw()) }
    })
}
