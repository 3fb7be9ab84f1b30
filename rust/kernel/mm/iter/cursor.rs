// SPDX-License-Identifier: GPL-2.0

//! Going through VMAs that are unmapped on the way.

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

/// Goes through the VMAs in a range, which may change meanwhile.
///
/// It keeps nothing but an address, at which it looks anew in each step. It is no [`Iterator`]: an
/// item must be gone before there can be the next.
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
/// // Unmap what is too long.
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
    /// What is left.
    range: Range<usize>,
}

impl<'mm> MmapWriteGuard<'mm> {
    /// Returns a cursor over the VMAs that are in a range at least in part.
    ///
    /// # Examples
    ///
    /// See [`VmaCursor`].
    pub fn cursor(&mut self, range: Range<usize>) -> VmaCursor<'_, 'mm> {
        VmaCursor { guard: self, range }
    }
}

impl<'mm> VmaCursor<'_, 'mm> {
    /// Returns the next VMA, behind what the last one was.
    ///
    /// # Examples
    ///
    /// See [`VmaCursor`].
    pub fn next_vma(&mut self) -> Option<VmaCursorItem<'_, 'mm>> {
        if self.range.is_empty() {
            return None;
        }
        let mm = self.guard.mm().as_raw();
        // SAFETY: The lock is held for writing.
        let vma = unsafe { bindings::find_vma(mm, self.range.start) };
        if vma.is_null() {
            self.range.start = self.range.end;
            return None;
        }
        // SAFETY: A VMA of this mm, which stays until something takes the guard by
        // `&mut`. It is borrowed by the result, which is the only way to it.
        let vma = unsafe { VmaUnderWrite::from_raw(vma) };
        if vma.start() >= self.range.end {
            self.range.start = self.range.end;
            return None;
        }
        self.range.start = vma.end();
        // INVARIANT: As above.
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
/// `vma` is a VMA of the mm whose lock `guard` is, at least until something is unmapped
/// through `guard`.
pub struct VmaCursorItem<'c, 'mm> {
    vma: *const VmaUnderWrite,
    guard: &'c mut MmapWriteGuard<'mm>,
}

impl Deref for VmaCursorItem<'_, '_> {
    type Target = VmaUnderWrite;

    #[inline]
    fn deref(&self) -> &VmaUnderWrite {
        // SAFETY: By the type invariants. Nothing is unmapped as long as `self` is borrowed.
        unsafe { &*self.vma }
    }
}

impl VmaCursorItem<'_, '_> {
    /// Unmaps a part of the VMA, or all of it.
    ///
    /// The cursor goes on behind the VMA as it was.
    ///
    /// # Context
    ///
    /// As [`MmapWriteGuard::munmap`].
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is not whole pages, or none, or not all in the VMA. And as
    /// [`MmapWriteGuard::munmap`].
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
