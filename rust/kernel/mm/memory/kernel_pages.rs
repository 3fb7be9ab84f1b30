// SPDX-License-Identifier: GPL-2.0

//! Arrays of pages that can be mapped into user space.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use crate::{
    alloc::{
        flags::{
            __GFP_HIGHMEM,
            __GFP_NOWARN,
            __GFP_ZERO, //
        },
        Flags,
        KVVec,
        NumaNode, //
    },
    bindings,
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    mm::memory::{
        gfp,
        page_array::{
            self,
            PageArray, //
        }, //
    },
    page::{
        Page,
        PAGE_SHIFT, //
    },
    prelude::*, //
};
use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};

/// A fixed array of pages that can be mapped into user space.
///
/// [`VmaDesc::map_kernel_pages`] takes such an array. It does not change after construction,
/// because the kernel reads it after the driver's `mmap_prepare` hook has returned. The *contents*
/// of the pages change at any time, since user space writes to them; so there are no references to
/// the contents, only functions that copy.
///
/// Each mapping holds references to its pages. So a driver may drop the array while user space has
/// it mapped: the kernel frees the memory with the last mapping.
///
/// # Invariants
///
/// - `pages` is not empty, and each element is a valid order-0 page, of which the array owns one
///   reference.
/// - `pages` is not modified after construction.
/// - `pages.len() << PAGE_SHIFT` does not overflow `isize`.
///
/// # Examples
///
/// ```
/// use kernel::{mm::KernelPages, page::PAGE_SIZE};
///
/// let pages = KernelPages::new(2, GFP_KERNEL)?;
/// assert_eq!(pages.len(), 2 * PAGE_SIZE);
///
/// // Across the boundary of two pages.
/// pages.write_at(PAGE_SIZE - 2, b"abcd")?;
/// let mut out = [0; 5];
/// pages.read_at(PAGE_SIZE - 3, &mut out)?;
/// assert_eq!(&out, b"\0abcd");
/// # Ok::<(), Error>(())
/// ```
///
/// [`VmaDesc::map_kernel_pages`]: crate::mm::desc::VmaDesc::map_kernel_pages
pub struct KernelPages {
    pages: KVVec<NonNull<bindings::page>>,
}

// SAFETY: Any thread may free a page, and nothing in the array is tied to a thread.
unsafe impl Send for KernelPages {}
// SAFETY: Through a shared reference, the array is only read, and C code that expects concurrent
// changes copies the contents of the pages.
unsafe impl Sync for KernelPages {}

/// Converts a file position into an offset.
///
/// A position that does not fit becomes `usize::MAX`, which is past the end of every array.
///
/// # Errors
///
/// [`EINVAL`] if `pos` is negative.
pub(in crate::mm) fn position(pos: i64) -> Result<usize> {
    let pos = u64::try_from(pos).map_err(|_| EINVAL)?;
    Ok(usize::try_from(pos).unwrap_or(usize::MAX))
}

impl KernelPages {
    /// Makes an array of pages.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if there is no page.
    ///
    /// # Safety
    ///
    /// - Each element must be a valid page of order 0, of which the caller owns a reference and
    ///   gives it up, even if the function fails.
    /// - No Rust reference to the contents of the pages may exist from now on but to atomics.
    /// - The size of the pages in bytes must not overflow `isize`.
    /// - User space must be permitted to see the contents.
    pub(super) unsafe fn from_references(pages: KVVec<NonNull<bindings::page>>) -> Result<Self> {
        if pages.is_empty() {
            return Err(EINVAL);
        }
        // INVARIANT: By the safety requirements of this function, the elements are valid pages,
        // each with a reference, and their size does not overflow `isize`.
        Ok(Self { pages })
    }

    /// Allocates `nr_pages` pages, filled with zeroes.
    ///
    /// The pages are zeroed with any `flags`, since user space will see them. Bits of `flags` for
    /// which [`alloc::flags`](crate::alloc::flags) has no name are ignored.
    ///
    /// # Context
    ///
    /// Sleeps if `flags` allows it. With `GFP_KERNEL`, the kernel runs the OOM killer before an
    /// allocation fails, as for any small allocation in C.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `nr_pages` is zero, or so large that the size in bytes overflows.
    /// - [`ENOMEM`] if there is not enough memory. If `nr_pages` is more than the machine has, the
    ///   function fails before it allocates anything.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::KernelPages, page::PAGE_SIZE};
    ///
    /// assert!(KernelPages::new(0, GFP_KERNEL).is_err_and(|e| e == EINVAL));
    /// assert!(KernelPages::new(usize::MAX, GFP_KERNEL).is_err_and(|e| e == EINVAL));
    /// let too_much = KernelPages::new(usize::MAX / PAGE_SIZE / 4, GFP_KERNEL);
    /// # #[cfg(CONFIG_64BIT)]
    /// assert!(too_much.is_err_and(|e| e == ENOMEM));
    /// ```
    pub fn new(nr_pages: usize, flags: Flags) -> Result<Self> {
        Self::new_on(NumaNode::NO_NODE, nr_pages, flags)
    }

    /// Allocates `nr_pages` pages on a node, filled with zeroes.
    ///
    /// If the node has no memory left, the kernel takes that of another node. [`new`](Self::new)
    /// leaves the choice to the memory policy of the task, and so does [`NumaNode::NO_NODE`]. The
    /// array itself is not on the node.
    ///
    /// # Context
    ///
    /// As [`new`](Self::new).
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and [`EINVAL`] if the node is not online.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{alloc::NumaNode, mm::KernelPages};
    ///
    /// let pages = KernelPages::new_on(NumaNode::new(0)?, 2, GFP_KERNEL)?;
    /// assert_eq!(pages.nr_pages(), 2);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new_on(node: NumaNode, nr_pages: usize, flags: Flags) -> Result<Self> {
        let nid = gfp::node(node)?;
        if nr_pages == 0 || nr_pages > (isize::MAX as usize) >> PAGE_SHIFT {
            return Err(EINVAL);
        }
        // SAFETY: `totalram_pages` only reads an atomic counter.
        if nr_pages > unsafe { bindings::totalram_pages() } {
            return Err(ENOMEM);
        }

        let flags = gfp::known(flags);

        // INVARIANT: The array is empty; each push adds a page together with its reference. `this`
        // is returned only with `nr_pages` pages, a number that was checked above.
        let mut this = Self {
            // The kernel accesses the array itself, so only the pages may be in high memory.
            pages: KVVec::with_capacity(nr_pages, flags & !__GFP_HIGHMEM | __GFP_NOWARN)?,
        };
        for _ in 0..nr_pages {
            let page = if node == NumaNode::NO_NODE {
                let page = ManuallyDrop::new(Page::alloc_page(flags | __GFP_ZERO)?);
                // SAFETY: The pointer of a `Page` is not null.
                unsafe { NonNull::new_unchecked(page.as_ptr()) }
            } else {
                let gfp = (flags | __GFP_ZERO).as_raw();
                // SAFETY: The flags are ones that callers may use, and the node is online.
                NonNull::new(unsafe { bindings::alloc_pages_node(nid, gfp, 0) }).ok_or(ENOMEM)?
            };
            // Cannot fail, since the capacity is reserved. A failure would leak one page.
            this.pages.push(page, flags)?;
        }
        Ok(this)
    }

    /// Returns the number of pages.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        self.pages.len()
    }

    /// Returns the size in bytes, which is never zero.
    #[expect(clippy::len_without_is_empty)]
    #[inline]
    pub fn len(&self) -> usize {
        self.pages.len() << PAGE_SHIFT
    }

    /// Returns `nr_pages` pages of the array, starting at index `first`.
    ///
    /// # Errors
    ///
    /// [`ENXIO`] if the array does not have all of them, as `vm_map_pages()` returns in C.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::KernelPages;
    ///
    /// let pages = KernelPages::new(4, GFP_KERNEL)?;
    /// assert_eq!(pages.slice(1, 3)?.nr_pages(), 3);
    /// assert!(pages.slice(1, 4).is_err_and(|e| e == ENXIO));
    /// assert!(pages.slice(usize::MAX, 2).is_err_and(|e| e == ENXIO));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn slice(&self, first: usize, nr_pages: usize) -> Result<KernelPagesSlice<'_>> {
        let end = first.checked_add(nr_pages).ok_or(ENXIO)?;
        let pages = self.pages.get(first..end).ok_or(ENXIO)?;
        // INVARIANT: A part of a `KernelPages`, borrowed for as long as the whole.
        Ok(KernelPagesSlice { pages })
    }

    /// Copies bytes out of the pages.
    ///
    /// If user space writes to the pages at the same time, each byte is either the old or the new
    /// one. Words are not whole: a `u64` that user space changes from one value to another can have
    /// bytes of both, on some processors. For an integer that user space and the driver share, use
    /// [`atomic`](Self::atomic); for a structure, [`read_record`](Self::read_record).
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is not inside the array. Nothing is copied in that case.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::KernelPages;
    ///
    /// let pages = KernelPages::new(1, GFP_KERNEL)?;
    /// let mut out = [1; 8];
    /// pages.read_at(pages.len() - 8, &mut out)?;
    /// assert_eq!(out, [0; 8]);
    /// assert_eq!(pages.read_at(pages.len() - 7, &mut out), Err(EINVAL));
    /// assert_eq!(pages.read_at(usize::MAX, &mut out), Err(EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn read_at(&self, offset: usize, out: &mut [u8]) -> Result {
        page_array::read_at(self, offset, out)
    }

    /// Copies bytes into the pages.
    ///
    /// User space can see a word that is written in part; see [`read_at`](Self::read_at).
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is not inside the array. Nothing is copied in that case.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::KernelPages;
    ///
    /// let pages = KernelPages::new(1, GFP_KERNEL)?;
    /// pages.write_at(0, b"hello")?;
    /// assert_eq!(pages.write_at(pages.len() - 4, b"hello"), Err(EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn write_at(&self, offset: usize, data: &[u8]) -> Result {
        page_array::write_at(self, offset, data)
    }

    /// Serves `read(2)` from the pages.
    ///
    /// Copies bytes from position `*pos`, and advances `*pos` by their number. Returns the number,
    /// which is 0 at the end of the array.
    ///
    /// # Context
    ///
    /// May fault in user memory, and so may sleep. The caller must hold neither the mmap lock nor a
    /// lock that a [fault handler](crate::mm::ops::VmOperations::fault) takes: `iov` may point into
    /// a mapping of the same driver, whose fault handler would wait forever for the caller's lock.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `*pos` is negative.
    /// - [`EFAULT`] if no byte could be copied.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{iov::IovIterDest, mm::KernelPages};
    ///
    /// /// The body of a driver's `read_iter`.
    /// fn read(pages: &KernelPages, pos: &mut i64, iov: &mut IovIterDest<'_>) -> Result<usize> {
    ///     pages.read_iter(pos, iov)
    /// }
    /// ```
    pub fn read_iter(&self, pos: &mut i64, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let offset = position(*pos)?;
        if offset >= self.len() {
            return Ok(0);
        }
        let wanted = !iov.is_empty();
        let done = page_array::copy_to_iter(self, offset, iov);
        if done == 0 && wanted {
            return Err(EFAULT);
        }
        // Cannot overflow: the sum is at most `self.len()`.
        *pos += done as i64;
        Ok(done)
    }

    /// Serves `write(2)` into the pages.
    ///
    /// Copies bytes to position `*pos`, and advances `*pos` by their number. Returns the number,
    /// which is less than the length of `iov` if the array ends before.
    ///
    /// # Context
    ///
    /// May fault in user memory, and so may sleep. The caller must hold neither the mmap lock nor a
    /// lock that a [fault handler](crate::mm::ops::VmOperations::fault) takes: `iov` may point into
    /// a mapping of the same driver, whose fault handler would wait forever for the caller's lock.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `*pos` is negative.
    /// - [`ENOSPC`] if `*pos` is at or past the end of the array.
    /// - [`EFAULT`] if no byte could be copied.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{iov::IovIterSource, mm::KernelPages};
    ///
    /// /// The body of a driver's `write_iter`.
    /// fn write(pages: &KernelPages, pos: &mut i64, iov: &mut IovIterSource<'_>) -> Result<usize> {
    ///     pages.write_iter(pos, iov)
    /// }
    /// ```
    pub fn write_iter(&self, pos: &mut i64, iov: &mut IovIterSource<'_>) -> Result<usize> {
        let offset = position(*pos)?;
        if iov.is_empty() {
            return Ok(0);
        }
        if offset >= self.len() {
            return Err(ENOSPC);
        }
        let done = page_array::copy_from_iter(self, offset, iov);
        if done == 0 {
            return Err(EFAULT);
        }
        // Cannot overflow: the sum is at most `self.len()`.
        *pos += done as i64;
        Ok(done)
    }
}

// SAFETY:
// - By the type invariants, the elements are valid pages, and the array does not change.
// - A `KernelPages` gives out no reference to the contents but to atomics.
unsafe impl PageArray for KernelPages {
    #[inline]
    fn nr_pages(&self) -> usize {
        KernelPages::nr_pages(self)
    }

    #[inline]
    fn page(&self, index: usize) -> Option<NonNull<bindings::page>> {
        self.pages.get(index).copied()
    }
}

impl Drop for KernelPages {
    /// Drops the reference to each page; may sleep.
    fn drop(&mut self) {
        for page in &self.pages {
            // SAFETY: By the type invariants, the page is of order 0 and the array owns a reference
            // to it, which is not used after this.
            unsafe { bindings::__free_pages(page.as_ptr(), 0) };
        }
    }
}

/// Some consecutive pages of a [`KernelPages`] array.
///
/// # Invariants
///
/// `pages` is a part of the `pages` of a [`KernelPages`] that is alive during `'a`.
#[derive(Clone, Copy)]
pub struct KernelPagesSlice<'a> {
    pages: &'a [NonNull<bindings::page>],
}

impl KernelPagesSlice<'_> {
    /// Returns the number of pages.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        self.pages.len()
    }

    /// Checks that each page has few enough references to be mapped again.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`] if a page has too many, as `get_user_pages()` returns in C.
    pub(in crate::mm) fn check_mappable(&self) -> Result {
        // SAFETY: By the type invariants, `pages` holds `pages.len()` valid pages.
        match unsafe {
            bindings::rust_mm_pages_may_be_mapped(self.as_page_array(), self.pages.len())
        } {
            true => Ok(()),
            false => Err(ENOMEM),
        }
    }

    /// Returns the array as the pointer type that C expects.
    ///
    /// The array must not be written through the pointer.
    #[inline]
    pub(in crate::mm) fn as_page_array(&self) -> *mut *mut bindings::page {
        self.pages.as_ptr().cast::<*mut bindings::page>().cast_mut()
    }
}
