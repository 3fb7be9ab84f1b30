// SPDX-License-Identifier: GPL-2.0

//! The read lock of a VMA.

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

/// A guard that keeps a VMA stable by the VMA lock, or by the mmap lock.
///
/// It holds the VMA lock if possible, so that other threads can change the rest of the mm. It holds
/// the mmap lock for reading without `CONFIG_PER_VMA_LOCK`, or if the VMA has too many readers.
///
/// A thread that has such a guard must not take a lock of any mm; see
/// [the order of locks](super#order).
///
/// # Invariants
///
/// The lock keeps the VMA stable. In `Lock::Mmap`, `vma` is a VMA of the mm that `_guard` locks.
#[must_use = "the lock is released when this is dropped"]
pub struct StableVmaGuard<'a>(Lock<'a>);

impl<'a> StableVmaGuard<'a> {
    /// Makes a guard that holds the mmap lock.
    ///
    /// # Safety
    ///
    /// `vma` must be a VMA of the mm that `guard` locks.
    #[inline]
    pub(in crate::mm) unsafe fn under_mmap_lock(
        vma: NonNull<VmaUnderMmap>,
        guard: MmapReadGuard<'a>,
    ) -> Self {
        // INVARIANT: By the safety requirements of this function, `vma` is a VMA of the mm that
        // `guard` locks. The mmap lock keeps it stable.
        Self(Lock::Mmap { vma, _guard: guard })
    }

    /// Returns whether the guard holds the VMA lock, and not the mmap lock.
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
        // INVARIANT: The VMA lock keeps the VMA stable.
        Self(Lock::Vma(guard))
    }
}

impl Deref for StableVmaGuard<'_> {
    type Target = VmaRef;

    #[inline]
    fn deref(&self) -> &VmaRef {
        match &self.0 {
            Lock::Vma(guard) => guard,
            // SAFETY: By the type invariants, `vma` is a VMA of the mm whose mmap lock is held, and
            // so is alive while `self` is borrowed.
            Lock::Mmap { vma, .. } => unsafe { vma.as_ref() },
        }
    }
}

// SAFETY: By the type invariants, the current thread holds the VMA lock or the mmap lock, which
// keeps the range, the page offset and the page tables of the VMA. `held` returns which of them.
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
    /// Makes a guard from a read lock that the caller has taken.
    ///
    /// # Safety
    ///
    /// - The caller must hold a read lock of the VMA, and passes it to the guard.
    /// - The mm of the VMA must have users during `'a`.
    #[cfg(CONFIG_PER_VMA_LOCK)]
    #[inline]
    pub(in crate::mm) unsafe fn from_locked(vma: NonNull<bindings::vm_area_struct>) -> Self {
        Self {
            // SAFETY: The VMA is alive and stable while its lock is held. The reference is in a
            // private field, and is given out for no longer than the guard is borrowed.
            vma: unsafe { VmaUnderVmaLock::from_raw(vma.as_ptr()) },
            _nts: NotThreadSafe,
        }
    }
}

impl MmWithUser {
    /// Finds the VMA at an address, and locks it.
    ///
    /// Takes the VMA lock if it is free. Otherwise, waits for the mmap lock, takes the VMA lock
    /// under it, and releases the mmap lock; if the VMA has too many readers, the guard keeps the
    /// mmap lock instead. Returns [`None`] if there is no VMA.
    ///
    /// # Context
    ///
    /// Sleeps. The caller must hold neither the mmap lock of the mm nor any VMA lock; see
    /// [the order of locks](crate::mm::lock#order).
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
    #[inline]
    pub fn lock_vma(&self, addr: usize) -> Option<StableVmaGuard<'_>> {
        match self.lock_vma_under_rcu(addr) {
            Some(guard) => Some(guard.into()),
            None => self.lock_vma_slow(addr),
        }
    }

    /// Finds the VMA at an address under the mmap lock, and locks it.
    #[cold]
    #[inline(never)]
    fn lock_vma_slow(&self, addr: usize) -> Option<StableVmaGuard<'_>> {
        self.mmap_read_lock().into_vma(addr)
    }

    /// Finds the VMA at an address, and locks it if that is possible without waiting.
    ///
    /// Takes the VMA lock if it is free. Otherwise, takes the mmap lock if that is free, and does
    /// what [`lock_vma`](Self::lock_vma) does under it. Returns [`None`] if there is no VMA, or the
    /// locks are not free.
    ///
    /// # Context
    ///
    /// Does not sleep. The caller may hold other locks, also those of this mm and spinlocks: this
    /// does not wait, so it cannot deadlock. Under a spinlock, the caller must not call functions
    /// of the guard that sleep.
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
    /// let vma = user.current().try_lock_vma(addr).ok_or(EAGAIN)?;
    /// assert_eq!(vma.start(), addr);
    /// drop(vma);
    /// assert!(user.current().try_lock_vma(addr + PAGE_SIZE).is_none());
    ///
    /// // Under the write locks, none of them is free.
    /// let guard = user.current().mmap_write_lock();
    /// guard.vma_lookup(addr).ok_or(EFAULT)?.start_write();
    /// assert!(user.current().try_lock_vma(addr).is_none());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn try_lock_vma(&self, addr: usize) -> Option<StableVmaGuard<'_>> {
        match self.lock_vma_under_rcu(addr) {
            Some(guard) => Some(guard.into()),
            None => self.try_lock_vma_slow(addr),
        }
    }

    /// Finds the VMA at an address under the mmap lock, and locks it, if no lock makes it wait.
    #[cold]
    #[inline(never)]
    fn try_lock_vma_slow(&self, addr: usize) -> Option<StableVmaGuard<'_>> {
        self.mmap_read_trylock()?.into_vma(addr)
    }
}

impl<'a> MmapReadGuard<'a> {
    /// Takes the read lock of the VMA at an address, which can be held for longer than the mmap
    /// lock.
    ///
    /// Returns [`None`] if there is no VMA, if it has too many readers, and always without
    /// `CONFIG_PER_VMA_LOCK`. In the last two cases, [`into_vma`](Self::into_vma) keeps the mmap
    /// lock instead.
    ///
    /// A guard of the mmap write lock has no such method: the write lock of a VMA does not wait for
    /// readers that come after it.
    ///
    /// # Context
    ///
    /// Does not sleep.
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
            // SAFETY: `vma` is a VMA of the mm whose mmap lock is held for reading.
            if unsafe { bindings::vma_start_read_locked(vma.as_ptr()) } {
                // SAFETY: The VMA was just locked, and the mm has users during `'a`.
                return Some(unsafe { VmaReadGuard::from_locked(vma) });
            }
        }

        #[cfg(not(CONFIG_PER_VMA_LOCK))]
        let _ = (addr, NotThreadSafe);

        None
    }

    /// Replaces the mmap lock with the read lock of the VMA at an address.
    ///
    /// The result keeps the mmap lock if the VMA has too many readers, and always without
    /// `CONFIG_PER_VMA_LOCK`. Returns [`None`], and releases the mmap lock, if there is no VMA.
    ///
    /// # Context
    ///
    /// Does not sleep.
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
        // SAFETY: `vma` was just found in the mm that `self` locks.
        Some(unsafe { StableVmaGuard::under_mmap_lock(vma, self) })
    }
}
