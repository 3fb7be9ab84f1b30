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
    pub fn next_vma(&mut self) -> Result<Option<WalkItem<'_>>> {
        if self.range.is_empty() {
            return Ok(None);
        }
        let vma = match self.lock_next()? {
            Some(vma) if vma.start() < self.range.end => vma,
            _ => {
                self.range.start = self.range.end;
                return Ok(None);
            }
        };
        let range = vma.start().max(self.range.start)..vma.end().min(self.range.end);
        self.range.start = vma.end();
        Ok(Some(WalkItem { vma, range }))
    }

    /// Locks the first VMA that has an address in the range, or that is above it.
    // In `next_vma`, which is not generic: `find_vma` is exported to modules, but not what C calls.
    #[inline]
    fn lock_next(&mut self) -> Result<Option<StableVmaGuard<'a>>> {
        let (mm, addr) = (self.mm, self.range.start);

        #[cfg(CONFIG_PER_VMA_LOCK)]
        {
            let mut vma = core::ptr::null_mut();
            // INVARIANT: This is such a call.
            //
            // SAFETY:
            // - The mm has users, so its tree is alive.
            // - By the type invariants, `walk` has only been used with this mm. `range.start` is
            //   the end of the last VMA if there was one.
            let ret = unsafe {
                bindings::rust_mm_vma_walk_next(&mut self.walk, mm.as_raw(), addr, &mut vma)
            };
            match to_result(ret) {
                Ok(()) => {
                    return Ok(NonNull::new(vma).map(|vma| {
                        // SAFETY: C has locked the VMA, and the mm has users while it is borrowed.
                        unsafe { VmaReadGuard::from_locked(vma) }.into()
                    }));
                }
                // The VMA has too many readers: hold the mmap lock instead.
                Err(EAGAIN) => {}
                Err(err) => return Err(err),
            }
        }

        let guard = mm.mmap_read_lock_killable()?;
        // SAFETY: The mmap lock is held, and `find_vma` accepts any address.
        let vma = unsafe { bindings::find_vma(mm.as_raw(), addr) };
        Ok(NonNull::new(vma.cast::<VmaUnderMmap>()).map(|vma| {
            // SAFETY: `vma` was just found in the mm that `guard` locks.
            unsafe { StableVmaGuard::under_mmap_lock(vma, guard) }
        }))
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
