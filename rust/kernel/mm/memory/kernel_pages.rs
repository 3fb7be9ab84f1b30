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
        KVVec, //
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

/// A fixed array of pages, made to be mapped into user space.
///
/// The array is what [`VmaDesc::map_kernel_pages`] takes. It cannot change once it exists, because
/// the kernel reads it after the driver's `mmap_prepare` hook has returned. The *contents* of the
/// pages change at any time, since user space writes to them; that is why there is no way to get a
/// reference to the contents, only functions that copy.
///
/// Each page that is mapped is kept alive by its mapping as well, so dropping the array while user
/// space has it mapped is fine: the memory is freed with the last mapping.
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
/// // Across the border of two pages.
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

// SAFETY: A page may be freed on any thread, and nothing in the array belongs to a thread.
unsafe impl Send for KernelPages {}
// SAFETY: With a shared reference, the array is only read, and the contents of the pages are only
// copied, by C code that expects them to change meanwhile.
unsafe impl Sync for KernelPages {}

/// Returns a file position as an offset; one that is beyond every array as the largest there is.
fn position(pos: i64) -> Result<usize> {
    let pos = u64::try_from(pos).map_err(|_| EINVAL)?;
    Ok(usize::try_from(pos).unwrap_or(usize::MAX))
}

impl KernelPages {
    /// Allocates `nr_pages` pages, filled with zeroes.
    ///
    /// The pages are zeroed whatever `flags` says, since user space will see them. What
    /// [`alloc::flags`](crate::alloc::flags) has no name for is ignored.
    ///
    /// # Context
    ///
    /// Sleeps if `flags` allows it. As for any small allocation in C, `GFP_KERNEL` has the OOM killer
    /// make room before it fails.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `nr_pages` is zero, or so large that the size in bytes overflows.
    /// - [`ENOMEM`] if there is not enough memory; if the machine does not even have as much, this
    ///   is found before anything is allocated.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::KernelPages;
    ///
    /// assert!(KernelPages::new(0, GFP_KERNEL).is_err_and(|e| e == EINVAL));
    /// assert!(KernelPages::new(usize::MAX, GFP_KERNEL).is_err_and(|e| e == EINVAL));
    /// # #[cfg(CONFIG_64BIT)]
    /// assert!(KernelPages::new(usize::MAX >> 14, GFP_KERNEL).is_err_and(|e| e == ENOMEM));
    /// ```
    pub fn new(nr_pages: usize, flags: Flags) -> Result<Self> {
        if nr_pages == 0 || nr_pages > (isize::MAX as usize) >> PAGE_SHIFT {
            return Err(EINVAL);
        }
        // SAFETY: Reads a counter.
        if nr_pages > unsafe { bindings::totalram_pages() } {
            return Err(ENOMEM);
        }

        let flags = gfp::known(flags);

        // INVARIANT: Nothing is owned yet; each push adds a page together with its reference. The
        // value is not handed out before there are `nr_pages` pages, a number that was checked.
        let mut this = Self {
            // The array is the kernel's own, wherever the pages come from.
            pages: KVVec::with_capacity(nr_pages, flags & !__GFP_HIGHMEM | __GFP_NOWARN)?,
        };
        for _ in 0..nr_pages {
            let page = ManuallyDrop::new(Page::alloc_page(flags | __GFP_ZERO)?);
            // SAFETY: The pointer of a `Page` is not null.
            let page = unsafe { NonNull::new_unchecked(page.as_ptr()) };
            // Cannot fail, the capacity was reserved. If it did, one page would be lost.
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

    /// Returns `nr_pages` pages of the array, from index `first` on.
    ///
    /// # Errors
    ///
    /// [`ENXIO`] if the array does not have all of them, as `vm_map_pages` answers in C.
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
    /// What user space writes meanwhile is seen, or not, byte by byte.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is not inside the array; nothing has been copied then.
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
    /// # Errors
    ///
    /// [`EINVAL`] if the range is not inside the array; nothing has been copied then.
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
    /// Copies from position `*pos` on and moves it on. Returns the number of bytes, 0 at the end of
    /// the array.
    ///
    /// # Context
    ///
    /// May fault in user memory, hence sleeps. The caller must not hold the mmap lock, nor a lock that
    /// a [fault handler](crate::mm::ops::VmOperations::fault) takes: the user memory may be a mapping of
    /// the driver's own, whose fault handler would wait for its caller forever.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `*pos` is negative.
    /// - [`EFAULT`] if not one byte could be copied.
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
        // Cannot overflow: the sum is at most the length.
        *pos += done as i64;
        Ok(done)
    }

    /// Serves `write(2)` into the pages.
    ///
    /// Copies to position `*pos` on and moves it on. Returns the number of bytes, which is less
    /// than what user space gave where the array ends before.
    ///
    /// # Context
    ///
    /// May fault in user memory, hence sleeps. The caller must not hold the mmap lock, nor a lock that
    /// a [fault handler](crate::mm::ops::VmOperations::fault) takes: the user memory may be a mapping of
    /// the driver's own, whose fault handler would wait for its caller forever.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `*pos` is negative.
    /// - [`ENOSPC`] if `*pos` is at the end of the array or beyond.
    /// - [`EFAULT`] if not one byte could be copied.
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
        // Cannot overflow: the sum is at most the length.
        *pos += done as i64;
        Ok(done)
    }
}

// SAFETY: By the type invariants, the elements are valid pages and do not change. There is no way to
// get a reference to the contents of a page of the array.
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
    /// May sleep.
    fn drop(&mut self) {
        for page in &self.pages {
            // SAFETY: By the type invariants, the page is of order 0 and we own a reference, which
            // is not used after this.
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

    /// Fails with [`ENOMEM`] if one of the pages has too many references to be mapped once more. That is
    /// what `get_user_pages` answers then.
    pub(in crate::mm) fn check_mappable(&self) -> Result {
        // SAFETY: By the type invariants, these are valid pages.
        match unsafe {
            bindings::rust_mm_pages_may_be_mapped(self.as_page_array(), self.pages.len())
        } {
            true => Ok(()),
            false => Err(ENOMEM),
        }
    }

    /// Returns the array as C wants it. C only reads it, whatever the type says.
    #[inline]
    pub(in crate::mm) fn as_page_array(&self) -> *mut *mut bindings::page {
        self.pages.as_ptr().cast::<*mut bindings::page>().cast_mut()
    }
}
