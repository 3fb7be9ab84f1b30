// SPDX-License-Identifier: GPL-2.0

//! Faults in which something that is mapped read-only becomes writable.

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

/// The context of [`page_mkwrite`](VmOperations::page_mkwrite): a page that is mapped read-only is
/// about to become writable.
///
/// # Invariants
///
/// - `folio` is the folio that the page of the fault belongs to, and has a reference.
/// - If `locked` is set, this thread has locked the folio, with [`lock`](Self::lock), and has not
///   unlocked it since.
pub struct MkwriteFault<O> {
    context: Context<O>,
    /// Looked up once, since that is a call of C for most drivers.
    folio: NonNull<Folio>,
    locked: Cell<bool>,
}

impl<O: VmOperations> MkwriteFault<O> {
    /// # Safety
    ///
    /// `vmf` must be a fault that the kernel has called `page_mkwrite` for and that this thread is
    /// handling while the value exists. Its VMA must have the operations `O` and live private data.
    #[inline]
    pub(in crate::mm::ops) unsafe fn from_raw(vmf: NonNull<bindings::vm_fault>) -> Self {
        // SAFETY: By the safety requirements of this function, the kernel has called `page_mkwrite`
        // for `vmf`. It has set the page, and has a reference to its folio.
        let folio = unsafe { Folio::from_raw(bindings::page_folio((*vmf.as_ptr()).page)) };
        // INVARIANT: `folio` is that folio. This thread has not locked it.
        Self {
            // SAFETY: By the safety requirements of this function, this thread is handling `vmf`,
            // and the VMA has the operations `O` and live private data. The kernel calls
            // `page_mkwrite` with the VMA lock or the mmap lock held, where sleeping is allowed.
            context: unsafe { Context::new(vmf) },
            folio: NonNull::from(folio),
            locked: Cell::new(false),
        }
    }

    common_methods!();

    /// Returns the folio that the page belongs to.
    #[inline]
    pub fn folio(&self) -> &Folio {
        // SAFETY: By the type invariants, the folio has a reference while the fault is handled.
        unsafe { self.folio.as_ref() }
    }

    /// Locks the folio, for the answer [`MkwriteAnswer::Locked`].
    ///
    /// # Context
    ///
    /// Sleeps until no other thread holds the lock. A second call deadlocks, unless the guard from
    /// the first call has been dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::ops::{FaultError, MkwriteAnswer, MkwriteFault, VmOperations},
    ///     sync::atomic::{Atomic, Relaxed}, //
    /// };
    ///
    /// /// The `page_mkwrite` of a driver that counts the first writes to its pages.
    /// fn page_mkwrite<'a, O: VmOperations>(
    ///     vmf: &'a MkwriteFault<O>,
    ///     written: &Atomic<i32>,
    /// ) -> Result<MkwriteAnswer<'a>, FaultError> {
    ///     written.fetch_add(1, Relaxed);
    ///     Ok(MkwriteAnswer::Locked(vmf.lock()))
    /// }
    /// ```
    #[inline]
    pub fn lock(&self) -> LockedFaultFolio<'_> {
        // SAFETY: By the type invariants, the folio has a reference.
        unsafe { bindings::folio_lock(self.folio().as_ptr()) };
        // INVARIANT: This thread has just locked the folio.
        self.locked.set(true);
        LockedFaultFolio {
            folio: self.folio(),
            locked: &self.locked,
        }
    }

    /// Unlocks the folio if the driver has leaked the guard.
    ///
    /// No other guard is left: it borrows from the fault, and the layer has acted on the answer of
    /// the handler. The kernel drops its reference next, and must not free a locked folio.
    #[inline]
    pub(in crate::mm::ops) fn unlock_leaked(self) {
        if self.locked.get() {
            // SAFETY: By the type invariants, this thread has locked the folio, which has a
            // reference.
            unsafe { bindings::folio_unlock(self.folio().as_ptr()) };
        }
    }
}

/// The locked folio of a fault.
///
/// If the driver leaks this guard, the folio remains locked until the handler has returned.
///
/// # Invariants
///
/// The folio is locked, this value owns the lock, and `locked` is set.
#[must_use = "the lock is released when this is dropped"]
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
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the folio is locked, and this value owns the lock.
        unsafe { bindings::folio_unlock(self.folio.as_ptr()) };
        self.locked.set(false);
    }
}

/// The answer of [`page_mkwrite`](crate::mm::ops::VmOperations::page_mkwrite).
#[must_use = "the answer of the handler"]
pub enum MkwriteAnswer<'a> {
    /// The page may become writable, and the kernel unlocks the folio afterwards.
    Locked(LockedFaultFolio<'a>),
    /// The driver has unmapped the page in the meantime, and the kernel repeats the access.
    Gone,
}

impl MkwriteAnswer<'_> {
    /// Returns the kernel's code, and gives it the lock if there is one.
    #[inline]
    pub(in crate::mm::ops) fn into_raw(self) -> bindings::vm_fault_t {
        match self {
            MkwriteAnswer::Locked(folio) => {
                // The kernel unlocks the folio.
                folio.locked.set(false);
                mem::forget(folio);
                bindings::vm_fault_reason_VM_FAULT_LOCKED
            }
            MkwriteAnswer::Gone => bindings::vm_fault_reason_VM_FAULT_NOPAGE,
        }
    }
}

/// The context of [`pfn_mkwrite`](VmOperations::pfn_mkwrite): a PFN that is mapped read-only is
/// about to become writable.
pub struct PfnMkwriteFault<O> {
    pub(super) context: Context<O>,
}

impl<O: VmOperations> PfnMkwriteFault<O> {
    /// # Safety
    ///
    /// `vmf` must be a fault that the kernel has called `pfn_mkwrite` for and that this thread is
    /// handling while the value exists. Its VMA must have the operations `O` and live private data.
    #[inline]
    pub(in crate::mm::ops) unsafe fn from_raw(vmf: NonNull<bindings::vm_fault>) -> Self {
        Self {
            // SAFETY: By the safety requirements of this function, this thread is handling `vmf`,
            // and the VMA has the operations `O` and live private data. The kernel calls
            // `pfn_mkwrite` with the VMA lock or the mmap lock held, where sleeping is allowed.
            context: unsafe { Context::new(vmf) },
        }
    }

    common_methods!();
}
