// SPDX-License-Identifier: GPL-2.0

//! A kernel view of several pages in one piece.
//!
//! C header: [`include/linux/vmalloc.h`](srctree/include/linux/vmalloc.h)

use crate::{
    bindings,
    error::from_err_ptr,
    mm::memory::{
        KernelPages,
        KernelPagesSlice,
        SharedBytes, //
    },
    page::PAGE_SHIFT,
    prelude::*, //
};
use core::{
    ops::Deref,
    ptr::NonNull, //
};

/// Pages that the kernel sees at consecutive addresses.
///
/// The pages of [`KernelPages`] are anywhere in memory, and each access has to find its page first.
/// A `Vmap` makes one piece of them: records and integers can be at any aligned offset, in high
/// memory too, and a copy is a single one. It costs a mapping in the kernel's page tables.
///
/// The view holds references to the pages, so the driver may drop the [`KernelPages`] before it.
/// Its cache mode is that of the mappings of user space.
///
/// As with [`KernelPages`], user space may change the contents at any time. The methods of
/// [`SharedBytes`] access them.
///
/// # Context
///
/// A view may be dropped in any context but an NMI, and a section that must not block
/// (`non_block_start()`). It is gone at once where the kernel knows that the caller may sleep.
/// Otherwise, as always without `CONFIG_PREEMPT_COUNT`, a worker unmaps the pages later, and drops
/// the references to them.
///
/// # Invariants
///
/// `map` is a mapping that this value owns, and `bytes` are what it maps.
///
/// # Examples
///
/// ```
/// use kernel::{
///     mm::KernelPages,
///     page::PAGE_SIZE,
///     sync::atomic::{Acquire, Release}, //
/// };
///
/// let pages = KernelPages::new(3, GFP_KERNEL)?;
/// let view = pages.vmap()?;
/// assert_eq!(view.len(), 3 * PAGE_SIZE);
///
/// // Across the boundary of two pages.
/// let words = view.atomics::<u32>(PAGE_SIZE - 4, 2)?;
/// words[1].store(5, Release);
/// assert_eq!(pages.atomic::<u32>(PAGE_SIZE)?.load(Acquire), 5);
///
/// view.write_at(2 * PAGE_SIZE - 1, b"abc")?;
/// let mut out = [0; 3];
/// pages.read_at(2 * PAGE_SIZE - 1, &mut out)?;
/// assert_eq!(&out, b"abc");
/// # Ok::<(), Error>(())
/// ```
pub struct Vmap {
    map: NonNull<bindings::rust_mm_vmap>,
    bytes: SharedBytes,
}

// SAFETY: Any thread may access the mapping, and remove it.
unsafe impl Send for Vmap {}
// SAFETY: A shared reference only gives out the bytes.
unsafe impl Sync for Vmap {}

impl Vmap {
    /// Returns the number of pages, which is not zero.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        self.bytes.len() >> PAGE_SHIFT
    }
}

impl Deref for Vmap {
    type Target = SharedBytes;

    #[inline]
    fn deref(&self) -> &SharedBytes {
        &self.bytes
    }
}

impl Drop for Vmap {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, this value owns the mapping, which is not used again.
        unsafe { bindings::rust_mm_vunmap(self.map.as_ptr()) };
    }
}

impl KernelPages {
    /// Maps the pages at consecutive kernel addresses.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`ENOMEM`] if there is not enough memory, or not enough of the kernel's addresses; or if a
    ///   page has too many references.
    /// - [`EOPNOTSUPP`] if the cache of the processor can show user space other contents than the
    ///   view.
    ///
    /// # Examples
    ///
    /// See [`Vmap`].
    pub fn vmap(&self) -> Result<Vmap> {
        self.slice(0, self.nr_pages())?.vmap()
    }
}

impl KernelPagesSlice<'_> {
    /// Maps the pages at consecutive kernel addresses.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// As [`KernelPages::vmap`]; also [`EINVAL`] if there is no page.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::KernelPages, page::PAGE_SIZE};
    ///
    /// let pages = KernelPages::new(3, GFP_KERNEL)?;
    /// let view = pages.slice(1, 2)?.vmap()?;
    /// // The view remains after the array.
    /// pages.write_at(PAGE_SIZE, b"second")?;
    /// drop(pages);
    /// assert_eq!(view.read_record::<[u8; 6]>(0)?, *b"second");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn vmap(&self) -> Result<Vmap> {
        if self.nr_pages() == 0 {
            return Err(EINVAL);
        }
        self.check_mappable()?;
        let mut start = core::ptr::null_mut();
        // SAFETY: The array has that number of valid pages, which is not zero. `start` is valid for
        // writes.
        let map = unsafe {
            bindings::rust_mm_vmap(
                self.as_page_array().cast_const(),
                self.nr_pages(),
                &mut start,
            )
        };
        let map = NonNull::new(from_err_ptr(map)?).ok_or(ENOMEM)?;
        let start = NonNull::new(start.cast()).ok_or(ENOMEM)?;
        // INVARIANT: The mapping was just made, with that number of pages, and this value owns it.
        // No Rust reference to its contents exists but to atomics of other views.
        //
        // SAFETY: The bytes are valid until the mapping is removed.
        let bytes = unsafe { SharedBytes::new(start, self.nr_pages() << PAGE_SHIFT) };
        Ok(Vmap { map, bytes })
    }
}
