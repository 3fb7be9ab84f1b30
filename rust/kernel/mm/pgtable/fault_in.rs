// SPDX-License-Identifier: GPL-2.0

//! Handling faults on behalf of user space, to make an address accessible without accessing it.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use super::cond_resched;
use crate::{
    bindings,
    error::to_result,
    mm::{
        virt::VmaRef,
        MmWithUser,
        MmapReadGuard, //
    },
    prelude::*,
    task::{
        might_sleep,
        Task, //
    }, //
};
use core::{
    mem,
    ptr, //
};

#[cfg(CONFIG_PER_VMA_LOCK)]
use crate::mm::VmaReadGuard;

/// The kind of access that a fault makes possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultAccess {
    /// A read.
    Read,
    /// A write, for which the kernel copies private memory.
    Write,
}

/// The result of handling a fault, with the guard `G` of the lock under which it was handled.
///
/// If the result holds no guard, the kernel has dropped the lock, and anything looked up under it
/// may be stale.
#[must_use = "the lock may have been dropped"]
pub enum Handled<G> {
    /// The address was made accessible, and the lock is still held.
    Done(G),
    /// The address was made accessible, and the kernel dropped the lock.
    Completed,
    /// The kernel dropped the lock and did not handle the fault.
    ///
    /// The caller takes the lock again, looks the VMA up again, and tries again.
    Retry,
    /// The address cannot be made accessible, and the lock is still held.
    Failed(G, Error),
}

impl FaultAccess {
    /// Returns the flags for the first attempt at a fault, which a fatal signal can interrupt.
    fn flags(self, mm: *const bindings::mm_struct) -> u32 {
        let mut flags =
            bindings::fault_flag_FAULT_FLAG_ALLOW_RETRY | bindings::fault_flag_FAULT_FLAG_KILLABLE;
        if self == FaultAccess::Write {
            flags |= bindings::fault_flag_FAULT_FLAG_WRITE;
        }
        // SAFETY: The current task is valid. Only the task itself changes its `mm`.
        if !ptr::eq(mm, unsafe { (*Task::current_raw()).mm }) {
            flags |= bindings::fault_flag_FAULT_FLAG_REMOTE;
        }
        flags
    }
}

/// The result of a fault in C.
enum Outcome {
    Done,
    Completed,
    Retry,
    Failed(Error),
}

impl Outcome {
    /// Returns the result for a caller that held the lock of `guard`.
    fn with<G>(self, guard: G) -> Handled<G> {
        match self {
            Outcome::Done => Handled::Done(guard),
            Outcome::Failed(err) => Handled::Failed(guard, err),
            Outcome::Completed | Outcome::Retry => {
                // C has dropped the lock, so the guard must not drop it again.
                mem::forget(guard);
                match self {
                    Outcome::Completed => Handled::Completed,
                    _ => Handled::Retry,
                }
            }
        }
    }
}

/// Handles a fault.
///
/// Not inlined: on some architectures, modules could not call the C functions.
///
/// # Context
///
/// Sleeps. The caller must hold no lock of the mm other than the one below.
///
/// # Safety
///
/// - The caller must hold the lock under which `vma` was found: the VMA lock if `extra` has
///   `FAULT_FLAG_VMA_LOCK`, otherwise the mmap lock for reading.
/// - If the result is [`Outcome::Completed`] or [`Outcome::Retry`], the lock was dropped, and the
///   caller must neither drop it nor use `vma`.
#[inline(never)]
unsafe fn handle(vma: &VmaRef, addr: usize, access: FaultAccess, extra: u32) -> Outcome {
    might_sleep();
    // If a fatal signal is pending, C would answer each attempt with `VM_FAULT_RETRY`.
    if let Err(err) = cond_resched() {
        return Outcome::Failed(err);
    }
    if addr < vma.start() || addr >= vma.end() {
        return Outcome::Failed(EFAULT);
    }
    let vma = vma.as_ptr();
    // SAFETY: By the safety requirements of this function, a lock of the VMA is held, so it is
    // valid, and its `vm_mm` does not change.
    let flags = access.flags(unsafe { (*vma).vm_mm }) | extra;
    let write = access == FaultAccess::Write;
    let remote = flags & bindings::fault_flag_FAULT_FLAG_REMOTE != 0;
    // SAFETY: By the safety requirements of this function, a lock of the VMA is held, so it is
    // valid and stable.
    if !unsafe { bindings::rust_mm_vma_permits_fault(vma, write, remote) } {
        return Outcome::Failed(EFAULT);
    }
    // SAFETY:
    // - By the safety requirements of this function, the lock that `flags` names is held.
    // - `addr` is in the VMA, and the VMA permits the access, as was just checked.
    let fault = unsafe { bindings::handle_mm_fault(vma, addr, flags, ptr::null_mut()) };
    if fault & bindings::vm_fault_reason_VM_FAULT_COMPLETED != 0 {
        return Outcome::Completed;
    }
    if fault & bindings::vm_fault_reason_VM_FAULT_RETRY != 0 {
        return Outcome::Retry;
    }
    // SAFETY: `vm_fault_to_errno` only looks at its arguments.
    match to_result(unsafe { bindings::vm_fault_to_errno(fault, 0) }) {
        Ok(()) => Outcome::Done,
        Err(err) => Outcome::Failed(err),
    }
}

impl<'a> MmapReadGuard<'a> {
    /// Handles a fault, as if user space had accessed the address.
    ///
    /// If the result is [`Handled::Retry`], the caller continues with
    /// [`retry_mm_fault`](Self::retry_mm_fault). [`fixup_user_fault`](Self::fixup_user_fault) does
    /// that by itself, and is what most callers want.
    ///
    /// # Context
    ///
    /// Sleeps. The caller must not hold a VMA lock of the mm, nor a lock that a driver's fault
    /// handler takes.
    ///
    /// # Errors
    ///
    /// In [`Handled::Failed`]:
    ///
    /// - [`EFAULT`] if user space must not access the address in this way, or the memory is broken.
    /// - [`ENOMEM`] if there is not enough memory.
    /// - [`EINTR`] if a fatal signal is pending.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::{pgtable::{FaultAccess, Handled}, testing::*},
    ///     page::PAGE_SIZE,
    /// };
    ///
    /// let mm = UserMm::attach()?;
    /// let addr = mm.mmap_anonymous(PAGE_SIZE)?;
    /// let mut handled = mm.current().mmap_read_lock().handle_mm_fault(addr, FaultAccess::Write);
    /// let guard = loop {
    ///     handled = match handled {
    ///         Handled::Done(guard) => break guard,
    ///         Handled::Failed(_, err) => return Err(err),
    ///         Handled::Completed => break mm.current().mmap_read_lock(),
    ///         Handled::Retry => {
    ///             mm.current().mmap_read_lock().retry_mm_fault(addr, FaultAccess::Write)
    ///         }
    ///     };
    /// };
    /// assert!(guard.folio_walk(addr).is_some_and(|found| found.writable));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn handle_mm_fault(self, addr: usize, access: FaultAccess) -> Handled<Self> {
        self.handle(addr, access, 0)
    }

    /// Handles a fault again, after [`handle_mm_fault`](Self::handle_mm_fault) has returned
    /// [`Handled::Retry`].
    ///
    /// This passes `FAULT_FLAG_TRIED`: if the kernel has to wait for a page, it now waits with the
    /// lock held instead of dropping it once more.
    ///
    /// # Context
    ///
    /// As for [`handle_mm_fault`](Self::handle_mm_fault).
    ///
    /// # Errors
    ///
    /// As for [`handle_mm_fault`](Self::handle_mm_fault).
    ///
    /// # Examples
    ///
    /// See [`handle_mm_fault`](Self::handle_mm_fault).
    pub fn retry_mm_fault(self, addr: usize, access: FaultAccess) -> Handled<Self> {
        self.handle(addr, access, bindings::fault_flag_FAULT_FLAG_TRIED)
    }

    fn handle(self, addr: usize, access: FaultAccess, extra: u32) -> Handled<Self> {
        let outcome = match self.vma_lookup(addr) {
            // SAFETY:
            // - By the type invariants, the current thread holds the mmap lock for reading, under
            //   which `vma` was found.
            // - If the lock is dropped, `with` leaks the guard, so neither it nor `vma` is used
            //   again.
            Some(vma) => unsafe { handle(vma, addr, access, extra) },
            None => Outcome::Failed(EFAULT),
        };
        outcome.with(self)
    }

    /// Makes an address accessible, as if user space had accessed it.
    ///
    /// Returns `true` if the mmap lock was dropped and reacquired. Anything looked up before the
    /// call may be stale; the same holds if an error is returned. The call borrows the guard
    /// mutably, so the caller can hold no reference to a VMA that it found through it.
    ///
    /// The kernel may unmap the page again at any time after this.
    ///
    /// # Context
    ///
    /// Sleeps. The caller must not hold a VMA lock of the mm, nor a lock that a driver's fault
    /// handler takes.
    ///
    /// # Errors
    ///
    /// - [`EFAULT`] if user space must not access the address in this way, or the memory is broken.
    /// - [`ENOMEM`] if there is not enough memory.
    /// - [`EINTR`] if a fatal signal is pending.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{pgtable::FaultAccess, testing::*}, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let addr = mm.mmap_anonymous(PAGE_SIZE)?;
    /// let mut guard = mm.current().mmap_read_lock();
    /// guard.fixup_user_fault(addr, FaultAccess::Read)?;
    /// assert_eq!(guard.fixup_user_fault(0, FaultAccess::Read), Err(EFAULT));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn fixup_user_fault(&mut self, addr: usize, access: FaultAccess) -> Result<bool> {
        let mm: &MmWithUser = self.mm;
        let flags = access.flags(mm.as_raw());
        let mut unlocked = false;
        might_sleep();
        // SAFETY: By the type invariants, the current thread holds the mmap lock for reading. C
        // returns with it held. If C drops it meanwhile, no reference to a VMA is left that it
        // could invalidate, since `self` is borrowed mutably.
        to_result(unsafe { bindings::fixup_user_fault(mm.as_raw(), addr, flags, &mut unlocked) })?;
        Ok(unlocked)
    }
}

#[cfg(CONFIG_PER_VMA_LOCK)]
impl<'a> VmaReadGuard<'a> {
    /// Handles a fault under the VMA lock, as if user space had accessed the address.
    ///
    /// Many faults need the mmap lock, and result in [`Handled::Retry`]. The caller then continues
    /// with [`MmapReadGuard::fixup_user_fault`].
    ///
    /// # Context
    ///
    /// Sleeps. The caller must not hold another lock of the mm, nor a lock that a driver's fault
    /// handler takes.
    ///
    /// # Errors
    ///
    /// As for [`MmapReadGuard::handle_mm_fault`].
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::{pgtable::{FaultAccess, Handled}, testing::*},
    ///     page::PAGE_SIZE,
    /// };
    ///
    /// let mm = UserMm::attach()?;
    /// let addr = mm.mmap_anonymous(PAGE_SIZE)?;
    /// if let Some(guard) = mm.current().lock_vma_under_rcu(addr) {
    ///     match guard.handle_mm_fault(addr, FaultAccess::Read) {
    ///         Handled::Done(_) | Handled::Completed | Handled::Retry => {}
    ///         Handled::Failed(_, err) => return Err(err),
    ///     }
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn handle_mm_fault(self, addr: usize, access: FaultAccess) -> Handled<Self> {
        let extra = bindings::fault_flag_FAULT_FLAG_VMA_LOCK;
        // SAFETY:
        // - By the type invariants, the current thread holds the VMA lock of this VMA, and `extra`
        //   says so.
        // - If the lock is dropped, `with` leaks the guard, so neither it nor the VMA is used
        //   again.
        unsafe { handle(&self, addr, access, extra) }.with(self)
    }
}
