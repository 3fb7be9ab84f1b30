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

/// Notices to userfaultfd of what was unmapped, which have to wait until the mmap lock is free:
/// whoever reads them may need the lock for that.
///
/// # Invariants
///
/// `ring` is null, or one of the entries that `do_munmap` has made; they form a ring without a head.
pub(in crate::mm) struct UnmapEvents<'a> {
    pub(in crate::mm) mm: &'a MmWithUser,
    pub(in crate::mm) ring: *mut bindings::list_head,
}

impl UnmapEvents<'_> {
    /// Calls `f` with the list, which it may extend.
    pub(in crate::mm) fn with_list<R>(
        &mut self,
        f: impl FnOnce(*mut bindings::list_head) -> R,
    ) -> R {
        let mut head = bindings::list_head {
            next: ptr::null_mut(),
            prev: ptr::null_mut(),
        };
        let list = &raw mut head;
        // SAFETY: `list` is on the stack, and stays there until it is taken out of the ring below;
        // by the type invariants, the entries form a ring.
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
        // SAFETY: The list is well-formed. INVARIANT: Without its head, it is a ring, or empty.
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
        // SAFETY: The list is one that `do_munmap` has made. The lock was given up before: the
        // guards have this as their last field.
        self.with_list(|list| unsafe { bindings::userfaultfd_unmap_complete(mm, list) });
    }
}

/// The lock itself.
///
/// # Invariants
///
/// The mmap lock of `mm` is held for writing, by the current thread.
struct WriteLock<'a> {
    mm: &'a MmWithUser,
    _nts: NotThreadSafe,
}

impl Drop for WriteLock<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariants, we hold it.
        unsafe { bindings::mmap_write_unlock(self.mm.as_raw()) };
    }
}

/// The mmap lock of an mm, held for writing.
///
/// Nobody else can change the mm, nor look at it under the mmap lock. Under their own
/// locks, others can still read VMAs: what changes a VMA takes [its lock](VmaUnderWrite::start_write)
/// too, and holds that until the mmap lock is given up.
///
/// Whatever may split, merge or remove VMAs takes the guard by `&mut`, so no view of a VMA lives on
/// over it.
///
/// # Invariants
///
/// All fields are about one mm.
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
#[must_use = "the lock is given up when this is dropped"]
pub struct MmapWriteGuard<'a> {
    lock: WriteLock<'a>,
    // Dropped after the lock.
    events: UnmapEvents<'a>,
}

impl<'a> MmapWriteGuard<'a> {
    /// # Safety
    ///
    /// The caller must hold the lock for writing, which it gives up.
    #[inline]
    unsafe fn from_locked(mm: &'a MmWithUser) -> Self {
        // INVARIANT: As the caller promises; there are no events yet.
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

    /// Looks up the VMA at an address.
    ///
    /// # Examples
    ///
    /// See [`MmapWriteGuard`].
    #[inline]
    pub fn vma_lookup(&self, addr: usize) -> Option<&VmaUnderWrite> {
        // SAFETY: The lock is held. Any value will do for `addr`.
        let vma = unsafe { bindings::vma_lookup(self.mm().as_raw(), addr) };
        // SAFETY: A VMA of this mm, which nobody but us can remove, and we only by
        // `&mut self`.
        (!vma.is_null()).then(|| unsafe { VmaUnderWrite::from_raw(vma) })
    }

    /// Unmaps a range of the mm that the current thread works in. VMAs that are partly in
    /// it are split.
    ///
    /// Of another process nothing can be unmapped: the kernel would count it as this one's
    /// (`vms_complete_munmap_vmas()` in mm/vma.c).
    ///
    /// The callbacks of the drivers whose memory it is are called. Those who watch the memory by
    /// userfaultfd are told when the guard is dropped, or what it was downgraded to, which waits until
    /// they have read it. User space decides how long that takes: no other lock may be held then.
    ///
    /// `addr` must be that of a page; `len` is rounded up to whole pages. It is no error if nothing
    /// is mapped there.
    ///
    /// # Context
    ///
    /// Sleeps. No VMA lock of the mm may be held: it would wait for it for ever.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if it is another mm, or if the range is no range of user addresses, or
    ///   empty.
    /// - [`EPERM`] if one of the VMAs is sealed.
    /// - [`ENOMEM`] if there is not enough memory, or if there would be too many VMAs.
    /// - What a driver says about splitting its mapping.
    ///
    /// # Examples
    ///
    /// See [`MmapWriteGuard`].
    // Not exported to modules.
    #[inline(never)]
    pub fn munmap(&mut self, addr: usize, len: usize) -> Result {
        if !self.mm().is_current() {
            return Err(EINVAL);
        }
        let mm = self.mm().as_raw();
        self.events.with_list(|list| {
            // SAFETY: The lock is held for writing, and it is the current mm, whose counts
            // C changes. There is no view of a VMA, as this takes `&mut
            // self`; the list is one of such entries.
            to_result(unsafe { bindings::do_munmap(mm, addr, len, list) })
        })
    }

    /// Keeps the lock, but for reading. The write locks of all VMAs end with it.
    ///
    /// Nobody can take the lock for writing in between.
    ///
    /// # Examples
    ///
    /// See [`MmapWriteGuard`].
    pub fn downgrade(self) -> MmapDowngradedGuard<'a> {
        let Self { lock, events } = self;
        let lock = ManuallyDrop::new(lock);
        // SAFETY: The lock is held for writing, by the type invariants of `lock`, which is not
        // dropped.
        unsafe { bindings::mmap_write_downgrade(lock.mm.as_raw()) };
        MmapDowngradedGuard {
            // INVARIANT: Now it is held for reading.
            guard: MmapReadGuard {
                mm: lock.mm,
                _nts: NotThreadSafe,
            },
            _events: events,
        }
    }
}

/// The mmap lock of an mm, held for reading, after it was held for writing.
///
/// It is an [`MmapReadGuard`]. It is a type of its own because, when it is given up, those who watch
/// by userfaultfd what was unmapped have to be told.
///
/// # Examples
///
/// See [`MmapWriteGuard`].
#[must_use = "the lock is given up when this is dropped"]
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
    /// Sleeps. Neither the mmap lock nor a VMA lock of the mm may be held; see [the order
    /// of locks](crate::mm::lock#order).
    ///
    /// # Examples
    ///
    /// See [`MmapWriteGuard`].
    pub fn mmap_write_lock(&self) -> MmapWriteGuard<'_> {
        // SAFETY: The pointer is valid since `self` is a reference.
        unsafe { bindings::mmap_write_lock(self.as_raw()) };
        // SAFETY: Just locked.
        unsafe { MmapWriteGuard::from_locked(self) }
    }

    /// Takes the mmap lock for writing, or gives up when the current task is to die.
    ///
    /// # Context
    ///
    /// As [`mmap_write_lock`](Self::mmap_write_lock).
    ///
    /// # Errors
    ///
    /// [`EINTR`] if a fatal signal has come.
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
        // SAFETY: Just locked.
        Ok(unsafe { MmapWriteGuard::from_locked(self) })
    }

    /// Takes the mmap lock of a second mm for writing, while that of another is held.
    ///
    /// This is what `fork` does with the one that it makes. Nobody else can know that one yet, so the
    /// two locks have an order. To take those of two mms that others know, agree on an
    /// order, that of their addresses for example: lockdep takes the two locks for two levels of one
    /// hierarchy, whichever comes first, and would report a third.
    ///
    /// # Context
    ///
    /// Sleeps. Neither the mmap lock nor a VMA lock of `self` may be held.
    ///
    /// # Errors
    ///
    /// [`EDEADLK`] if it is the same mm.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{testing::*, MmWithUser};
    ///
    /// /// Is nothing mapped at `addr` in either?
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
        // SAFETY: Just locked.
        Ok(unsafe { MmapWriteGuard::from_locked(self) })
    }
}
