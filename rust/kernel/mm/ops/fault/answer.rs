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
    hint,
    marker::PhantomData,
    mem::{
        self,
        ManuallyDrop, //
    },
    ptr::{
        self,
        NonNull, //
    }, //
};

/// The reason why a fault could not be handled, which decides how the access ends.
///
/// If the kernel itself makes the access, for example in a system call, there is no signal: the
/// access fails, in most cases with [`EFAULT`].
// Of the size of a word, as a `FaultAnswer` is: the compiler returns the two in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
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
    pub(in crate::mm) fn into_raw(self) -> bindings::vm_fault_t {
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
#[derive(Clone, Copy)]
enum Kind {
    /// Map the page, or give it to the kernel, with a reference to its folio.
    Page(*mut bindings::page),
    /// Do the same, and unlock the folio.
    LockedPage(*mut bindings::page),
    /// Map the copy-on-write page, which the driver has filled.
    Cow,
    /// Do nothing: the driver has mapped something.
    Inserted,
    /// Drop the lock, and have the kernel repeat the access.
    Retry,
}

/// An answer in one word.
///
/// This is a page, or one of the constants, which are below the addresses of all pages, with bits
/// that the addresses of pages do not have.
#[derive(Clone, Copy)]
struct Word(*mut bindings::page);

impl Word {
    /// The folio of the page is locked.
    const LOCKED: usize = 1;
    /// The fault is a major one.
    const MAJOR: usize = 2;

    const COW: Self = Self(ptr::without_provenance_mut(4));
    const INSERTED: Self = Self(ptr::without_provenance_mut(8));
    const RETRY: Self = Self(ptr::without_provenance_mut(12));

    /// Returns the answer for a page whose folio is not locked.
    #[inline]
    fn new(page: NonNull<bindings::page>) -> Self {
        let addr = page.addr().get();
        // SAFETY: A `struct page` is aligned to more than these bits, and no object of the kernel
        // is within the first bytes of the address space. The compiler then knows that this is
        // none of the constants.
        unsafe {
            hint::assert_unchecked(addr & (Self::LOCKED | Self::MAJOR) == 0);
            hint::assert_unchecked(addr > Self::RETRY.0.addr() | Self::MAJOR);
        }
        Self(page.as_ptr())
    }

    #[inline]
    fn is_major(self) -> bool {
        self.0.addr() & Self::MAJOR != 0
    }

    #[inline]
    fn with(self, bit: usize) -> Self {
        Self(self.0.map_addr(|addr| addr | bit))
    }

    #[inline]
    fn is(self, other: Self) -> bool {
        self.0.addr() & !Self::MAJOR == other.0.addr()
    }

    /// Returns the page, if this is one whose folio is not locked.
    #[inline]
    fn page(self) -> Option<*mut bindings::page> {
        let is_page = self.0.addr() > Self::RETRY.0.addr() | Self::MAJOR;
        (is_page && self.0.addr() & Self::LOCKED == 0)
            .then(|| self.0.map_addr(|addr| addr & !Self::MAJOR))
    }

    fn kind(self) -> Kind {
        if let Some(page) = self.page() {
            Kind::Page(page)
        } else if self.is(Self::INSERTED) {
            Kind::Inserted
        } else if self.is(Self::COW) {
            Kind::Cow
        } else if self.is(Self::RETRY) {
            Kind::Retry
        } else {
            let page = self.0.map_addr(|addr| addr & !(Self::LOCKED | Self::MAJOR));
            Kind::LockedPage(page)
        }
    }
}

static_assert!(align_of::<bindings::page>() > Word::LOCKED | Word::MAJOR);

/// Takes the reference of an answer that is a page.
///
/// # Safety
///
/// The caller must own a reference to the folio of `page`, and must not use it afterwards.
unsafe fn into_folio(page: *mut bindings::page) -> ARef<Folio> {
    // SAFETY: By the safety requirements of this function, the folio of `page` has a reference,
    // which the caller gives up.
    unsafe { ARef::from_raw(NonNull::from(Folio::from_raw(bindings::page_folio(page)))) }
}

/// Maps the page of an answer, or gives it to the kernel, and returns the kernel's code.
///
/// The page is mapped here, unless the kernel copies it or calls `page_mkwrite` for it next. With
/// `insert`, it is mapped here in any case. A folio with too many references is refused. With
/// `locked`, the folio is unlocked afterwards.
///
/// # Safety
///
/// - This thread must be handling the fault `vmf`, with the VMA lock or the mmap lock held, and the
///   kernel must get the code.
/// - Its VMA must not be a PFNMAP one.
/// - The caller must own a reference to the folio of `page`, and with `locked` its lock, and must
///   not use them afterwards.
#[inline]
unsafe fn take_page(
    vmf: NonNull<bindings::vm_fault>,
    page: *mut bindings::page,
    insert: bool,
    locked: bool,
) -> bindings::vm_fault_t {
    // SAFETY: By the safety requirements of this function, this thread is handling `vmf` with the
    // lock held, the VMA is not a PFNMAP one, and C gets a reference to the folio of `page`, and
    // with `locked` its lock.
    unsafe { bindings::rust_mm_fault_take_page(vmf.as_ptr(), page, insert, locked) }
}

/// Acts on an answer of any kind.
///
/// Not inlined: most answers do not get here, and all drivers share the function.
///
/// # Safety
///
/// Those of [`FaultAnswer::act`], for an answer that has this word and is not used afterwards.
#[inline(never)]
unsafe fn act_on(
    word: Word,
    vmf: NonNull<bindings::vm_fault>,
    insert: bool,
) -> bindings::vm_fault_t {
    match word.kind() {
        // SAFETY: By the safety requirements of this function, this thread is handling `vmf`, the
        // kernel gets the code, and the VMA is not a PFNMAP one. By the invariants of the answer,
        // it owns a reference to the folio, which the caller does not use afterwards.
        Kind::Page(page) => unsafe { take_page(vmf, page, insert, false) },
        // SAFETY: By the safety requirements of this function, this thread is handling `vmf`, the
        // kernel gets the code, and the VMA is not a PFNMAP one. By the invariants of the answer,
        // it owns a reference to the folio and the lock of the folio, which the caller does not use
        // afterwards.
        Kind::LockedPage(page) => unsafe { take_page(vmf, page, insert, true) },
        // SAFETY: By the safety requirements of this function, this thread is handling `vmf`, and
        // the kernel gets the code. The `CowPage` that the answer was made from has initialised
        // the copy-on-write page.
        Kind::Cow => unsafe { insert::cow_page(vmf) },
        Kind::Inserted => bindings::vm_fault_reason_VM_FAULT_NOPAGE,
        Kind::Retry => {
            // SAFETY: By the safety requirements of this function, this thread is handling `vmf`.
            let flags = unsafe { (*vmf.as_ptr()).flags };
            // With FAULT_FLAG_RETRY_NOWAIT the caller keeps holding the lock.
            let keeps_lock = flags & bindings::fault_flag_FAULT_FLAG_RETRY_NOWAIT != 0;
            // SAFETY:
            // - The lock of the fault is held, and the kernel expects it to be dropped if it gets
            //   VM_FAULT_RETRY. The answer was made from a permit of this fault.
            // - By the safety requirements of this function, no reference to the VMA is left.
            // - C keeps the file, and so the module that has the code of the caller, until this
            //   thread returns to user space.
            if keeps_lock || unsafe { bindings::rust_mm_fault_release_lock(vmf.as_ptr()) } {
                bindings::vm_fault_reason_VM_FAULT_RETRY
            } else {
                bindings::vm_fault_reason_VM_FAULT_OOM
            }
        }
    }
}

/// Drops the reference of an answer that the layer does not act on, and its lock.
///
/// # Safety
///
/// `word` must be that of an answer, which is not used afterwards.
#[cold]
#[inline(never)]
unsafe fn release(word: Word) {
    match word.kind() {
        // SAFETY: By the safety requirements of this function and the invariants of the answer, it
        // owns a reference to the folio.
        Kind::Page(page) => drop(unsafe { into_folio(page) }),
        // SAFETY: By the safety requirements of this function and the invariants of the answer, it
        // owns a reference to the folio, and its lock.
        Kind::LockedPage(page) => drop(unsafe { LockedFolio::from_locked(into_folio(page)) }),
        Kind::Cow | Kind::Inserted | Kind::Retry => {}
    }
}

/// The answer of [`fault`](crate::mm::ops::VmOperations::fault).
///
/// A context makes it, or it is converted from a token: [`Inserted`], [`CowPage`] or
/// [`RetryPermit`].
///
/// # Invariants
///
/// If `word` is a page, this value owns a reference to the folio of the page. If the word says that
/// the folio is locked, this value owns the lock.
#[must_use = "the answer of the handler"]
pub struct FaultAnswer<'a> {
    word: Word,
    _context: PhantomData<&'a ()>,
}

impl FaultAnswer<'_> {
    /// Returns an answer without a page.
    #[inline]
    fn new(word: Word) -> Self {
        // INVARIANT: All callers pass one of the constants.
        Self {
            word,
            _context: PhantomData,
        }
    }

    #[inline]
    pub(super) fn page(folio: ARef<Folio>, index: usize) -> Result<Self, FaultError> {
        let page = folio.page(index).ok_or(FaultError::SigBus)?;
        let _ = ARef::into_raw(folio);
        // INVARIANT: `page` is a page of `folio`, whose reference was just given up.
        Ok(Self {
            word: Word::new(page),
            _context: PhantomData,
        })
    }

    #[inline]
    pub(super) fn locked_page(folio: LockedFolio, index: usize) -> Result<Self, FaultError> {
        let page = folio.page(index).ok_or(FaultError::SigBus)?;
        mem::forget(folio);
        // INVARIANT: `page` is a page of `folio`, whose reference and whose lock were just given
        // up.
        Ok(Self {
            word: Word::new(page).with(Word::LOCKED),
            _context: PhantomData,
        })
    }

    /// Marks the fault as one that took I/O, which the kernel counts as a major fault.
    #[inline]
    pub fn major(mut self) -> Self {
        self.word = self.word.with(Word::MAJOR);
        self
    }

    /// Returns whether [`act`](Self::act) drops the lock of the fault.
    #[inline]
    pub(in crate::mm::ops) fn is_retry(&self) -> bool {
        self.word.is(Word::RETRY)
    }

    /// Acts on the answer, and returns the kernel's code for it.
    ///
    /// With `insert`, a page is mapped here in any case, and not by the kernel later.
    ///
    /// # Safety
    ///
    /// - `vmf` must be the fault that this is the answer to, and this thread must be handling it.
    ///   If the answer is a page, the VMA must not be a PFNMAP one.
    /// - The kernel must get the code, with nothing done about the fault in between. No reference
    ///   to the VMA may be left, because the VMA may be freed.
    // The compiler has the answer in registers only if this is a part of the trampoline.
    #[inline(always)]
    pub(in crate::mm::ops) unsafe fn act(
        self,
        vmf: NonNull<bindings::vm_fault>,
        insert: bool,
    ) -> bindings::vm_fault_t {
        let word = ManuallyDrop::new(self).word;
        let major = match word.is_major() {
            true => bindings::vm_fault_reason_VM_FAULT_MAJOR,
            false => 0,
        };
        if let Some(page) = word.page() {
            // SAFETY: By the safety requirements of this function, this thread is handling `vmf`,
            // whose VMA is not a PFNMAP one, and the kernel gets the code. By the type invariants,
            // the answer owns a reference to the folio, and is not used afterwards.
            return unsafe { take_page(vmf, page, insert, false) } | major;
        }
        if word.is(Word::INSERTED) {
            return bindings::vm_fault_reason_VM_FAULT_NOPAGE | major;
        }
        // SAFETY: The requirements are those of this function. The answer is not used afterwards.
        unsafe { act_on(word, vmf, insert) | major }
    }
}

impl Drop for FaultAnswer<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: The answer is not used afterwards.
        unsafe { release(self.word) };
    }
}

impl<'a> From<Inserted<'a>> for FaultAnswer<'a> {
    #[inline]
    fn from(_: Inserted<'a>) -> Self {
        Self::new(Word::INSERTED)
    }
}

impl<'a> From<CowPage<'a>> for FaultAnswer<'a> {
    #[inline]
    fn from(_: CowPage<'a>) -> Self {
        Self::new(Word::COW)
    }
}

impl<'a> From<RetryPermit<'a>> for FaultAnswer<'a> {
    #[inline]
    fn from(_: RetryPermit<'a>) -> Self {
        Self::new(Word::RETRY)
    }
}
