// SPDX-License-Identifier: GPL-2.0

//! The read lock of one VMA.

use crate::{
    bindings,
    mm::{
        virt::VmaRef,
        vma::{
            evidence::{
                Held,
                Sealed,
                Token, //
            },
            Traverse,
            VmaUnderMmap, //
        },
        MmWithUser,
        MmapReadGuard,
        VmaReadGuard, //
    },
    types::NotThreadSafe, //
};
use core::{
    ops::Deref,
    ptr::NonNull, //
};

#[cfg(CONFIG_PER_VMA_LOCK)]
use crate::mm::vma::VmaUnderVmaLock;

/// The lock that a [`StableVmaGuard`] holds.
enum Lock<'a> {
    Vma(VmaReadGuard<'a>),
    Mmap {
        vma: NonNull<VmaUnderMmap>,
        _guard: MmapReadGuard<'a>,
    },
}

/// A VMA that is kept stable by its own lock, or by the mmap lock.
///
/// By its own wherever that can be had: others can change the rest of the mm meanwhile.
/// The mmap lock takes its place without `CONFIG_PER_VMA_LOCK`, and where a VMA has too many
/// readers.
///
/// While there is one, no lock of the mm may be taken; see [the order of
/// locks](super#order).
///
/// # Invariants
///
/// The lock keeps the VMA stable; in `Lock::Mmap`, `vma` is a VMA of the mm whose lock
/// it is.
#[must_use = "the lock is given up when this is dropped"]
pub struct StableVmaGuard<'a>(Lock<'a>);

impl<'a> StableVmaGuard<'a> {
    /// # Safety
    ///
    /// `vma` must be a VMA of the mm whose lock `guard` is.
    #[inline]
    pub(in crate::mm) unsafe fn under_mmap_lock(
        vma: NonNull<VmaUnderMmap>,
        guard: MmapReadGuard<'a>,
    ) -> Self {
        // INVARIANT: As the caller promises.
        Self(Lock::Mmap { vma, _guard: guard })
    }

    /// Is it the lock of the VMA that is held, and not the mmap lock?
    ///
    /// # Examples
    ///
    /// See [`MmWithUser::lock_vma`].
    #[inline]
    pub fn is_vma_locked(&self) -> bool {
        matches!(self.0, Lock::Vma(_))
    }
}

impl<'a> From<VmaReadGuard<'a>> for StableVmaGuard<'a> {
    #[inline]
    fn from(guard: VmaReadGuard<'a>) -> Self {
        // INVARIANT: The lock of the VMA itself.
        Self(Lock::Vma(guard))
    }
}

impl Deref for StableVmaGuard<'_> {
    type Target = VmaRef;

    #[inline]
    fn deref(&self) -> &VmaRef {
        match &self.0 {
            Lock::Vma(guard) => guard,
            // SAFETY: By the type invariants, the mmap lock, which is held, keeps it.
            Lock::Mmap { vma, .. } => unsafe { vma.as_ref() },
        }
    }
}

// SAFETY: By the type invariants, one of the two locks is held.
unsafe impl Sealed for StableVmaGuard<'_> {
    #[inline]
    fn vma(&self, _: Token) -> *mut bindings::vm_area_struct {
        self.as_ptr()
    }

    #[inline]
    fn held(&self, _: Token) -> Held {
        match self.0 {
            Lock::Vma(_) => Held::Vma,
            Lock::Mmap { .. } => Held::Mmap,
        }
    }
}

impl Traverse for StableVmaGuard<'_> {}

impl<'a> VmaReadGuard<'a> {
    /// # Safety
    ///
    /// The caller must hold a read lock of the VMA, which it gives up. The mm of the VMA
    /// must have users during `'a`.
    #[cfg(CONFIG_PER_VMA_LOCK)]
    #[inline]
    pub(in crate::mm) unsafe fn from_locked(vma: NonNull<bindings::vm_area_struct>) -> Self {
        Self {
            // SAFETY: The VMA is alive and stable for as long as its lock is held. It lies in a
            // private field, and is given out for no longer than the guard is borrowed.
            vma: unsafe { VmaUnderVmaLock::from_raw(vma.as_ptr()) },
            _nts: NotThreadSafe,
        }
    }
}

impl MmWithUser {
    /// Finds the VMA at an address, and locks it.
    ///
    /// Takes the lock of the VMA if that is free. Otherwise, it waits for the mmap lock, takes the
    /// lock of the VMA under it, and lets go of the mmap lock. Returns [`None`] if there is no VMA.
    ///
    /// # Context
    ///
    /// Sleeps. No VMA lock and no mmap lock of the mm may be held; see [the order of
    /// locks](crate::mm::lock#order).
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::testing::*, page::PAGE_SIZE};
    ///
    /// let user = UserMm::attach()?;
    /// let file = user.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
    /// let addr = file.mmap(2 * PAGE_SIZE, READ, SHARED, 1)?;
    ///
    /// let vma = user.current().lock_vma(addr + PAGE_SIZE).ok_or(EFAULT)?;
    /// assert_eq!(vma.pgoff_at(addr + PAGE_SIZE), Some(2));
    /// assert_eq!(vma.is_vma_locked(), cfg!(CONFIG_PER_VMA_LOCK));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn lock_vma(&self, addr: usize) -> Option<StableVmaGuard<'_>> {
        match self.lock_vma_under_rcu(addr) {
            Some(guard) => Some(guard.into()),
            None => self.mmap_read_lock().into_vma(addr),
        }
    }
}

impl<'a> MmapReadGuard<'a> {
    /// Takes the read lock of the VMA at an address, which can be kept longer than the mmap lock.
    ///
    /// Returns [`None`] if there is no VMA, if it has too many readers, and always without
    /// `CONFIG_PER_VMA_LOCK`. [`into_vma`](Self::into_vma) falls back on the mmap lock then.
    ///
    /// There is no such method under the mmap write lock: the write lock of a VMA does not wait for
    /// readers that come after it.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::testing::*, page::PAGE_SIZE};
    ///
    /// let user = UserMm::attach()?;
    /// let file = user.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
    /// let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
    ///
    /// let guard = user.current().mmap_read_lock();
    /// let vma = guard.vma_start_read_locked(addr);
    /// drop(guard);
    /// assert_eq!(vma.map(|vma| vma.start()), cfg!(CONFIG_PER_VMA_LOCK).then_some(addr));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn vma_start_read_locked(&self, addr: usize) -> Option<VmaReadGuard<'a>> {
        #[cfg(CONFIG_PER_VMA_LOCK)]
        {
            let vma = NonNull::new(self.vma_lookup(addr)?.as_ptr())?;
            // SAFETY: The VMA is one of the mm whose lock is held for reading.
            if unsafe { bindings::vma_start_read_locked(vma.as_ptr()) } {
                // SAFETY: Just locked, and the mm has users during `'a`.
                return Some(unsafe { VmaReadGuard::from_locked(vma) });
            }
        }

        #[cfg(not(CONFIG_PER_VMA_LOCK))]
        let _ = (addr, NotThreadSafe);

        None
    }

    /// Gives up the mmap lock for the read lock of the VMA at an address, or keeps it if it cannot
    /// get that one.
    ///
    /// Returns [`None`], and gives up the mmap lock, if there is no VMA.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::testing::*, page::PAGE_SIZE};
    ///
    /// let user = UserMm::attach()?;
    /// let file = user.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
    /// let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
    ///
    /// let vma = user.current().mmap_read_lock().into_vma(addr).ok_or(EFAULT)?;
    /// assert_eq!(vma.start(), addr);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn into_vma(self, addr: usize) -> Option<StableVmaGuard<'a>> {
        if let Some(guard) = self.vma_start_read_locked(addr) {
            return Some(guard.into());
        }
        let vma = NonNull::from(self.vma_lookup(addr)?);
        // SAFETY: Just found in the mm whose lock it is.
        Some(unsafe { StableVmaGuard::under_mmap_lock(vma, self) })
    }
}
