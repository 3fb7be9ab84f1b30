// SPDX-License-Identifier: GPL-2.0

//! Memory of `vmalloc` as pages that can be mapped into user space.
//!
//! C header: [`include/linux/vmalloc.h`](srctree/include/linux/vmalloc.h)

use crate::{
    alloc::{
        flags::__GFP_NOWARN,
        Allocator, //
    },
    bindings,
    error::to_result,
    mm::memory::{
        page_array,
        KernelPages, //
    },
    page::PAGE_SIZE,
    prelude::*, //
};
use core::ptr::NonNull;
use zerocopy::IntoBytes;

/// Takes references to the pages of `len` bytes of `vmalloc` memory, and zeroes the rest of the
/// last page.
///
/// # Errors
///
/// [`ENOMEM`] if there is not enough memory.
///
/// # Safety
///
/// - `start` must be the start of memory of `vmalloc`, with at least `len` bytes, which user space
///   is permitted to see. `len` must not be zero.
/// - `rust_mm_vmalloc_check` must have returned 1 for `start`, in the same context.
/// - The caller must no longer access the memory, and must free it, in the same context.
unsafe fn take_pages(start: *const u8, len: usize) -> Result<KernelPages> {
    let nr_pages = len.div_ceil(PAGE_SIZE);
    let mut pages =
        KVVec::<NonNull<bindings::page>>::with_capacity(nr_pages, GFP_KERNEL | __GFP_NOWARN)?;
    let array = pages.spare_capacity_mut().as_mut_ptr().cast();
    // SAFETY:
    // - By the safety requirements of this function, the memory has these pages, and the check has
    //   returned 1 for it.
    // - The vector has the capacity for their addresses.
    unsafe { bindings::rust_mm_vmalloc_get_pages(start.cast(), nr_pages, array) };
    // SAFETY: The vector has the capacity, and its elements were just set to pages, which are not
    // null.
    unsafe { pages.inc_len(nr_pages) };
    // SAFETY:
    // - The elements are valid pages of order 0, each with a reference that was just taken. They
    //   hold `len` bytes, which is at most `isize::MAX`, as in any vector; up to the last page.
    // - By the safety requirements of this function, the caller does not access the memory, and
    //   user space is permitted to see the bytes of the caller. The others are zeroed below.
    let pages = unsafe { KernelPages::from_references(pages) }?;
    page_array::zero(&pages, len, pages.len() - len)?;
    Ok(pages)
}

/// Makes pages with the contents of memory: its own pages if they can be taken.
///
/// # Errors
///
/// - [`EINVAL`] if `len` is zero, or in an interrupt.
/// - [`ENOMEM`] if there is not enough memory.
///
/// # Safety
///
/// - If `len` is not zero, `start` must be the start of memory of `kmalloc` or `vmalloc`, with at
///   least `len` bytes, which are initialised. User space must be permitted to see them.
/// - The caller must no longer access the memory, and must free it, in the same context.
unsafe fn pages_of(start: *const u8, len: usize) -> Result<KernelPages> {
    if len == 0 {
        return Err(EINVAL);
    }
    // SAFETY: The function only compares the address.
    let can_take = unsafe { bindings::rust_mm_vmalloc_check(start.cast()) };
    to_result(can_take)?;
    if can_take != 0 {
        // SAFETY:
        // - By the safety requirements of this function, the memory has `len` bytes, which user
        //   space is permitted to see, and the check has returned that it is of `vmalloc`.
        // - By the same requirements, the caller does not access it, and frees it, in this context.
        return unsafe { take_pages(start, len) };
    }
    // SAFETY: By the safety requirements of this function, the bytes are initialised, and nothing
    // changes them meanwhile.
    let bytes = unsafe { core::slice::from_raw_parts(start, len) };
    let pages = KernelPages::new(len.div_ceil(PAGE_SIZE), GFP_KERNEL)?;
    pages.write_at(0, bytes)?;
    Ok(pages)
}

/// Makes pages of the memory of a vector: see [`KernelPages::from_vvec`].
fn pages_of_vec<T: IntoBytes + Copy, A: Allocator>(vec: Vec<T, A>) -> Result<KernelPages> {
    let len = vec.len() * size_of::<T>();
    // SAFETY:
    // - The elements of the vector are initialised, and have no padding: `T` is `IntoBytes`. If
    //   there are any bytes, they are at the start of what the allocator has returned: the callers
    //   have those of `vmalloc`, and of `kmalloc` or `vmalloc`.
    // - The vector is dropped below, which frees the memory. Its elements are `Copy`, so that
    //   nothing else is done with them.
    let pages = unsafe { pages_of(vec.as_ptr().cast(), len) };
    drop(vec);
    pages
}

/// Memory of `vmalloc`, which becomes pages that can be mapped, without a copy.
///
/// This is the counterpart of `remap_vmalloc_range()`. The functions consume the vector: from then
/// on, user space can write the memory, so there must be no reference to its elements. The pages
/// have reference counts like all [`KernelPages`], and remain for as long as a mapping needs them.
/// [`KernelPages::vmap`] makes a view of them in one piece.
///
/// User space sees whole pages. So the elements of the vector must not have padding, and the layer
/// zeroes what is after the last element in the last page. Pages that have no element, because the
/// capacity of the vector is larger, are freed.
impl KernelPages {
    /// Makes pages of the memory of a vector.
    ///
    /// On a 32-bit machine, memory of `vmalloc` can be high memory, which has no address for
    /// [`atomic`](Self::atomic): use a [`Vmap`](crate::mm::Vmap) of the pages there.
    ///
    /// Where a cache can show different contents at two addresses, the elements are copied to new
    /// pages.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the vector has no bytes, or in an interrupt, or where softirqs are disabled.
    /// - [`ENOMEM`] if there is not enough memory for the array of pages, or for a copy.
    ///
    /// The vector is dropped in these cases.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::KernelPages, page::PAGE_SIZE};
    ///
    /// let mut table = VVec::<u32>::with_capacity(1500, GFP_KERNEL)?;
    /// for i in 0..1500 {
    ///     table.push(i * i, GFP_KERNEL)?;
    /// }
    /// let pages = KernelPages::from_vvec(table)?;
    /// assert_eq!(pages.nr_pages(), (1500 * 4usize).div_ceil(PAGE_SIZE));
    /// assert_eq!(pages.read_record::<u32>(1499 * 4)?, 1499 * 1499);
    /// assert_eq!(pages.read_record::<u32>(1500 * 4)?, 0);
    ///
    /// assert!(KernelPages::from_vvec(VVec::<u32>::new()).is_err_and(|e| e == EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn from_vvec<T: IntoBytes + Copy>(vec: VVec<T>) -> Result<Self> {
        pages_of_vec(vec)
    }

    /// Makes pages of the memory of a vector.
    ///
    /// As [`from_vvec`](Self::from_vvec); but memory of a `KVVec` can also be memory of `kmalloc`,
    /// which user space must not map: then the elements are copied to new pages.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// As [`from_vvec`](Self::from_vvec).
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::KernelPages, page::PAGE_SIZE};
    ///
    /// let mut vec = KVVec::new();
    /// vec.extend_from_slice(b"of kmalloc", GFP_KERNEL)?;
    /// let pages = KernelPages::from_kvvec(vec)?;
    /// assert_eq!(pages.nr_pages(), 1);
    /// assert_eq!(pages.read_record::<[u8; 12]>(0)?, *b"of kmalloc\0\0");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn from_kvvec<T: IntoBytes + Copy>(vec: KVVec<T>) -> Result<Self> {
        pages_of_vec(vec)
    }
}
