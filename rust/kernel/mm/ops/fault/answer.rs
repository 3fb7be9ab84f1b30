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

/// The reason why a fault could not be handled, which decides how the access ends.
///
/// If the kernel itself makes the access, for example in a system call, there is no signal: the
/// access fails, in most cases with [`EFAULT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultError {
    /// There is not enough memory: the kernel calls the OOM killer and repeats the access.
    Oom,
    /// There is nothing at the address: the access ends with SIGBUS.
    SigBus,
    /// The address must not be accessed: the access ends with SIGSEGV.
    SigSegv,
    /// The memory is broken: the access ends with SIGBUS and `BUS_MCEERR_AR`.
    HwPoison,
}

impl FaultError {
    /// Returns the kernel's code for the error.
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

/// Converts an errno as `vmf_error` does in C: [`ENOMEM`] to [`Oom`](FaultError::Oom),
/// [`EHWPOISON`] to [`HwPoison`](FaultError::HwPoison), and all others to
/// [`SigBus`](FaultError::SigBus).
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

/// Proof that an insertion at the address of the fault has succeeded.
#[derive(Debug)]
#[must_use = "this is what the handler answers with"]
pub struct Inserted<'a>(PhantomData<&'a ()>);

impl Inserted<'_> {
    #[inline]
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

/// Permit to retry a fault, from [`Fault::may_retry`](crate::mm::ops::Fault::may_retry).
#[derive(Debug)]
#[must_use = "this is what the handler answers with"]
pub struct RetryPermit<'a>(PhantomData<&'a ()>);

impl RetryPermit<'_> {
    #[inline]
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

/// How the layer acts on an answer, after the handler has returned.
enum Kind {
    /// Give the page to the kernel, with a reference to its folio.
    Page(ARef<Folio>, NonNull<bindings::page>),
    /// Unlock the folio, and give the page to the kernel, with a reference to the folio.
    LockedPage(LockedFolio, NonNull<bindings::page>),
    /// Map the copy-on-write page, which the driver has filled.
    Cow,
    /// Do nothing: the driver has mapped something.
    Inserted,
    /// Drop the lock, and have the kernel repeat the access.
    Retry,
}

/// Maps the page of an answer and returns the kernel's code, or returns [`None`] if the page is for
/// the kernel to map.
///
/// - With `insert`, the page is mapped here.
/// - A page of a large folio is mapped here, unless the kernel copies it. The kernel would map more
///   than this page, up to the size of the file's inode, which may not be the driver's
///   (`finish_fault()` in mm/memory.c).
/// - A folio with too many references is refused.
///
/// # Safety
///
/// The requirements of [`insert::fault_page`] must be met, and `page` must be a page of `folio`.
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
    // SAFETY: By the safety requirements of this function, this thread is handling `vmf`.
    if !insert && (order == 0 || !unsafe { (*vmf.as_ptr()).cow_page }.is_null()) {
        return None;
    }
    // SAFETY: By the safety requirements of this function, those of `fault_page` are met. `folio`
    // is borrowed, so it has a reference.
    Some(match unsafe { insert::fault_page(vmf, page) } {
        Ok(()) => bindings::vm_fault_reason_VM_FAULT_NOPAGE,
        Err(err) => FaultError::from(err).into_raw(),
    })
}

/// Gives a page to the kernel, with a reference to its folio, and returns the code for that.
///
/// # Safety
///
/// - This thread must be handling the fault `vmf`, and the kernel must get the code.
/// - `page` must be a page of `folio`.
#[inline]
unsafe fn give(
    vmf: NonNull<bindings::vm_fault>,
    folio: ARef<Folio>,
    page: NonNull<bindings::page>,
) -> bindings::vm_fault_t {
    let _ = ARef::into_raw(folio);
    // SAFETY: By the safety requirements of this function, this thread is handling `vmf`. The
    // kernel gets the reference that `folio` has owned, together with the page.
    unsafe { (*vmf.as_ptr()).page = page.as_ptr() };
    0
}

/// The answer of [`fault`](crate::mm::ops::VmOperations::fault).
///
/// A context makes it, or it is converted from a token: [`Inserted`], [`CowPage`] or
/// [`RetryPermit`].
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

    /// Marks the fault as one that took I/O, which the kernel counts as a major fault.
    #[inline]
    pub fn major(mut self) -> Self {
        self.major = true;
        self
    }

    /// Returns whether [`act`](Self::act) drops the lock of the fault.
    #[inline]
    pub(in crate::mm::ops) fn is_retry(&self) -> bool {
        matches!(self.kind, Kind::Retry)
    }

    /// Acts on the answer, and returns the kernel's code for it.
    ///
    /// With `insert`, a page is mapped here, and not by the kernel later.
    ///
    /// # Safety
    ///
    /// - `vmf` must be the fault that this is the answer to, and this thread must be handling it.
    ///   If the answer is a page, the VMA must not be a PFNMAP one.
    /// - The kernel must get the code, with nothing done about the fault in between. No reference
    ///   to the VMA may be left, because the VMA may be freed.
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
                // SAFETY: By the safety requirements of this function, this thread is handling
                // `vmf`, and the VMA is not a PFNMAP one. `page` is a page of `folio`.
                let placed = unsafe { place(vmf, &folio, page, insert) };
                // SAFETY: By the safety requirements of this function, this thread is handling
                // `vmf`, and the kernel gets the code. `page` is a page of `folio`.
                placed.unwrap_or_else(|| unsafe { give(vmf, folio, page) })
            }
            Kind::LockedPage(folio, page) => {
                // SAFETY: By the safety requirements of this function, this thread is handling
                // `vmf`, and the VMA is not a PFNMAP one. `page` is a page of `folio`.
                let placed = unsafe { place(vmf, &folio, page, insert) };
                // Give the page without its lock: if the memory is broken, the kernel would look
                // for the page cache of a locked page, and these pages have none (`__do_fault()` in
                // mm/memory.c). The kernel locks the folio itself.
                //
                // SAFETY: By the safety requirements of this function, this thread is handling
                // `vmf`, and the kernel gets the code. `page` is a page of `folio`.
                placed.unwrap_or_else(|| unsafe { give(vmf, folio.unlock(), page) })
            }
            // SAFETY: By the safety requirements of this function, this thread is handling `vmf`,
            // and the kernel gets the code. The `CowPage` that the answer was made from has
            // initialised the copy-on-write page.
            Kind::Cow => unsafe { insert::cow_page(vmf) },
            Kind::Inserted => bindings::vm_fault_reason_VM_FAULT_NOPAGE,
            Kind::Retry => {
                // SAFETY: By the safety requirements of this function, this thread is handling
                // `vmf`.
                let flags = unsafe { (*vmf.as_ptr()).flags };
                // With FAULT_FLAG_RETRY_NOWAIT the caller keeps holding the lock.
                let keeps_lock = flags & bindings::fault_flag_FAULT_FLAG_RETRY_NOWAIT != 0;
                // SAFETY:
                // - The lock of the fault is held, and the kernel expects it to be dropped if it
                //   gets VM_FAULT_RETRY. The answer was made from a permit of this fault.
                // - By the safety requirements of this function, no reference to the VMA is left.
                // - C keeps the file, and so the module that has this code, until this thread
                //   returns to user space.
                if keeps_lock || unsafe { bindings::rust_mm_fault_release_lock(vmf.as_ptr()) } {
                    bindings::vm_fault_reason_VM_FAULT_RETRY
                } else {
                    bindings::vm_fault_reason_VM_FAULT_OOM
                }
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
