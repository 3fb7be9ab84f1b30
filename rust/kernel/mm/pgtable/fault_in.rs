// SPDX-License-Identifier: GPL-2.0

//! Faults on behalf of user space: making an address accessible without accessing it.
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

/// What an address is to be made accessible for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultAccess {
    /// Reading.
    Read,
    /// Writing. Private memory is copied.
    Write,
}

/// What has become of a fault, and of the lock `G` under which it was handled.
#[must_use = "the lock may have been given up"]
pub enum Handled<G> {
    /// The address was made accessible. The lock is still held.
    Done(G),
    /// The address was made accessible. The lock was given up.
    Completed,
    /// Nothing is decided: take the lock again, look again, and try again. The lock was given up.
    Retry,
    /// It cannot be made accessible. The lock is still held.
    Failed(G, Error),
}

impl FaultAccess {
    /// Returns the flags for C: those of a first try that can be interrupted by a deadly signal.
    fn flags(self, mm: *const bindings::mm_struct) -> u32 {
        let mut flags =
            bindings::fault_flag_FAULT_FLAG_ALLOW_RETRY | bindings::fault_flag_FAULT_FLAG_KILLABLE;
        if self == FaultAccess::Write {
            flags |= bindings::fault_flag_FAULT_FLAG_WRITE;
        }
        // SAFETY: The current task is valid, and its mm is changed by itself only.
        if !ptr::eq(mm, unsafe { (*Task::current_raw()).mm }) {
            flags |= bindings::fault_flag_FAULT_FLAG_REMOTE;
        }
        flags
    }
}

/// What C says of a fault.
enum Outcome {
    Done,
    Completed,
    Retry,
    Failed(Error),
}

impl Outcome {
    /// Returns what it means for who had `guard`.
    fn with<G>(self, guard: G) -> Handled<G> {
        match self {
            Outcome::Done => Handled::Done(guard),
            Outcome::Failed(err) => Handled::Failed(guard, err),
            Outcome::Completed | Outcome::Retry => {
                // It stands for a lock that C has given up.
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
/// Not to be inlined: modules could not, on all architectures.
///
/// # Safety
///
/// The caller must own the mmap lock for reading; or the VMA lock, if `extra` says so, and nothing
/// else. Where the result says that the lock was given up, the VMA must not be used any more.
#[inline(never)]
unsafe fn handle(vma: &VmaRef, addr: usize, access: FaultAccess, extra: u32) -> Outcome {
    might_sleep();
    // C would say again and again to a task that is to die that it has to be tried again.
    if let Err(err) = cond_resched() {
        return Outcome::Failed(err);
    }
    if addr < vma.start() || addr >= vma.end() {
        return Outcome::Failed(EFAULT);
    }
    let vma = vma.as_ptr();
    // SAFETY: The VMA is there, and its mm does not change.
    let flags = access.flags(unsafe { (*vma).vm_mm }) | extra;
    let write = access == FaultAccess::Write;
    let remote = flags & bindings::fault_flag_FAULT_FLAG_REMOTE != 0;
    // SAFETY: The VMA is there, and stable.
    if !unsafe { bindings::rust_mm_vma_permits_fault(vma, write, remote) } {
        return Outcome::Failed(EFAULT);
    }
    // SAFETY: The caller's promise; user space may make this access, and the address is in the VMA.
    let fault = unsafe { bindings::handle_mm_fault(vma, addr, flags, ptr::null_mut()) };
    if fault & bindings::vm_fault_reason_VM_FAULT_COMPLETED != 0 {
        return Outcome::Completed;
    }
    if fault & bindings::vm_fault_reason_VM_FAULT_RETRY != 0 {
        return Outcome::Retry;
    }
    // SAFETY: Only looks at the number.
    match to_result(unsafe { bindings::vm_fault_to_errno(fault, 0) }) {
        Ok(()) => Outcome::Done,
        Err(err) => Outcome::Failed(err),
    }
}

impl<'a> MmapReadGuard<'a> {
    /// Handles a fault, as if user space had accessed the address.
    ///
    /// Most callers want [`fixup_user_fault`](Self::fixup_user_fault), which tries again by itself.
    /// Others go on with [`retry_mm_fault`](Self::retry_mm_fault) after [`Handled::Retry`].
    ///
    /// # Context
    ///
    /// Sleeps. No VMA lock of the mm may be held, nor a lock that a driver's fault handler takes.
    ///
    /// # Errors
    ///
    /// In [`Handled::Failed`]:
    ///
    /// - [`EFAULT`] if user space must not access the address like this, or the memory is broken.
    /// - [`ENOMEM`] if there is not enough memory.
    /// - [`EINTR`] if the current task is about to die.
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

    /// As [`handle_mm_fault`](Self::handle_mm_fault), when that has said [`Handled::Retry`]: what was
    /// waited for is waited for under the lock now, so that it does not go on like that
    /// (`FAULT_FLAG_TRIED`).
    pub fn retry_mm_fault(self, addr: usize, access: FaultAccess) -> Handled<Self> {
        self.handle(addr, access, bindings::fault_flag_FAULT_FLAG_TRIED)
    }

    fn handle(self, addr: usize, access: FaultAccess, extra: u32) -> Handled<Self> {
        let outcome = match self.vma_lookup(addr) {
            // SAFETY: By the type invariants, we own the mmap lock.
            Some(vma) => unsafe { handle(vma, addr, access, extra) },
            None => Outcome::Failed(EFAULT),
        };
        outcome.with(self)
    }

    /// Makes an address accessible, as if user space had accessed it.
    ///
    /// Returns whether the mmap lock was given up for a time: then, what was known of the address
    /// space is known no more; and so it can be after an error. That nobody still uses it is why this
    /// borrows the guard for itself.
    ///
    /// What was made accessible may be taken away again at any time.
    ///
    /// # Context
    ///
    /// Sleeps. No VMA lock of the mm may be held, nor a lock that a driver's fault handler takes.
    ///
    /// # Errors
    ///
    /// - [`EFAULT`] if user space must not access the address like this.
    /// - [`ENOMEM`] if there is not enough memory.
    /// - [`EINTR`] if the current task is about to die.
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
        // SAFETY: By the type invariants, we own the mmap lock, which C returns with. Nobody uses a
        // VMA of it meanwhile, since `self` is borrowed mutably.
        to_result(unsafe { bindings::fixup_user_fault(mm.as_raw(), addr, flags, &mut unlocked) })?;
        Ok(unlocked)
    }
}

#[cfg(CONFIG_PER_VMA_LOCK)]
impl<'a> VmaReadGuard<'a> {
    /// Handles a fault under the VMA lock, as if user space had accessed the address.
    ///
    /// Many faults need the mmap lock, and answer with [`Handled::Retry`]: go on with
    /// [`MmapReadGuard::fixup_user_fault`] then.
    ///
    /// # Context
    ///
    /// Sleeps. No other lock of the mm may be held, nor a lock that a driver's fault handler takes.
    ///
    /// # Errors
    ///
    /// As [`MmapReadGuard::handle_mm_fault`].
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
        // SAFETY: By the type invariants, we own the VMA lock.
        unsafe { handle(&self, addr, access, extra) }.with(self)
    }
}
