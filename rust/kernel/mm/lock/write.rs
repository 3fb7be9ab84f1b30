// SPDX-License-Identifier: GPL-2.0

//! The mmap lock, held for writing.

use crate::{
    bindings,
    error::to_result,
    mm::{
        vma::VmaUnderWrite,
        MmWithUser,
        MmapReadGuard, //
    },
    prelude::*,
    types::NotThreadSafe, //
};
use core::{
    mem::ManuallyDrop,
    ops::Deref,
    ptr, //
};

/// The userfaultfd events of memory that was unmapped.
///
/// They are sent only after the mmap lock is released: the monitor that reads them may need the
/// lock before it does.
///
/// # Invariants
///
/// `ring` is null, or one of the entries that `do_munmap` has made. The entries form a ring without
/// a head.
pub(in crate::mm) struct UnmapEvents<'a> {
    pub(in crate::mm) mm: &'a MmWithUser,
    pub(in crate::mm) ring: *mut bindings::list_head,
}

impl UnmapEvents<'_> {
    /// Calls `f` with the list of events, to which `f` may add entries.
    pub(in crate::mm) fn with_list<R>(
        &mut self,
        f: impl FnOnce(*mut bindings::list_head) -> R,
    ) -> R {
        let mut head = bindings::list_head {
            next: ptr::null_mut(),
            prev: ptr::null_mut(),
        };
        let list = &raw mut head;
        // SAFETY:
        // - `list` points to `head`, which is taken out of the ring below, while it still exists.
        // - By the type invariants, the entries form a ring, so their pointers are valid.
        unsafe {
            if self.ring.is_null() {
                ((*list).next, (*list).prev) = (list, list);
            } else {
                let last = (*self.ring).prev;
                ((*list).next, (*list).prev) = (self.ring, last);
                ((*last).next, (*self.ring).prev) = (list, list);
            }
        }
        let result = f(list);
        // SAFETY: `f` has kept the list well-formed, so its pointers are valid.
        //
        // INVARIANT: Without its head, the list is a ring, or empty.
        unsafe {
            let (first, last) = ((*list).next, (*list).prev);
            if ptr::eq(first, list) {
                self.ring = ptr::null_mut();
            } else {
                ((*last).next, (*first).prev) = (first, last);
                self.ring = first;
            }
        }
        result
    }
}

impl Drop for UnmapEvents<'_> {
    fn drop(&mut self) {
        if self.ring.is_null() {
            return;
        }
        let mm = self.mm.as_raw();
        // SAFETY: `do_munmap` has made the entries of the list, for this mm. The mmap lock is
        // released by now, since this is the last field of the guards.
        self.with_list(|list| unsafe { bindings::userfaultfd_unmap_complete(mm, list) });
    }
}

/// The mmap write lock, which is released when this is dropped.
///
/// # Invariants
///
/// The current thread holds the mmap lock of `mm` for writing.
struct WriteLock<'a> {
    mm: &'a MmWithUser,
    _nts: NotThreadSafe,
}

impl Drop for WriteLock<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the current thread holds the lock for writing.
        unsafe { bindings::mmap_write_unlock(self.mm.as_raw()) };
    }
}

/// A guard for the mmap lock of an mm, held for writing.
///
/// No other thread can change the mm, or read it under the mmap lock. Other threads can still read
/// a VMA under its VMA lock. So a caller that changes a VMA takes
/// [its write lock](VmaUnderWrite::start_write), too, which is held until the mmap lock is
/// released.
///
/// Methods that may split, merge or remove VMAs take the guard by `&mut`, so no view of a VMA
/// survives them.
///
/// # Invariants
///
/// `lock` and `events` belong to the same mm.
///
/// # Examples
///
/// ```
/// use kernel::{mm::{iter::MmapLocked, testing::*, vma::AdviceFlags}, page::PAGE_SIZE};
///
/// let user = UserMm::attach()?;
/// let file = user.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
/// let addr = file.mmap(2 * PAGE_SIZE, READ, SHARED, 0)?;
///
/// let mut guard = user.current().mmap_write_lock();
/// for vma in guard.vmas(addr..addr + PAGE_SIZE) {
///     vma.start_write().set_flags(AdviceFlags::DONTDUMP);
/// }
/// guard.munmap(addr, PAGE_SIZE)?;
///
/// let guard = guard.downgrade();
/// assert!(guard.vma_lookup(addr).is_none());
/// assert!(guard.vma_lookup(addr + PAGE_SIZE).is_some());
/// # Ok::<(), Error>(())
/// ```
#[must_use = "the lock is released when this is dropped"]
pub struct MmapWriteGuard<'a> {
    lock: WriteLock<'a>,
    // Dropped after the lock.
    events: UnmapEvents<'a>,
}

impl<'a> MmapWriteGuard<'a> {
    /// Makes a guard from a lock that the caller has taken.
    ///
    /// # Safety
    ///
    /// The current thread must hold the mmap lock of `mm` for writing, and passes it to the guard.
    #[inline]
    unsafe fn from_locked(mm: &'a MmWithUser) -> Self {
        // INVARIANT: By the safety requirements of this function, the current thread holds the lock
        // of `mm` for writing. There are no events yet.
        Self {
            lock: WriteLock {
                mm,
                _nts: NotThreadSafe,
            },
            events: UnmapEvents {
                mm,
                ring: ptr::null_mut(),
            },
        }
    }

    #[inline]
    pub(in crate::mm) fn mm(&self) -> &'a MmWithUser {
        self.lock.mm
    }

    /// Returns the VMA at an address, if there is one.
    ///
    /// # Examples
    ///
    /// See [`MmapWriteGuard`].
    #[inline]
    pub fn vma_lookup(&self, addr: usize) -> Option<&VmaUnderWrite> {
        // SAFETY: The mmap lock is held, and `vma_lookup` accepts any address.
        let vma = unsafe { bindings::vma_lookup(self.mm().as_raw(), addr) };
        // SAFETY: `vma` is a VMA of this mm, whose mmap lock is held for writing. Only this guard
        // can remove it, by a method that takes `&mut self`, so not while it is borrowed.
        (!vma.is_null()).then(|| unsafe { VmaUnderWrite::from_raw(vma) })
    }

    /// Unmaps a range of the current mm.
    ///
    /// Splits the VMAs that are partly in the range. Nothing can be unmapped from the mm of another
    /// process: the kernel would account it to the current mm (`vms_complete_munmap_vmas()` in
    /// mm/vma.c).
    ///
    /// The kernel calls back the drivers whose memory is unmapped. Monitors that registered the
    /// memory with a userfaultfd get their events when this guard is dropped, or the guard that it
    /// was downgraded to. The drop waits until they have read them. User space decides how long
    /// that takes, so the caller must hold no other lock then.
    ///
    /// `addr` must be page-aligned; `len` is rounded up to whole pages. It is not an error if
    /// nothing is mapped in the range.
    ///
    /// # Context
    ///
    /// Sleeps. The caller must hold no VMA lock of the mm: the function would wait for it forever.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if this is not the current mm, if `addr` is not page-aligned, or if the range
    ///   is empty or not a range of user addresses.
    /// - [`EPERM`] if one of the VMAs is sealed.
    /// - [`ENOMEM`] if there is not enough memory, or if there would be too many VMAs.
    /// - The error of a driver that refuses to split its mapping; see
    ///   [`may_split`](crate::mm::ops::VmOperations::may_split).
    ///
    /// # Examples
    ///
    /// See [`MmapWriteGuard`].
    // Not inlined: `do_munmap` is not exported to modules.
    #[inline(never)]
    pub fn munmap(&mut self, addr: usize, len: usize) -> Result {
        if !self.mm().is_current() {
            return Err(EINVAL);
        }
        let mm = self.mm().as_raw();
        self.events.with_list(|list| {
            // SAFETY:
            // - The mmap lock is held for writing.
            // - The mm is the current one, whose counters the function changes.
            // - No view of a VMA exists, since this method takes `&mut self`.
            // - `list` contains only entries that `do_munmap` has made.
            to_result(unsafe { bindings::do_munmap(mm, addr, len, list) })
        })
    }

    /// Downgrades the lock to a read lock.
    ///
    /// This releases the write locks of all VMAs. No other thread can take the mmap lock for
    /// writing in between.
    ///
    /// # Examples
    ///
    /// See [`MmapWriteGuard`].
    pub fn downgrade(self) -> MmapDowngradedGuard<'a> {
        let Self { lock, events } = self;
        let lock = ManuallyDrop::new(lock);
        // SAFETY: By the type invariants of `lock`, the current thread holds the lock for writing.
        // `lock` is not dropped, so the write lock is not released again.
        unsafe { bindings::mmap_write_downgrade(lock.mm.as_raw()) };
        MmapDowngradedGuard {
            // INVARIANT: The lock is now held for reading.
            guard: MmapReadGuard {
                mm: lock.mm,
                _nts: NotThreadSafe,
            },
            _events: events,
        }
    }
}

/// A guard for the mmap lock of an mm, held for reading after it was held for writing.
///
/// It dereferences to an [`MmapReadGuard`]. It is a type of its own because, when it is dropped, it
/// sends the userfaultfd events of memory that was unmapped under the write lock.
///
/// # Examples
///
/// See [`MmapWriteGuard`].
#[must_use = "the lock is released when this is dropped"]
pub struct MmapDowngradedGuard<'a> {
    guard: MmapReadGuard<'a>,
    // Dropped after the lock.
    _events: UnmapEvents<'a>,
}

impl<'a> Deref for MmapDowngradedGuard<'a> {
    type Target = MmapReadGuard<'a>;

    #[inline]
    fn deref(&self) -> &MmapReadGuard<'a> {
        &self.guard
    }
}

impl MmWithUser {
    /// Takes the mmap lock for writing.
    ///
    /// # Context
    ///
    /// Sleeps. The caller must hold neither the mmap lock of the mm nor any VMA lock; see
    /// [the order of locks](crate::mm::lock#order).
    ///
    /// # Examples
    ///
    /// See [`MmapWriteGuard`].
    pub fn mmap_write_lock(&self) -> MmapWriteGuard<'_> {
        // SAFETY: The pointer is valid since `self` is a reference.
        unsafe { bindings::mmap_write_lock(self.as_raw()) };
        // SAFETY: The current thread has just locked it.
        unsafe { MmapWriteGuard::from_locked(self) }
    }

    /// Takes the mmap lock for writing, but fails if a fatal signal is pending.
    ///
    /// # Context
    ///
    /// As [`mmap_write_lock`](Self::mmap_write_lock).
    ///
    /// # Errors
    ///
    /// [`EINTR`] if a fatal signal is pending while the function waits.
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
    /// user.current().mmap_write_lock_killable()?.munmap(addr, PAGE_SIZE)?;
    /// assert_eq!(user.read::<1>(addr), Err(EFAULT));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn mmap_write_lock_killable(&self) -> Result<MmapWriteGuard<'_>> {
        // SAFETY: The pointer is valid since `self` is a reference.
        to_result(unsafe { bindings::mmap_write_lock_killable(self.as_raw()) })?;
        // SAFETY: The current thread has just locked it.
        Ok(unsafe { MmapWriteGuard::from_locked(self) })
    }

    /// Takes the mmap lock of this mm for writing, while that of another mm is held.
    ///
    /// `fork` does this with the mm that it makes. No other thread can know that mm yet, so the two
    /// locks have an order. Callers that take the locks of two mms which other threads know must
    /// agree on an order, for example that of the addresses. Lockdep does not check it: it sees two
    /// levels of one hierarchy in either order, and would report a third lock.
    ///
    /// # Context
    ///
    /// Sleeps. The caller must hold neither the mmap lock nor a VMA lock of `self`; see
    /// [the order of locks](crate::mm::lock#order).
    ///
    /// # Errors
    ///
    /// [`EDEADLK`] if `outer` locks the same mm.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{testing::*, MmWithUser};
    ///
    /// /// Returns whether nothing is mapped at `addr` in either mm.
    /// fn free_in_both(a: &MmWithUser, b: &MmWithUser, addr: usize) -> Result<bool> {
    ///     let (a, b) = if a.as_raw() < b.as_raw() { (a, b) } else { (b, a) };
    ///     let outer = a.mmap_write_lock_killable()?;
    ///     let inner = b.mmap_write_lock_nested(&outer)?;
    ///     Ok(outer.vma_lookup(addr).is_none() && inner.vma_lookup(addr).is_none())
    /// }
    ///
    /// let user = UserMm::attach()?;
    /// assert_eq!(free_in_both(user.current(), user.current(), 0), Err(EDEADLK));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn mmap_write_lock_nested<'a>(
        &'a self,
        outer: &MmapWriteGuard<'_>,
    ) -> Result<MmapWriteGuard<'a>> {
        if ptr::eq(self, outer.mm()) {
            return Err(EDEADLK);
        }
        let subclass = bindings::SINGLE_DEPTH_NESTING as c_int;
        // SAFETY: The pointer is valid since `self` is a reference.
        unsafe { bindings::mmap_write_lock_nested(self.as_raw(), subclass) };
        // SAFETY: The current thread has just locked it.
        Ok(unsafe { MmapWriteGuard::from_locked(self) })
    }
}
