// SPDX-License-Identifier: GPL-2.0

//! Faults in which something that can be read becomes writable.

use super::{
    common_methods,
    Context, //
};
use crate::{
    bindings,
    mm::{
        folio::Folio,
        ops::{
            DataRef,
            VmOperations, //
        },
        owned::OwnedVma, //
    },
    page::PAGE_MASK, //
};
use core::{
    marker::PhantomData,
    mem,
    ops::Deref,
    ptr::NonNull, //
};

/// A page that can be read is about to become writable.
///
/// # Invariants
///
/// The page of the fault belongs to a folio that has a reference, and that is not locked by this
/// thread unless there is a [`LockedFaultFolio`].
pub struct MkwriteFault<O> {
    context: Context<O>,
}

impl<O: VmOperations> MkwriteFault<O> {
    /// # Safety
    ///
    /// `vmf` must be a fault that the kernel has called `page_mkwrite` for and that this thread is
    /// handling; its VMA must have the operations `O` and live private data.
    #[inline]
    pub(in super::super) unsafe fn from_raw(vmf: NonNull<bindings::vm_fault>) -> Self {
        // INVARIANT: The kernel sets the page, and holds a reference and no lock.
        Self {
            // SAFETY: As the caller promises; the kernel holds the locks.
            context: unsafe { Context::new(vmf) },
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
    /// Sleeps until nobody else holds the lock. Must not be called again while the result is there.
    #[inline]
    pub fn lock(&self) -> LockedFaultFolio<'_> {
        // SAFETY: The folio has a reference.
        unsafe { bindings::folio_lock(self.folio().as_ptr()) };
        // INVARIANT: Just locked.
        LockedFaultFolio {
            folio: self.folio(),
            _fault: PhantomData,
        }
    }
}

/// The folio of a fault, locked.
///
/// # Invariants
///
/// The folio is locked, and the lock is this value's to give up.
#[must_use = "the lock is given up when this is dropped"]
pub struct LockedFaultFolio<'a> {
    folio: &'a Folio,
    _fault: PhantomData<&'a ()>,
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
    pub(in super::super) fn into_raw(self) -> bindings::vm_fault_t {
        match self {
            MkwriteAnswer::Locked(folio) => {
                mem::forget(folio);
                bindings::vm_fault_reason_VM_FAULT_LOCKED
            }
            MkwriteAnswer::Gone => bindings::vm_fault_reason_VM_FAULT_NOPAGE,
        }
    }
}

/// A page frame that can be read is about to become writable.
pub struct PfnMkwriteFault<O> {
    context: Context<O>,
}

impl<O: VmOperations> PfnMkwriteFault<O> {
    /// # Safety
    ///
    /// `vmf` must be a fault that the kernel has called `pfn_mkwrite` for and that this thread is
    /// handling; its VMA must have the operations `O` and live private data.
    #[inline]
    pub(in super::super) unsafe fn from_raw(vmf: NonNull<bindings::vm_fault>) -> Self {
        Self {
            // SAFETY: As the caller promises; the kernel holds the locks.
            context: unsafe { Context::new(vmf) },
        }
    }

    common_methods!();
}
