// SPDX-License-Identifier: GPL-2.0

//! Copying to and from memory that user space may have mapped.
//!
//! All copying is done by C, to which the memory is plain memory that may change meanwhile. To
//! Rust it is only ever a pointer: a reference to bytes that user space writes would be undefined
//! behaviour.

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
    prelude::*, //
};
use core::ptr::NonNull;

/// Something that consists of pages.
///
/// # Safety
///
/// `page(i)` must be a valid page for every `i` below `nr_pages()`, for as long as the value is
/// borrowed, and neither may change. There must be no Rust reference to the pages' contents.
pub(in crate::mm) unsafe trait PageArray {
    /// Returns the number of pages.
    fn nr_pages(&self) -> usize;

    /// Returns the page with an index.
    fn page(&self, index: usize) -> Option<NonNull<bindings::page>>;
}

/// Walks over the parts of pages that make up `len` bytes from `offset` on, as far as the array
/// goes. Stops when `part` says that it did less than it was asked to; returns the sum.
///
/// `part` gets a page, the offset inside it, and the number of bytes there, of which none is beyond
/// the page.
#[inline]
fn for_each_part(
    array: &impl PageArray,
    offset: usize,
    len: usize,
    mut part: impl FnMut(NonNull<bindings::page>, usize, usize) -> usize,
) -> usize {
    let mut done = 0;

    while done < len {
        // An offset beyond the array, of which the sum might overflow, has no page.
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

/// Checks that `len` bytes from `offset` on are inside the array.
fn check(array: &impl PageArray, offset: usize, len: usize) -> Result {
    match offset.checked_add(len) {
        Some(end) if end <= array.nr_pages() << PAGE_SHIFT => Ok(()),
        _ => Err(EINVAL),
    }
}

/// Copies bytes out of the pages, or fails with `EINVAL` if not all are there.
pub(in crate::mm) fn read_at(array: &impl PageArray, offset: usize, out: &mut [u8]) -> Result {
    check(array, offset, out.len())?;
    let mut to = out.as_mut_ptr();
    for_each_part(array, offset, out.len(), |page, at, len| {
        // SAFETY:
        // - `page` is a valid page, and `at + len` is inside it.
        // - The parts add up to `out.len()` at most, so `to` is valid for `len` bytes.
        unsafe { bindings::rust_mm_memcpy_from_page(to.cast(), page.as_ptr(), at, len) };
        // SAFETY: As above, this is at most one past the end of `out`.
        to = unsafe { to.add(len) };
        len
    });
    Ok(())
}

/// Copies bytes into the pages, or fails with `EINVAL` if not all have a place.
pub(in crate::mm) fn write_at(array: &impl PageArray, offset: usize, data: &[u8]) -> Result {
    check(array, offset, data.len())?;
    let mut from = data.as_ptr();
    for_each_part(array, offset, data.len(), |page, at, len| {
        // SAFETY:
        // - `page` is a valid page, and `at + len` is inside it. No Rust reference to its contents
        //   exists.
        // - The parts add up to `data.len()` at most, so `from` is valid for `len` bytes.
        unsafe { bindings::rust_mm_memcpy_to_page(page.as_ptr(), at, from.cast(), len) };
        // SAFETY: As above, this is at most one past the end of `data`.
        from = unsafe { from.add(len) };
        len
    });
    Ok(())
}

/// Copies as much as there is, from `offset` on, and as `iov` takes. Returns how much.
///
/// # Context
///
/// May fault in user memory, hence sleeps. The caller must hold neither the mmap lock nor a lock that a
/// fault handler takes: the user memory may be a mapping of the same pages.
pub(in crate::mm) fn copy_to_iter(
    array: &impl PageArray,
    offset: usize,
    iov: &mut IovIterDest<'_>,
) -> usize {
    for_each_part(array, offset, iov.len(), |page, at, len| {
        // SAFETY: `page` is a valid page, `at + len` is inside it, and `iov` is a valid iterator to
        // write to.
        unsafe { bindings::copy_page_to_iter(page.as_ptr(), at, len, iov.as_raw()) }
    })
}

/// Copies as much as there is room for, from `offset` on, and as `iov` has. Returns how much.
///
/// # Context
///
/// May fault in user memory, hence sleeps. The caller must hold neither the mmap lock nor a lock that a
/// fault handler takes: the user memory may be a mapping of the same pages.
pub(in crate::mm) fn copy_from_iter(
    array: &impl PageArray,
    offset: usize,
    iov: &mut IovIterSource<'_>,
) -> usize {
    for_each_part(array, offset, iov.len(), |page, at, len| {
        // SAFETY: `page` is a valid page, `at + len` is inside it, and `iov` is a valid iterator to
        // read from. No Rust reference to the page's contents exists.
        unsafe { bindings::copy_page_from_iter(page.as_ptr(), at, len, iov.as_raw()) }
    })
}
