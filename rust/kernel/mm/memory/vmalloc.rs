// SPDX-License-Identifier: GPL-2.0

//! Memory of `vmalloc` as pages that can be mapped into user space.
//!
//! C header: [`include/linux/vmalloc.h`](srctree/include/linux/vmalloc.h)

use crate::{
    alloc::flags::__GFP_NOWARN,
    bindings,
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
/// - [`EINVAL`] if `len` is zero, or in an interrupt.
/// - [`ENOMEM`] if there is not enough memory.
///
/// # Safety
///
/// - `start` must be the start of memory of `vmalloc`, with at least `len` bytes, which user space
///   is permitted to see.
/// - The caller must no longer access the memory, and must free it, in the same context.
unsafe fn take_pages(start: *const u8, len: usize) -> Result<KernelPages> {
    let nr_pages = len.div_ceil(PAGE_SIZE);
    if nr_pages == 0 {
        return Err(EINVAL);
    }
    let mut pages =
        KVVec::<NonNull<bindings::page>>::with_capacity(nr_pages, GFP_KERNEL | __GFP_NOWARN)?;
    let array = pages.spare_capacity_mut().as_mut_ptr().cast();
    // SAFETY:
    // - By the safety requirements of this function, the memory has these pages.
    // - The vector has the capacity for their addresses.
    if !unsafe { bindings::rust_mm_vmalloc_get_pages(start.cast(), nr_pages, array) } {
        return Err(EINVAL);
    }
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
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the vector has no bytes, or in an interrupt.
    /// - [`ENOMEM`] if there is not enough memory for the array of pages. The vector is dropped in
    ///   that case.
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
        let len = vec.len() * size_of::<T>();
        // SAFETY:
        // - The elements of the vector are initialised, and have no padding: `T` is `IntoBytes`.
        //   If there are any bytes, they are at the start of memory of `vmalloc`.
        // - The vector is dropped below, which frees the memory. Its elements are `Copy`, so that
        //   nothing else is done with them.
        let pages = unsafe { take_pages(vec.as_ptr().cast(), len) };
        drop(vec);
        pages
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
    /// - [`EINVAL`] if the vector has no bytes, or in an interrupt.
    /// - [`ENOMEM`] if there is not enough memory. The vector is dropped in that case.
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
        let len = vec.len() * size_of::<T>();
        let start: *const u8 = vec.as_ptr().cast();
        // SAFETY: The function only compares the address.
        let pages = if unsafe { bindings::is_vmalloc_addr(start.cast()) } {
            // SAFETY:
            // - The elements of the vector are initialised, and have no padding: `T` is
            //   `IntoBytes`. The check above shows that they are at the start of memory of
            //   `vmalloc`.
            // - The vector is dropped below, which frees the memory. Its elements are `Copy`, so
            //   that nothing else is done with them.
            unsafe { take_pages(start, len) }
        } else {
            // SAFETY: The elements are initialised, have no padding, and are not changed while the
            // vector is borrowed. A vector without bytes has a pointer that is not null.
            let bytes = unsafe { core::slice::from_raw_parts(start, len) };
            KernelPages::new(len.div_ceil(PAGE_SIZE), GFP_KERNEL)
                .and_then(|pages| pages.write_at(0, bytes).map(|()| pages))
        };
        drop(vec);
        pages
    }
}
