// SPDX-License-Identifier: GPL-2.0

//! Iterating over VMAs without the mmap lock.

use crate::{
    bindings,
    mm::{
        lock::StableVmaGuard,
        vma::VmaUnderMmap,
        MmWithUser, //
    },
    prelude::*,
    types::NotThreadSafe, //
};
use core::{
    ops::{
        Deref,
        Range, //
    },
    ptr::NonNull, //
};

#[cfg(CONFIG_PER_VMA_LOCK)]
use crate::{
    error::to_result,
    mm::VmaReadGuard, //
};

/// A walk over the VMAs that overlap a range, each under its VMA lock.
///
/// A thread that changes another part of the mm neither waits for the walk nor delays it. If a
/// thread is just changing the next VMA, the walk waits for it, by taking the mmap lock for a
/// moment. The walk holds RCU only within a step, so the caller may sleep between steps.
///
/// The mm may change during the walk. The walk finds memory once if it is mapped all the time; it
/// may find memory that is mapped or unmapped during the walk. If VMAs are split or merged, the
/// walk may find a VMA that starts before the end of the last one; [`WalkItem::range`] is the part
/// of it that is new. A gap between two items was a gap at some moment.
///
/// It is not an [`Iterator`]: the caller must drop an item, and so its VMA lock, before it gets the
/// next one. The next step may wait for the mmap lock while its holder waits for this item's VMA
/// lock.
///
/// # Examples
///
/// ```
/// use kernel::{mm::testing::*, page::PAGE_SIZE};
///
/// let user = UserMm::attach()?;
/// let file = user.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
/// let addr = file.mmap(4 * PAGE_SIZE, READ, SHARED, 0)?;
/// user.munmap(addr + PAGE_SIZE, PAGE_SIZE)?;
///
/// let mut pages = 0;
/// let mut walk = user.current().walk_locked(addr..addr + 4 * PAGE_SIZE);
/// while let Some(vma) = walk.next_vma()? {
///     assert!(vma.readable());
///     pages += vma.len() / PAGE_SIZE;
/// }
/// assert_eq!(pages, 3);
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// `walk` is what `rust_mm_vma_walk_next` has made of zero bytes, in calls for `mm`.
pub struct LockedWalk<'a> {
    mm: &'a MmWithUser,
    /// The part of the range that has not been searched.
    range: Range<usize>,
    #[cfg(CONFIG_PER_VMA_LOCK)]
    walk: bindings::rust_vma_walk,
    _not_send: NotThreadSafe,
}

impl MmWithUser {
    /// Returns a walk over the VMAs that overlap a range, without the mmap lock.
    ///
    /// # Examples
    ///
    /// See [`LockedWalk`].
    #[inline]
    pub fn walk_locked(&self, range: Range<usize>) -> LockedWalk<'_> {
        // INVARIANT: `walk` has zero bytes, and there was no call.
        LockedWalk {
            mm: self,
            range,
            #[cfg(CONFIG_PER_VMA_LOCK)]
            walk: pin_init::zeroed(),
            _not_send: NotThreadSafe,
        }
    }
}

impl<'a> LockedWalk<'a> {
    /// Locks and returns the next VMA, or returns [`None`] at the end of the range.
    ///
    /// # Context
    ///
    /// Sleeps. The caller must hold neither the mmap lock of the mm nor any VMA lock; see
    /// [the order of locks](crate::mm::lock#order).
    ///
    /// # Errors
    ///
    /// [`EINTR`] if a fatal signal is pending while the function waits for the mmap lock. The next
    /// call tries the same step again.
    ///
    /// # Examples
    ///
    /// See [`LockedWalk`].
    #[inline]
    pub fn next_vma(&mut self) -> Result<Option<WalkItem<'_>>> {
        if self.range.is_empty() {
            return Ok(None);
        }

        let vma = match self.lock_next() {
            Some(vma) => vma,
            None => match self.not_locked()? {
                Some(vma) => vma,
                None => return Ok(None),
            },
        };
        let (start, end) = (vma.start(), vma.end());
        let range = start.max(self.range.start)..end.min(self.range.end);
        // If the VMA is above the range, this leaves an empty one.
        self.range.start = end;
        if range.is_empty() {
            return Ok(None);
        }
        Ok(Some(WalkItem { vma, range }))
    }

    /// Locks the next VMA, also one above the range.
    ///
    /// Returns [`None`] if there is none, or if it cannot be locked.
    #[inline]
    fn lock_next(&mut self) -> Option<StableVmaGuard<'a>> {
        #[cfg(CONFIG_PER_VMA_LOCK)]
        {
            let (mm, addr) = (self.mm.as_raw(), self.range.start);
            // INVARIANT: This is such a call.
            //
            // SAFETY:
            // - The mm has users, so its tree is alive.
            // - By the type invariants, `walk` has only been used with this mm. `range.start` is
            //   the end of the last VMA if there was one.
            let vma = unsafe { bindings::rust_mm_vma_walk_next(&mut self.walk, mm, addr) };
            // SAFETY: C has locked the VMA, and the mm has users while it is borrowed.
            NonNull::new(vma).map(|vma| unsafe { VmaReadGuard::from_locked(vma) }.into())
        }

        #[cfg(not(CONFIG_PER_VMA_LOCK))]
        None
    }

    /// Finds the next VMA under the mmap lock, if it cannot be locked.
    ///
    /// Returns [`None`], and empties the range, if there is no VMA.
    #[cold]
    #[inline(never)]
    fn not_locked(&mut self) -> Result<Option<StableVmaGuard<'a>>> {
        #[cfg(CONFIG_PER_VMA_LOCK)]
        match to_result(self.walk.error) {
            Ok(()) => {
                self.range.start = self.range.end;
                return Ok(None);
            }
            // The VMA has too many readers: hold the mmap lock instead.
            Err(EAGAIN) => {}
            Err(err) => return Err(err),
        }

        let guard = self.mm.mmap_read_lock_killable()?;
        // SAFETY: The mmap lock is held, and `find_vma` accepts any address.
        let vma = unsafe { bindings::find_vma(self.mm.as_raw(), self.range.start) };
        let Some(vma) = NonNull::new(vma.cast::<VmaUnderMmap>()) else {
            self.range.start = self.range.end;
            return Ok(None);
        };
        // SAFETY: `vma` was just found in the mm that `guard` locks.
        Ok(Some(unsafe { StableVmaGuard::under_mmap_lock(vma, guard) }))
    }
}

/// A VMA that a [`LockedWalk`] has locked.
///
/// # Examples
///
/// See [`LockedWalk`].
#[must_use = "the lock is released when this is dropped"]
pub struct WalkItem<'w> {
    vma: StableVmaGuard<'w>,
    range: Range<usize>,
}

impl WalkItem<'_> {
    /// Returns the part of the VMA that is in the range of the walk, and that the walk has not
    /// found before.
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
    /// let middle = addr + PAGE_SIZE..addr + 2 * PAGE_SIZE;
    /// let mut walk = user.current().walk_locked(middle.clone());
    /// let vma = walk.next_vma()?.ok_or(EFAULT)?;
    /// assert_eq!((vma.start(), vma.range()), (addr, middle));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }
}

impl<'w> Deref for WalkItem<'w> {
    type Target = StableVmaGuard<'w>;

    #[inline]
    fn deref(&self) -> &StableVmaGuard<'w> {
        &self.vma
    }
}
