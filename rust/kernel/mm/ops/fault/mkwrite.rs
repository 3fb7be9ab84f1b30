// SPDX-License-Identifier: GPL-2.0

//! Faults in which something that can be read becomes writable.

use crate::{
    bindings,
    mm::{
        memory::Folio,
        ops::{
            fault::{
                common_methods,
                Context, //
            },
            DataRef,
            DriverVma,
            VmOperations, //
        }, //
    },
    page::PAGE_MASK, //
};
use core::{
    cell::Cell,
    mem,
    ops::Deref,
    ptr::NonNull, //
};

/// A page that can be read is about to become writable.
///
/// # Invariants
///
/// - The page of the fault belongs to a folio that has a reference.
/// - If `locked` is set, this thread has locked the folio, by [`lock`](Self::lock), and has not unlocked
///   it since.
pub struct MkwriteFault<O> {
    context: Context<O>,
    locked: Cell<bool>,
}

impl<O: VmOperations> MkwriteFault<O> {
    /// # Safety
    ///
    /// `vmf` must be a fault that the kernel has called `page_mkwrite` for and that this thread is
    /// handling; its VMA must have the operations `O` and live private data.
    #[inline]
    pub(in crate::mm::ops) unsafe fn from_raw(vmf: NonNull<bindings::vm_fault>) -> Self {
        // INVARIANT: The kernel sets the page, and holds a reference and no lock.
        Self {
            // SAFETY: As the caller promises; the kernel holds the locks.
            context: unsafe { Context::new(vmf) },
            locked: Cell::new(false),
        }
    }

    common_methods!();

    /// Returns the folio that the page belongs to.
    #[inline]
    pub fn folio(&self) -> &Folio {
        // SAFETY: By the type invariants, there is a page, of a folio that has a reference for as
        // long as the fault is handled.
        unsafe { Folio::from_raw(bindings::page_folio((*self.context.as_ptr()).page)) }
    }

    /// Locks the folio, which is what it takes to answer that the write is fine.
    ///
    /// # Context
    ///
    /// Sleeps until no other thread holds the lock. A second call deadlocks, unless the guard that the
    /// first one returned has been dropped.
    #[inline]
    pub fn lock(&self) -> LockedFaultFolio<'_> {
        // SAFETY: The folio has a reference.
        unsafe { bindings::folio_lock(self.folio().as_ptr()) };
        // INVARIANT: Just locked.
        self.locked.set(true);
        LockedFaultFolio {
            folio: self.folio(),
            locked: &self.locked,
        }
    }

    /// Unlocks the folio if the driver has leaked the guard.
    ///
    /// A guard borrows the fault, so after the handler has returned and its answer was acted on, there is
    /// none but a leaked one. The kernel drops its reference next, and must not free a locked folio.
    #[inline]
    pub(in crate::mm::ops) fn unlock_leaked(self) {
        if self.locked.get() {
            // SAFETY: By the type invariants, this thread has locked the folio, which has a reference.
            unsafe { bindings::folio_unlock(self.folio().as_ptr()) };
        }
    }
}

/// The folio of a fault, locked.
///
/// If the guard is leaked, the folio stays locked until the handler has returned.
///
/// # Invariants
///
/// The folio is locked, which `locked` says, and the lock is this value's to give up.
#[must_use = "the lock is given up when this is dropped"]
pub struct LockedFaultFolio<'a> {
    folio: &'a Folio,
    locked: &'a Cell<bool>,
}

impl Deref for LockedFaultFolio<'_> {
    type Target = Folio;

    #[inline]
    fn deref(&self) -> &Folio {
        self.folio
    }
}

impl Drop for LockedFaultFolio<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, it is locked, by us.
        unsafe { bindings::folio_unlock(self.folio.as_ptr()) };
        self.locked.set(false);
    }
}

/// The answer of [`page_mkwrite`](crate::mm::ops::VmOperations::page_mkwrite).
#[must_use = "the answer of the handler"]
pub enum MkwriteAnswer<'a> {
    /// The page may be written. The kernel unlocks it when it is writable.
    Locked(LockedFaultFolio<'a>),
    /// The driver has taken the page out of the mapping meanwhile. The access is repeated.
    Gone,
}

impl MkwriteAnswer<'_> {
    /// Returns the kernel's code, together with the lock if there is one.
    #[inline]
    pub(in crate::mm::ops) fn into_raw(self) -> bindings::vm_fault_t {
        match self {
            MkwriteAnswer::Locked(folio) => {
                // The lock goes to the kernel.
                folio.locked.set(false);
                mem::forget(folio);
                bindings::vm_fault_reason_VM_FAULT_LOCKED
            }
            MkwriteAnswer::Gone => bindings::vm_fault_reason_VM_FAULT_NOPAGE,
        }
    }
}

/// A page frame that can be read is about to become writable.
pub struct PfnMkwriteFault<O> {
    pub(super) context: Context<O>,
}

impl<O: VmOperations> PfnMkwriteFault<O> {
    /// # Safety
    ///
    /// `vmf` must be a fault that the kernel has called `pfn_mkwrite` for and that this thread is
    /// handling; its VMA must have the operations `O` and live private data.
    #[inline]
    pub(in crate::mm::ops) unsafe fn from_raw(vmf: NonNull<bindings::vm_fault>) -> Self {
        Self {
            // SAFETY: As the caller promises; the kernel holds the locks.
            context: unsafe { Context::new(vmf) },
        }
    }

    common_methods!();
}
