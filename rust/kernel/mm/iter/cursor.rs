// SPDX-License-Identifier: GPL-2.0

//! Iterating over VMAs while unmapping some of them.

use crate::{
    bindings,
    mm::{
        lock::MmapWriteGuard,
        vma::VmaUnderWrite, //
    },
    prelude::*, //
};
use core::ops::{
    Deref,
    Range, //
};

/// A cursor over the VMAs that overlap a range, which the caller may unmap on the way.
///
/// The cursor keeps only an address, from which each step searches again. It is not an
/// [`Iterator`]: the caller must drop an item before it gets the next one.
///
/// # Examples
///
/// ```
/// use kernel::{mm::testing::*, page::PAGE_SIZE};
///
/// let user = UserMm::attach()?;
/// let file = user.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
/// let addr = file.mmap(4 * PAGE_SIZE, READ, SHARED, 0)?;
///
/// // Leave only the first page of each VMA.
/// let mut guard = user.current().mmap_write_lock();
/// let mut cursor = guard.cursor(addr..addr + 4 * PAGE_SIZE);
/// while let Some(vma) = cursor.next_vma() {
///     if vma.len() > PAGE_SIZE {
///         let tail = vma.start() + PAGE_SIZE..vma.end();
///         vma.munmap(tail)?;
///     }
/// }
/// assert_eq!(guard.vma_lookup(addr).map(|vma| vma.len()), Some(PAGE_SIZE));
/// # Ok::<(), Error>(())
/// ```
pub struct VmaCursor<'g, 'mm> {
    guard: &'g mut MmapWriteGuard<'mm>,
    /// The part of the range that has not been searched.
    range: Range<usize>,
}

impl<'mm> MmapWriteGuard<'mm> {
    /// Returns a cursor over the VMAs that overlap a range.
    ///
    /// # Examples
    ///
    /// See [`VmaCursor`].
    pub fn cursor(&mut self, range: Range<usize>) -> VmaCursor<'_, 'mm> {
        VmaCursor { guard: self, range }
    }
}

impl<'mm> VmaCursor<'_, 'mm> {
    /// Returns the next VMA, or [`None`] at the end of the range.
    ///
    /// The search starts at the address at which the last VMA ended when it was returned.
    ///
    /// # Examples
    ///
    /// See [`VmaCursor`].
    pub fn next_vma(&mut self) -> Option<VmaCursorItem<'_, 'mm>> {
        if self.range.is_empty() {
            return None;
        }
        let mm = self.guard.mm().as_raw();
        // SAFETY: The mmap lock is held for writing, and `find_vma` accepts any address.
        let vma = unsafe { bindings::find_vma(mm, self.range.start) };
        if vma.is_null() {
            self.range.start = self.range.end;
            return None;
        }
        // SAFETY: `vma` is a VMA of this mm. It can be removed only through `&mut self.guard`,
        // which the result borrows.
        let vma = unsafe { VmaUnderWrite::from_raw(vma) };
        if vma.start() >= self.range.end {
            self.range.start = self.range.end;
            return None;
        }
        self.range.start = vma.end();
        // INVARIANT: `vma` is a VMA of the mm that `guard` locks, and nothing was unmapped since it
        // was found.
        Some(VmaCursorItem {
            vma,
            guard: self.guard,
        })
    }
}

/// A VMA that a [`VmaCursor`] has found.
///
/// # Invariants
///
/// `vma` is a VMA of the mm that `guard` locks, at least until something is unmapped through
/// `guard`.
pub struct VmaCursorItem<'c, 'mm> {
    vma: *const VmaUnderWrite,
    guard: &'c mut MmapWriteGuard<'mm>,
}

impl Deref for VmaCursorItem<'_, '_> {
    type Target = VmaUnderWrite;

    #[inline]
    fn deref(&self) -> &VmaUnderWrite {
        // SAFETY: By the type invariants, `vma` is valid until something is unmapped through
        // `guard`, which cannot happen while `self` is borrowed.
        unsafe { &*self.vma }
    }
}

impl VmaCursorItem<'_, '_> {
    /// Unmaps a part of the VMA, or all of it.
    ///
    /// The cursor continues at the address at which the VMA ended when it was returned.
    ///
    /// # Context
    ///
    /// As [`MmapWriteGuard::munmap`].
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the range is empty, is not page-aligned, or is not inside the VMA.
    /// - The errors of [`MmapWriteGuard::munmap`].
    ///
    /// # Examples
    ///
    /// See [`VmaCursor`].
    pub fn munmap(self, range: Range<usize>) -> Result {
        let len = range.end.checked_sub(range.start).ok_or(EINVAL)?;
        if !self.contains_pages(range.start, len) {
            return Err(EINVAL);
        }
        self.guard.munmap(range.start, len)
    }
}
