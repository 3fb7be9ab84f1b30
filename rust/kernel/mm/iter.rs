// SPDX-License-Identifier: GPL-2.0

//! Going through the VMAs of an mm.
//!
//! - Under the mmap lock, where nothing changes: [`MmapLocked`] has iterators and searches.
//! - Under the mmap lock, unmapping on the way: [`VmaCursor`].
//! - Without the mmap lock, one VMA after the other under its own: [`LockedWalk`].
//!
//! Ranges are of addresses, with an end that is exclusive. They need not be those of pages.
//! `0..usize::MAX` is everything.
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
    /// The lock of the mm that `raw_mm` returns must be held, in the mode that the `View`
    /// needs, while there is a reference to the guard.
    pub unsafe trait Guard {
        fn raw_mm(&self) -> *mut bindings::mm_struct;
    }

    pub trait View {
        /// # Safety
        ///
        /// During `'a`, the VMA must be a part of an mm whose mmap lock is held in the
        /// mode that the view stands for.
        unsafe fn view<'a>(vma: *const bindings::vm_area_struct) -> &'a Self;
    }
}

/// What a VMA looks like under the mmap lock: [`VmaUnderMmap`] or [`VmaUnderWrite`].
pub trait VmaView: sealed::View + Traverse {
    /// Returns the view with all readers.
    fn stable(&self) -> &StableVma;
}

impl sealed::View for VmaUnderMmap {
    #[inline]
    unsafe fn view<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // SAFETY: The mmap lock is held, says the caller.
        unsafe { VmaUnderMmap::from_raw(vma) }
    }
}

impl sealed::View for VmaUnderWrite {
    #[inline]
    unsafe fn view<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // SAFETY: The mmap lock is held for writing, says the caller.
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

// SAFETY: By its type invariants, the lock is held for reading.
unsafe impl sealed::Guard for MmapReadGuard<'_> {
    #[inline]
    fn raw_mm(&self) -> *mut bindings::mm_struct {
        self.mm.as_raw()
    }
}

// SAFETY: By its type invariants, the lock is held for writing.
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
/// What it finds is borrowed from the guard, so it is there as long as nothing can change.
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
/// // What is between them.
/// let hole = addr + PAGE_SIZE..addr + 2 * PAGE_SIZE;
/// assert!(guard.gaps(all.clone()).eq([hole.clone()]));
///
/// // At an address or after it, in a range, and exactly there.
/// assert_eq!(guard.find_vma(hole.start).map(|vma| vma.start()), Some(hole.end));
/// assert!(guard.find_vma_intersection(hole.clone()).is_none());
/// assert!(guard.find_exact_vma(hole.end..all.end).is_some());
/// assert!(guard.find_exact_vma(all).is_none());
/// # Ok::<(), Error>(())
/// ```
pub trait MmapLocked: sealed::Guard {
    /// The view of a VMA that the guard gives out.
    type View: VmaView;

    /// The VMAs that are in a range at least in part, by address. [`Iterator::rev`] goes backward.
    fn vmas(&self, range: Range<usize>) -> Vmas<'_, Self::View> {
        let mm = self.raw_mm();
        let iter = |addr| {
            let mut iter = bindings::vma_iterator::default();
            // SAFETY: `mm` is valid; only the iterator is written.
            unsafe { bindings::vma_iter_init(&raw mut iter, mm, addr) };
            iter
        };
        // INVARIANT: Both start at an end of the range; the lock is held while `self` is borrowed.
        Vmas {
            front: iter(range.start),
            back: iter(range.end.saturating_sub(1)),
            range,
            _view: PhantomData,
        }
    }

    /// The parts of a range that no VMA is in, by address.
    fn gaps(&self, range: Range<usize>) -> Gaps<'_, Self::View> {
        Gaps {
            rest: range.clone(),
            vmas: self.vmas(range),
        }
    }

    /// The VMA at an address, or else the first after it.
    fn find_vma(&self, addr: usize) -> Option<&Self::View> {
        // SAFETY: The lock is held; any value will do for `addr`.
        let vma = unsafe { bindings::find_vma(self.raw_mm(), addr) };
        // SAFETY: A VMA of the mm whose lock is held while `self` is borrowed.
        (!vma.is_null()).then(|| unsafe { sealed::View::view(vma) })
    }

    /// The first VMA that is in a range at least in part.
    fn find_vma_intersection(&self, range: Range<usize>) -> Option<&Self::View> {
        self.vmas(range).next()
    }

    /// The VMA that has exactly this range.
    fn find_exact_vma(&self, range: Range<usize>) -> Option<&Self::View> {
        self.find_vma(range.start).filter(|vma| {
            let found = vma.vma_range();
            found.start() == range.start && found.end() == range.end
        })
    }
}

/// An iterator over the VMAs in a range, under the mmap lock. See [`MmapLocked::vmas`].
///
/// # Invariants
///
/// During `'g`, the mmap lock is held in the mode that `V` stands for, and no VMA is changed.
/// `front` has found the VMAs below `range.start`, and `back` those from `range.end` on, and nothing
/// else.
pub struct Vmas<'g, V> {
    front: bindings::vma_iterator,
    back: bindings::vma_iterator,
    /// What is left.
    range: Range<usize>,
    _view: PhantomData<&'g V>,
}

impl<'g, V: VmaView> Vmas<'g, V> {
    /// # Safety
    ///
    /// `vma` must be null, or a VMA that one of the iterators has found.
    #[inline]
    unsafe fn found(&mut self, vma: *mut c_void) -> Option<&'g V> {
        if vma.is_null() {
            self.range.start = self.range.end;
            return None;
        }
        // SAFETY: It is a VMA of the mm whose lock is held during `'g`.
        Some(unsafe { V::view(vma.cast()) })
    }
}

impl<'g, V: VmaView> Iterator for Vmas<'g, V> {
    type Item = &'g V;

    fn next(&mut self) -> Option<&'g V> {
        if self.range.is_empty() {
            return None;
        }
        // SAFETY: By the type invariants, the lock is held, and nothing has changed since the last
        // time. The range is not empty.
        let vma = unsafe { bindings::mas_find(&raw mut self.front.mas, self.range.end - 1) };
        // SAFETY: Just found.
        let vma = unsafe { self.found(vma) }?;
        // INVARIANT: `front` has found it now.
        self.range.start = vma.vma_range().end();
        Some(vma)
    }
}

impl<V: VmaView> DoubleEndedIterator for Vmas<'_, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.range.is_empty() {
            return None;
        }
        // SAFETY: By the type invariants, the lock is held, and nothing has changed since the last
        // time.
        let vma = unsafe { bindings::mas_find_rev(&raw mut self.back.mas, self.range.start) };
        // SAFETY: Just found.
        let vma = unsafe { self.found(vma) }?;
        // INVARIANT: `back` has found it now.
        self.range.end = vma.vma_range().start();
        Some(vma)
    }
}

impl<V: VmaView> FusedIterator for Vmas<'_, V> {}

/// An iterator over what is free in a range, under the mmap lock. See [`MmapLocked::gaps`].
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
