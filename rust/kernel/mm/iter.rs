// SPDX-License-Identifier: GPL-2.0

//! Iterating over the VMAs of an mm.
//!
//! - Under the mmap lock, while no VMA is removed: [`MmapLocked`] has iterators and searches.
//! - Under the mmap write lock, unmapping on the way: [`VmaCursor`].
//! - Without the mmap lock, each VMA under its VMA lock: [`LockedWalk`].
//!
//! A range is one of addresses, with an exclusive end. It need not be page-aligned. `0..usize::MAX`
//! is the whole mm.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use super::{
    lock::MmapWriteGuard,
    vma::{
        StableVma,
        Traverse,
        VmaUnderMmap,
        VmaUnderWrite, //
    },
    MmapReadGuard, //
};
use crate::{
    bindings,
    ffi::c_void, //
};
use core::{
    iter::FusedIterator,
    marker::PhantomData,
    mem::MaybeUninit,
    ops::Range, //
};

mod cursor;
mod locked;

pub use cursor::{
    VmaCursor,
    VmaCursorItem, //
};
pub use locked::{
    LockedWalk,
    WalkItem, //
};

mod sealed {
    use crate::bindings;

    /// A guard of the mmap lock.
    ///
    /// # Safety
    ///
    /// While there is a reference to the guard, the current thread must hold the mmap lock of the
    /// mm that `raw_mm` returns, in the mode that the `View` stands for.
    pub unsafe trait Guard {
        fn raw_mm(&self) -> *mut bindings::mm_struct;
    }

    pub trait View {
        /// Returns the view of a VMA that a pointer from C points to.
        ///
        /// # Safety
        ///
        /// During `'a`, the VMA must be a part of an mm whose mmap lock the current thread holds in
        /// the mode that the view stands for.
        unsafe fn view<'a>(vma: *const bindings::vm_area_struct) -> &'a Self;
    }
}

/// A view of a VMA under the mmap lock: [`VmaUnderMmap`] or [`VmaUnderWrite`].
pub trait VmaView: sealed::View + Traverse {
    /// Returns the VMA as a view that has all getters.
    fn stable(&self) -> &StableVma;
}

impl sealed::View for VmaUnderMmap {
    #[inline]
    unsafe fn view<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // SAFETY: By the safety requirements of this function, the mmap lock is held during `'a`.
        unsafe { VmaUnderMmap::from_raw(vma) }
    }
}

impl sealed::View for VmaUnderWrite {
    #[inline]
    unsafe fn view<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // SAFETY: By the safety requirements of this function, the mmap lock is held for writing
        // during `'a`.
        unsafe { VmaUnderWrite::from_raw(vma) }
    }
}

impl VmaView for VmaUnderMmap {
    #[inline]
    fn stable(&self) -> &StableVma {
        self
    }
}

impl VmaView for VmaUnderWrite {
    #[inline]
    fn stable(&self) -> &StableVma {
        self
    }
}

// SAFETY: By its type invariants, the guard holds the mmap lock of `mm` for reading.
unsafe impl sealed::Guard for MmapReadGuard<'_> {
    #[inline]
    fn raw_mm(&self) -> *mut bindings::mm_struct {
        self.mm.as_raw()
    }
}

// SAFETY: By its type invariants, the guard holds the mmap lock of `mm()` for writing.
unsafe impl sealed::Guard for MmapWriteGuard<'_> {
    #[inline]
    fn raw_mm(&self) -> *mut bindings::mm_struct {
        self.mm().as_raw()
    }
}

impl MmapLocked for MmapReadGuard<'_> {
    type View = VmaUnderMmap;
}

impl MmapLocked for MmapWriteGuard<'_> {
    type View = VmaUnderWrite;
}

/// A guard that holds the mmap lock: [`MmapReadGuard`] or [`MmapWriteGuard`].
///
/// The views that it returns are borrowed from the guard, so no VMA can be removed while a view of
/// it exists.
///
/// # Examples
///
/// ```
/// use kernel::{mm::{iter::MmapLocked, testing::*}, page::PAGE_SIZE};
///
/// let user = UserMm::attach()?;
/// let file = user.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
/// let addr = file.mmap(4 * PAGE_SIZE, READ, SHARED, 0)?;
/// user.munmap(addr + PAGE_SIZE, PAGE_SIZE)?;
/// let all = addr..addr + 4 * PAGE_SIZE;
///
/// let guard = user.current().mmap_read_lock();
///
/// // Forward, and backward.
/// let mut vmas = guard.vmas(all.clone());
/// assert_eq!(vmas.next().map(|vma| vma.len()), Some(PAGE_SIZE));
/// assert_eq!(vmas.next().map(|vma| vma.len()), Some(2 * PAGE_SIZE));
/// assert!(vmas.next().is_none());
/// assert_eq!(guard.vmas(all.clone()).next_back().map(|vma| vma.pgoff()), Some(2));
///
/// // The gap between them.
/// let hole = addr + PAGE_SIZE..addr + 2 * PAGE_SIZE;
/// assert!(guard.gaps(all.clone()).eq([hole.clone()]));
///
/// // At or after an address, in a range, and with exactly a range.
/// assert_eq!(guard.find_vma(hole.start).map(|vma| vma.start()), Some(hole.end));
/// assert!(guard.find_vma_intersection(hole.clone()).is_none());
/// assert!(guard.find_exact_vma(hole.end..all.end).is_some());
/// assert!(guard.find_exact_vma(all).is_none());
/// # Ok::<(), Error>(())
/// ```
pub trait MmapLocked: sealed::Guard {
    /// The view of a VMA that the guard gives out.
    type View: VmaView;

    /// Returns an iterator over the VMAs that overlap a range, in the order of addresses.
    ///
    /// [`Iterator::rev`] reverses the order.
    fn vmas(&self, range: Range<usize>) -> Vmas<'_, Self::View> {
        let mm = self.raw_mm();
        let iter = |addr| {
            let mut iter = MaybeUninit::uninit();
            // SAFETY: `mm` is valid. C only writes the iterator, all of it.
            unsafe {
                bindings::vma_iter_init(iter.as_mut_ptr(), mm, addr);
                iter.assume_init()
            }
        };
        // INVARIANT: The iterators start at the two ends of the range, and have found nothing yet.
        // The guard holds the lock while `self` is borrowed.
        Vmas {
            front: iter(range.start),
            back: iter(range.end.saturating_sub(1)),
            range,
            _view: PhantomData,
        }
    }

    /// Returns an iterator over the parts of a range that are in no VMA, in the order of addresses.
    fn gaps(&self, range: Range<usize>) -> Gaps<'_, Self::View> {
        Gaps {
            rest: range.clone(),
            vmas: self.vmas(range),
        }
    }

    /// Returns the VMA at an address, or else the first VMA after it.
    fn find_vma(&self, addr: usize) -> Option<&Self::View> {
        // SAFETY: The mmap lock is held, and `find_vma` accepts any address.
        let vma = unsafe { bindings::find_vma(self.raw_mm(), addr) };
        // SAFETY: `vma` is a VMA of the mm whose mmap lock is held while `self` is borrowed.
        (!vma.is_null()).then(|| unsafe { sealed::View::view(vma) })
    }

    /// Returns the first VMA that overlaps a range.
    fn find_vma_intersection(&self, range: Range<usize>) -> Option<&Self::View> {
        if range.is_empty() {
            return None;
        }
        // SAFETY: The mmap lock is held, and `find_vma_intersection` accepts any range that is not
        // empty.
        let vma = unsafe { bindings::find_vma_intersection(self.raw_mm(), range.start, range.end) };
        // SAFETY: `vma` is a VMA of the mm whose mmap lock is held while `self` is borrowed.
        (!vma.is_null()).then(|| unsafe { sealed::View::view(vma) })
    }

    /// Returns the VMA that has exactly the given range, if there is one.
    fn find_exact_vma(&self, range: Range<usize>) -> Option<&Self::View> {
        self.find_vma(range.start).filter(|vma| {
            let found = vma.vma_range();
            found.start() == range.start && found.end() == range.end
        })
    }
}

/// An iterator over the VMAs that overlap a range, under the mmap lock.
///
/// See [`MmapLocked::vmas`].
///
/// # Invariants
///
/// - During `'g`, the mmap lock is held in the mode that `V` stands for, and no VMA is added or
///   removed, or changes its range.
/// - Of the VMAs in the range that the iterator was made for, `front` has found those below
///   `range.start`, `back` has found those from `range.end` on, and neither has found another.
pub struct Vmas<'g, V> {
    front: bindings::vma_iterator,
    back: bindings::vma_iterator,
    /// The part of the range that has not been searched.
    range: Range<usize>,
    _view: PhantomData<&'g V>,
}

impl<'g, V: VmaView> Vmas<'g, V> {
    /// Returns the view of a VMA that was found, or empties the range if there was none.
    ///
    /// # Safety
    ///
    /// `vma` must be null, or a VMA that one of the iterators has found.
    #[inline]
    unsafe fn found(&mut self, vma: *mut c_void) -> Option<&'g V> {
        if vma.is_null() {
            self.range.start = self.range.end;
            return None;
        }
        // SAFETY: By the safety requirements of this function and the type invariants, `vma` is a
        // VMA of the mm whose mmap lock is held during `'g`.
        Some(unsafe { V::view(vma.cast()) })
    }
}

impl<'g, V: VmaView> Iterator for Vmas<'g, V> {
    type Item = &'g V;

    fn next(&mut self) -> Option<&'g V> {
        if self.range.is_empty() {
            return None;
        }
        // SAFETY: By the type invariants, the mmap lock is held, and the tree has not changed since
        // the last call. The range is not empty, so its last address is `end - 1`.
        let vma = unsafe { bindings::mas_find(&raw mut self.front.mas, self.range.end - 1) };
        // SAFETY: The iterator has just found it.
        let vma = unsafe { self.found(vma) }?;
        // INVARIANT: `front` has found the VMA that ends at the new start.
        self.range.start = vma.vma_range().end();
        Some(vma)
    }
}

impl<V: VmaView> DoubleEndedIterator for Vmas<'_, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.range.is_empty() {
            return None;
        }
        // SAFETY: By the type invariants, the mmap lock is held, and the tree has not changed since
        // the last call.
        let vma = unsafe { bindings::mas_find_rev(&raw mut self.back.mas, self.range.start) };
        // SAFETY: The iterator has just found it.
        let vma = unsafe { self.found(vma) }?;
        // INVARIANT: `back` has found the VMA that starts at the new end.
        self.range.end = vma.vma_range().start();
        Some(vma)
    }
}

impl<V: VmaView> FusedIterator for Vmas<'_, V> {}

/// An iterator over the parts of a range that are in no VMA, under the mmap lock.
///
/// See [`MmapLocked::gaps`].
pub struct Gaps<'g, V> {
    vmas: Vmas<'g, V>,
    rest: Range<usize>,
}

impl<V: VmaView> Iterator for Gaps<'_, V> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        while !self.rest.is_empty() {
            let (end, next) = match self.vmas.next() {
                Some(vma) => (vma.vma_range().start(), vma.vma_range().end()),
                None => (self.rest.end, self.rest.end),
            };
            let gap = self.rest.start..end;
            self.rest.start = next;
            if !gap.is_empty() {
                return Some(gap);
            }
        }
        None
    }
}

impl<V: VmaView> FusedIterator for Gaps<'_, V> {}
