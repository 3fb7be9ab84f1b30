// SPDX-License-Identifier: GPL-2.0

//! Going through VMAs without the mmap lock.

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
    error::from_err_ptr,
    mm::VmaReadGuard,
    sync::rcu, //
};

/// Goes through the VMAs in a range, each under its own lock.
///
/// Whoever changes the rest of the mm is not held up, and does not hold the walk up. A
/// VMA that is just being changed is waited for, by taking the mmap lock for a moment. RCU is held
/// within a step only, so the caller may sleep between the steps.
///
/// The walk is about an mm that changes. What is mapped all the time is seen once, what is
/// mapped or unmapped meanwhile may be seen. Where VMAs are split or merged meanwhile, one can turn
/// up that begins before the end of the last; [`WalkItem::range`] is the part of it that is new. A
/// hole between two items was one at some moment.
///
/// It is no [`Iterator`]: the lock of an item must be given up before the next can be taken, because
/// a step may need the mmap lock.
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
pub struct LockedWalk<'a> {
    mm: &'a MmWithUser,
    /// What is left.
    range: Range<usize>,
    _not_send: NotThreadSafe,
}

impl MmWithUser {
    /// Walks through the VMAs that are in a range at least in part, without the mmap lock.
    ///
    /// # Examples
    ///
    /// See [`LockedWalk`].
    pub fn walk_locked(&self, range: Range<usize>) -> LockedWalk<'_> {
        LockedWalk {
            mm: self,
            range,
            _not_send: NotThreadSafe,
        }
    }
}

impl LockedWalk<'_> {
    /// Locks the next VMA.
    ///
    /// After an error, the next call tries the same step again.
    ///
    /// # Context
    ///
    /// Sleeps. No mmap lock and no VMA lock of the mm may be held; see [the order of
    /// locks](crate::mm::lock#order).
    ///
    /// # Errors
    ///
    /// [`EINTR`] if it had to wait, and a fatal signal has come.
    ///
    /// # Examples
    ///
    /// See [`LockedWalk`].
    pub fn next_vma(&mut self) -> Result<Option<WalkItem<'_>>> {
        if self.range.is_empty() {
            return Ok(None);
        }
        let vma = match lock_next(self.mm, self.range.start)? {
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
}

/// A VMA that a [`LockedWalk`] has locked.
///
/// # Examples
///
/// See [`LockedWalk`].
#[must_use = "the lock is given up when this is dropped"]
pub struct WalkItem<'w> {
    vma: StableVmaGuard<'w>,
    range: Range<usize>,
}

impl WalkItem<'_> {
    /// Returns the part of the VMA that is in the range of the walk and not behind it already.
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

/// Locks the VMA at an address, or else the first after it.
// `lock_next_vma` is not exported to modules.
#[inline(never)]
fn lock_next(mm: &MmWithUser, addr: usize) -> Result<Option<StableVmaGuard<'_>>> {
    #[cfg(CONFIG_PER_VMA_LOCK)]
    {
        let mut iter = bindings::vma_iterator::default();
        let rcu = rcu::Guard::new();
        // SAFETY: The mm has users, so its tree is alive, and RCU is held. It is held
        // again when the second function returns; what that has found is locked.
        let vma = from_err_ptr(unsafe {
            bindings::vma_iter_init(&raw mut iter, mm.as_raw(), addr);
            bindings::lock_next_vma(mm.as_raw(), &raw mut iter, addr)
        });
        drop(rcu);
        match vma.map(NonNull::new) {
            Ok(None) => return Ok(None),
            // SAFETY: Just locked, and the mm has users as long as the borrow lasts.
            Ok(Some(vma)) => return Ok(Some(unsafe { VmaReadGuard::from_locked(vma) }.into())),
            // Too many readers. The mmap lock will do.
            Err(EAGAIN) => {}
            Err(err) => return Err(err),
        }
    }

    let guard = mm.mmap_read_lock_killable()?;
    // SAFETY: The mmap lock is held.
    let vma = unsafe { bindings::find_vma(mm.as_raw(), addr) };
    Ok(NonNull::new(vma.cast::<VmaUnderMmap>()).map(|vma| {
        // SAFETY: Just found in the mm whose lock it is.
        unsafe { StableVmaGuard::under_mmap_lock(vma, guard) }
    }))
}
