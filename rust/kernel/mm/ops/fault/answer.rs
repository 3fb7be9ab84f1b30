// SPDX-License-Identifier: GPL-2.0

//! The answers of a fault handler.

use crate::{
    bindings,
    error::code::*,
    mm::{
        memory::{
            Folio,
            LockedFolio, //
        },
        ops::{
            fault::cow::CowPage,
            insert, //
        }, //
    },
    prelude::*,
    sync::aref::ARef, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

/// Why a fault could not be handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultError {
    /// Not enough memory. The OOM killer does its work, and the access is repeated.
    Oom,
    /// There is nothing at the address: SIGBUS.
    SigBus,
    /// The address must not be accessed: SIGSEGV.
    SigSegv,
    /// The memory is broken: SIGBUS with `BUS_MCEERR_AR`.
    HwPoison,
}

impl FaultError {
    /// Returns the kernel's code.
    #[inline]
    pub(in crate::mm::ops) fn into_raw(self) -> bindings::vm_fault_t {
        match self {
            FaultError::Oom => bindings::vm_fault_reason_VM_FAULT_OOM,
            FaultError::SigBus => bindings::vm_fault_reason_VM_FAULT_SIGBUS,
            FaultError::SigSegv => bindings::vm_fault_reason_VM_FAULT_SIGSEGV,
            FaultError::HwPoison => bindings::vm_fault_reason_VM_FAULT_HWPOISON,
        }
    }
}

/// [`ENOMEM`] is [`Oom`](FaultError::Oom), [`EHWPOISON`] is [`HwPoison`](FaultError::HwPoison), everything
/// else [`SigBus`](FaultError::SigBus), as `vmf_error` has it in C.
impl From<Error> for FaultError {
    #[inline]
    fn from(error: Error) -> Self {
        match error {
            ENOMEM => FaultError::Oom,
            EHWPOISON => FaultError::HwPoison,
            _ => FaultError::SigBus,
        }
    }
}

impl From<crate::alloc::AllocError> for FaultError {
    #[inline]
    fn from(_: crate::alloc::AllocError) -> Self {
        FaultError::Oom
    }
}

/// Proof that there is something at the address of the fault now.
#[derive(Debug)]
#[must_use = "this is what the handler answers with"]
pub struct Inserted<'a>(PhantomData<&'a ()>);

impl Inserted<'_> {
    #[inline]
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

/// Proof that the fault may be retried.
#[derive(Debug)]
#[must_use = "this is what the handler answers with"]
pub struct RetryPermit<'a>(PhantomData<&'a ()>);

impl RetryPermit<'_> {
    #[inline]
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

/// What the layer does when the handler has returned.
enum Kind {
    /// Give the kernel the page and the reference that goes with it.
    Page(ARef<Folio>, NonNull<bindings::page>),
    /// As before; the folio is unlocked when the handler has returned.
    LockedPage(LockedFolio, NonNull<bindings::page>),
    /// Map the private copy, which the driver has filled.
    Cow,
    /// Nothing: it is mapped.
    Inserted,
    /// Give up the lock, and have the access repeated.
    Retry,
}

/// Answers with a page at once, if that is not for the kernel to do: returns the code then.
///
/// With `insert`, the page is mapped. So is a page of a large folio: of these, the kernel would map more
/// than the one page, as far as it believes the size of an inode that may not be the driver's
/// (`finish_fault()` in mm/memory.c). A folio with too many references is refused.
///
/// # Safety
///
/// As for [`insert::fault_page`], and `page` must be one of `folio`.
#[inline]
unsafe fn place(
    vmf: NonNull<bindings::vm_fault>,
    folio: &Folio,
    page: NonNull<bindings::page>,
    insert: bool,
) -> Option<bindings::vm_fault_t> {
    let Some(order) = folio.mappable_order() else {
        return Some(FaultError::SigBus.into_raw());
    };
    // SAFETY: The fault is being handled on this thread.
    if !insert && (order == 0 || !unsafe { (*vmf.as_ptr()).cow_page }.is_null()) {
        return None;
    }
    // SAFETY: The caller's promise.
    Some(match unsafe { insert::fault_page(vmf, page) } {
        Ok(()) => bindings::vm_fault_reason_VM_FAULT_NOPAGE,
        Err(err) => FaultError::from(err).into_raw(),
    })
}

/// Leaves a page to the kernel, with a reference to its folio, and returns the code for that.
///
/// # Safety
///
/// - `vmf` must be a fault that is being handled on this thread, and the kernel must get the code.
/// - `page` must be one of `folio`.
#[inline]
unsafe fn give(
    vmf: NonNull<bindings::vm_fault>,
    folio: ARef<Folio>,
    page: NonNull<bindings::page>,
) -> bindings::vm_fault_t {
    let _ = ARef::into_raw(folio);
    // SAFETY: The fault is being handled on this thread. With the page goes the reference that was just
    // taken out of its owner.
    unsafe { (*vmf.as_ptr()).page = page.as_ptr() };
    0
}

/// The answer of [`fault`](crate::mm::ops::VmOperations::fault).
///
/// Made by the context, or from the token of something that it has done.
#[must_use = "the answer of the handler"]
pub struct FaultAnswer<'a> {
    kind: Kind,
    major: bool,
    _context: PhantomData<&'a ()>,
}

impl FaultAnswer<'_> {
    #[inline]
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            major: false,
            _context: PhantomData,
        }
    }

    #[inline]
    pub(super) fn page(folio: ARef<Folio>, index: usize) -> Result<Self, FaultError> {
        let page = folio.page(index).ok_or(FaultError::SigBus)?;
        Ok(Self::new(Kind::Page(folio, page)))
    }

    #[inline]
    pub(super) fn locked_page(folio: LockedFolio, index: usize) -> Result<Self, FaultError> {
        let page = folio.page(index).ok_or(FaultError::SigBus)?;
        Ok(Self::new(Kind::LockedPage(folio, page)))
    }

    /// Counts the fault as one that took I/O.
    #[inline]
    pub fn major(mut self) -> Self {
        self.major = true;
        self
    }

    /// Will [`act`](Self::act) give up the lock?
    #[inline]
    pub(in crate::mm::ops) fn is_retry(&self) -> bool {
        matches!(self.kind, Kind::Retry)
    }

    /// Acts on the answer, and returns the kernel's code for it.
    ///
    /// With `insert`, pages are mapped right here, not by the kernel later.
    ///
    /// # Safety
    ///
    /// - `vmf` must be the fault that this is the answer to, being handled on this thread, in a VMA
    ///   that is not a PFNMAP one if the answer is a page.
    /// - The code must be what the kernel gets, with nothing done about the fault in between, and no
    ///   reference to the VMA may be left: it may be gone.
    #[inline]
    pub(in crate::mm::ops) unsafe fn act(
        self,
        vmf: NonNull<bindings::vm_fault>,
        insert: bool,
    ) -> bindings::vm_fault_t {
        let major = match self.major {
            true => bindings::vm_fault_reason_VM_FAULT_MAJOR,
            false => 0,
        };
        let code = match self.kind {
            Kind::Page(folio, page) => {
                // SAFETY: As the caller promises; `folio` has a reference.
                let placed = unsafe { place(vmf, &folio, page, insert) };
                // SAFETY: As the caller promises.
                placed.unwrap_or_else(|| unsafe { give(vmf, folio, page) })
            }
            Kind::LockedPage(folio, page) => {
                // SAFETY: As the caller promises; `folio` has a reference.
                let placed = unsafe { place(vmf, &folio, page, insert) };
                // Not with its lock: if the memory is broken, the kernel would look for the page cache of
                // a locked page, and these have none (`__do_fault()` in mm/memory.c). It takes the lock
                // itself.
                //
                // SAFETY: As the caller promises.
                placed.unwrap_or_else(|| unsafe { give(vmf, folio.unlock(), page) })
            }
            // SAFETY: The caller promises that the fault is being handled, and that the kernel gets the code.
            // There is a copy-on-write page, and it is initialised: a `CowPage` has led to this answer.
            Kind::Cow => unsafe { insert::cow_page(vmf) },
            Kind::Inserted => bindings::vm_fault_reason_VM_FAULT_NOPAGE,
            Kind::Retry => {
                // SAFETY: The fault is being handled on this thread.
                let flags = unsafe { (*vmf.as_ptr()).flags };
                // Who does not want to wait keeps the lock.
                if flags & bindings::fault_flag_FAULT_FLAG_RETRY_NOWAIT == 0 {
                    // SAFETY: The lock of the fault is held, and the kernel does not expect it to be
                    // when it gets this code. Nobody uses the VMA any more. The helper sees to it that
                    // our own code stays until this thread is done with it.
                    unsafe { bindings::rust_mm_fault_release_lock(vmf.as_ptr()) };
                }
                bindings::vm_fault_reason_VM_FAULT_RETRY
            }
        };
        code | major
    }
}

impl<'a> From<Inserted<'a>> for FaultAnswer<'a> {
    #[inline]
    fn from(_: Inserted<'a>) -> Self {
        Self::new(Kind::Inserted)
    }
}

impl<'a> From<CowPage<'a>> for FaultAnswer<'a> {
    #[inline]
    fn from(_: CowPage<'a>) -> Self {
        Self::new(Kind::Cow)
    }
}

impl<'a> From<RetryPermit<'a>> for FaultAnswer<'a> {
    #[inline]
    fn from(_: RetryPermit<'a>) -> Self {
        Self::new(Kind::Retry)
    }
}
