// SPDX-License-Identifier: GPL-2.0

//! Page faults of a driver's mappings.
//!
//! A callback borrows a context and returns an answer. The layer acts on the answer after the
//! callback has returned: it hands over the page, or gives up the lock for a retry. So whatever the
//! driver does, there is one answer, and no borrow from the context is left by then. Each callback
//! has its own type of answer, which can say just what the kernel understands there.
//!
//! A context gives out no more than what the VMA lock protects, since that is all that may be held.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use super::{
    insert,
    DataRef,
    DriverVma,
    Mixed,
    Paged,
    Pfn,
    VmOperations, //
};
use crate::{
    bindings,
    mm::{
        memory::{
            pfn::Insertion,
            Cache,
            Folio,
            Frames,
            LockedFolio, //
        },
        ops,
        vma::{
            evidence::{
                Held,
                Sealed,
                Token, //
            },
            Traverse, //
        }, //
    },
    page::PAGE_MASK,
    prelude::*,
    sync::aref::ARef,
    types::NotThreadSafe, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

mod answer;
mod around;
mod cow;
mod huge;
mod mkwrite;

pub use answer::{
    FaultAnswer,
    FaultError,
    Inserted,
    RetryPermit, //
};
pub use around::FaultAround;
pub use cow::CowPage;
pub use huge::{
    HugeAnswer,
    HugeFault,
    HugeOrder, //
};
pub use mkwrite::{
    LockedFaultFolio,
    MkwriteAnswer,
    MkwriteFault,
    PfnMkwriteFault, //
};

/// What every fault has.
///
/// # Invariants
///
/// - `vmf` is the fault that the kernel is handling, on this thread, during the life of the value.
/// - Its VMA has the operations `O`, and its private data is live.
/// - The VMA lock or the mmap lock is held at least for reading, and sleeping is allowed.
struct Context<O> {
    vmf: NonNull<bindings::vm_fault>,
    _ops: PhantomData<fn(O) -> O>,
    _not_send: NotThreadSafe,
}

impl<O: VmOperations> Context<O> {
    /// # Safety
    ///
    /// See the invariants.
    #[inline]
    unsafe fn new(vmf: NonNull<bindings::vm_fault>) -> Self {
        // INVARIANT: As the caller promises.
        Self {
            vmf,
            _ops: PhantomData,
            _not_send: NotThreadSafe,
        }
    }

    #[inline]
    fn as_ptr(&self) -> *mut bindings::vm_fault {
        self.vmf.as_ptr()
    }

    #[inline]
    fn fixed(&self) -> &bindings::vm_fault__bindgen_ty_1 {
        // SAFETY: By the type invariants, the fault is being handled; C calls these fields
        // immutable, and does nothing with it anyway while the driver's function runs.
        unsafe { &(*self.as_ptr()).__bindgen_anon_1 }
    }

    #[inline]
    fn flags(&self) -> bindings::fault_flag {
        // SAFETY: By the type invariants, the fault is being handled, on this thread.
        unsafe { (*self.as_ptr()).flags }
    }

    #[inline]
    fn vma(&self) -> &DriverVma<O> {
        // SAFETY: By the type invariants.
        unsafe { DriverVma::from_raw(self.fixed().vma) }
    }
}

/// Implements what every kind of context offers.
macro_rules! common_methods {
    () => {
        /// Returns the VMA.
        #[inline]
        pub fn vma(&self) -> &DriverVma<O> {
            self.context.vma()
        }

        /// Returns the data of the VMA; with [`PerFile`](crate::mm::ops::PerFile), the device.
        #[inline]
        pub fn data(&self) -> DataRef<'_, O> {
            self.context.vma().data()
        }

        /// Returns the page offset in the file of the page that is accessed.
        ///
        /// It may be beyond what the driver has mapped: a mapping can be grown with `mremap` unless
        /// [`DONTEXPAND`](crate::mm::flags::SetFlags::DONTEXPAND) is set.
        #[inline]
        pub fn pgoff(&self) -> usize {
            self.context.fixed().pgoff
        }

        /// Returns the address of the page that is accessed.
        #[inline]
        pub fn address(&self) -> usize {
            self.context.fixed().address & PAGE_MASK
        }

        /// Is it a write?
        #[inline]
        pub fn is_write(&self) -> bool {
            self.context.flags() & bindings::fault_flag_FAULT_FLAG_WRITE != 0
        }

        /// Did user space access the memory itself, rather than the kernel on its behalf?
        #[inline]
        pub fn is_user(&self) -> bool {
            self.context.flags() & bindings::fault_flag_FAULT_FLAG_USER != 0
        }

        /// Is it somebody else's mm than the current one? A debugger, for example.
        #[inline]
        pub fn is_remote(&self) -> bool {
            self.context.flags() & bindings::fault_flag_FAULT_FLAG_REMOTE != 0
        }

        /// Is it handled under the VMA lock? Otherwise under the mmap lock.
        ///
        /// In [`page_mkwrite`](crate::mm::ops::VmOperations::page_mkwrite) the kernel does not say.
        #[inline]
        pub fn under_vma_lock(&self) -> bool {
            self.context.flags() & bindings::fault_flag_FAULT_FLAG_VMA_LOCK != 0
        }
    };
}
use common_methods;

/// A page is accessed that is not there.
///
/// # Examples
///
/// See [`VmaDesc::with_ops`](crate::mm::desc::VmaDesc::with_ops).
pub struct Fault<O> {
    context: Context<O>,
}

impl<O: VmOperations> Fault<O> {
    /// # Safety
    ///
    /// `vmf` must be a fault that the kernel has called `fault` for and that this thread is
    /// handling; its VMA must have the operations `O` and live private data.
    #[inline]
    pub(super) unsafe fn from_raw(vmf: NonNull<bindings::vm_fault>) -> Self {
        Self {
            // SAFETY: As the caller promises; the kernel holds the locks.
            context: unsafe { Context::new(vmf) },
        }
    }

    common_methods!();

    /// May this fault be retried?
    ///
    /// The kernel allows that once, and not where it looks at the memory itself. A driver that has to
    /// wait long can ask for it, rather than wait with the lock held; it must be able to do without.
    #[inline]
    pub fn may_retry(&self) -> Option<RetryPermit<'_>> {
        let code = ops::fault_handler::<O>();
        // SAFETY: The fault is being handled. Of the code, only the address is looked at.
        let allowed = unsafe { bindings::rust_mm_fault_may_retry(self.context.as_ptr(), code) };
        allowed.then(RetryPermit::new)
    }
}

impl<O: VmOperations<Memory: Paged>> Fault<O> {
    /// Returns a page of a folio to the kernel, which maps it after the driver's function has returned.
    ///
    /// The reference is the kernel's from then on.
    ///
    /// For pages that the driver never unmaps. All of its locks are dropped by the time that the page
    /// is mapped, so an [`unmap`] between the two finds nothing, and user space keeps the page:
    /// see "Returned or inserted" in `Documentation/rust/mm/vm-operations.rst`. A driver that unmaps
    /// uses [`insert_page`](Self::insert_page). A [`Revocation`] alone is fine: it waits until the page
    /// is mapped.
    ///
    /// [`unmap`]: crate::mm::rmap::AddressSpace::unmap
    /// [`Revocation`]: crate::mm::revoke::Revocation
    ///
    /// # Errors
    ///
    /// [`FaultError::SigBus`] if the folio has no such page. So is the access answered if the folio has
    /// [too many references](Folio#references).
    #[inline]
    pub fn return_page(
        &self,
        folio: ARef<Folio>,
        index: usize,
    ) -> Result<FaultAnswer<'_>, FaultError> {
        FaultAnswer::page(folio, index)
    }

    /// Returns a page of a locked folio to the kernel, as [`return_page`](Self::return_page) does. The
    /// layer unlocks the folio when the driver's function has returned.
    ///
    /// # Errors
    ///
    /// As [`return_page`](Self::return_page).
    #[inline]
    pub fn return_locked_page(
        &self,
        folio: LockedFolio,
        index: usize,
    ) -> Result<FaultAnswer<'_>, FaultError> {
        FaultAnswer::locked_page(folio, index)
    }

    /// Returns the page that becomes the process's private copy, filled with zeroes, if this is the
    /// first write to a page of a private mapping.
    ///
    /// To be filled, and answered with, by a driver that has no page to answer with. With a page, the
    /// kernel makes the copy itself.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::{
    ///         ops::{
    ///             Fault,
    ///             FaultAnswer,
    ///             FaultError,
    ///             Ordinary,
    ///             VmOperations, //
    ///         },
    ///         Folio, //
    ///     },
    ///     prelude::*, //
    /// };
    ///
    /// /// What a page has in it: its number.
    /// fn fault<O: VmOperations<Memory = Ordinary>>(
    ///     vmf: &Fault<O>,
    /// ) -> Result<FaultAnswer<'_>, FaultError> {
    ///     let number = vmf.pgoff().to_le_bytes();
    ///     if let Some(copy) = vmf.cow_page() {
    ///         copy.write_at(0, &number)?;
    ///         return Ok(copy.into());
    ///     }
    ///     let folio = Folio::alloc(0, GFP_KERNEL)?;
    ///     folio.write_at(0, &number)?;
    ///     vmf.return_page(folio, 0)
    /// }
    /// ```
    #[inline]
    pub fn cow_page(&self) -> Option<CowPage<'_>> {
        CowPage::new(&self.context)
    }

    /// Maps a page of a folio at the address of the fault, now. The mapping takes a reference.
    ///
    /// For pages that the driver may [`unmap`](crate::mm::rmap::AddressSpace::unmap), which
    /// [`return_page`](Self::return_page) is not for. If a lock is held here and there, the page is
    /// either mapped before it is unmapped, or not at all.
    ///
    /// If another thread has just mapped something at the address, that stays.
    ///
    /// # Errors
    ///
    /// - [`FaultError::SigBus`] if the folio has no such page, or
    ///   [too many references](Folio#references).
    /// - [`FaultError::Oom`] if there is not enough memory for page tables.
    #[inline]
    pub fn insert_page(&self, folio: &Folio, index: usize) -> Result<Inserted<'_>, FaultError> {
        let page = folio.page(index).ok_or(FaultError::SigBus)?;
        // SAFETY: The context is that of a fault which is being handled, under a lock that allows
        // installing. The page is one of a folio that has a reference.
        unsafe { insert::fault_page(self.context.vmf, page) }?;
        Ok(Inserted::new())
    }
}

impl<O: VmOperations<Memory = Pfn>> Fault<O> {
    /// Maps a page frame at the address of the fault, with the cache mode of the VMA.
    ///
    /// If another thread has just mapped something at the address, that stays.
    ///
    /// # Errors
    ///
    /// - [`FaultError::SigBus`] if there is no frame with that index, the architecture does not allow
    ///   user space to have it, or it is [revocable](crate::mm::revoke::RevocableMemory) and taken away, or would
    ///   be out of reach.
    /// - [`FaultError::Oom`] if there is not enough memory for page tables.
    #[inline]
    pub fn insert_pfn(&self, pfns: impl Frames, index: usize) -> Result<Inserted<'_>, FaultError> {
        // SAFETY: The address of a fault is in its VMA.
        unsafe { self.vma().place_pfn(self.address(), pfns, index, None) }?;
        Ok(Inserted::new())
    }

    /// As [`insert_pfn`](Self::insert_pfn), with a cache mode of its own: for a mapping of which parts
    /// are registers and parts are memory.
    ///
    /// The cache mode that the mapping was made with does not matter.
    ///
    /// # Errors
    ///
    /// As [`insert_pfn`](Self::insert_pfn).
    #[inline]
    pub fn insert_pfn_cached(
        &self,
        pfns: impl Frames,
        index: usize,
        cache: Cache,
    ) -> Result<Inserted<'_>, FaultError> {
        // SAFETY: The address of a fault is in its VMA.
        unsafe {
            self.vma()
                .place_pfn(self.address(), pfns, index, Some(cache))
        }?;
        Ok(Inserted::new())
    }
}

impl<O: VmOperations<Memory = Mixed>> Fault<O> {
    /// Maps a page frame at the address of the fault, among the folios that are mapped otherwise.
    ///
    /// For memory: it is mapped as the folios are, cached. Registers want a [`Pfn`] mapping, which has
    /// a cache mode.
    ///
    /// If another thread has just mapped something at the address, that stays.
    ///
    /// # Errors
    ///
    /// - [`FaultError::SigBus`] if there is no frame with that index, the architecture does not allow
    ///   user space to have it, or it is [revocable](crate::mm::revoke::RevocableMemory) and taken away, or would
    ///   be out of reach.
    /// - [`FaultError::Oom`] if there is not enough memory for page tables.
    #[inline]
    pub fn insert_mixed(
        &self,
        pfns: impl Frames,
        index: usize,
    ) -> Result<Inserted<'_>, FaultError> {
        let vma = self.vma();
        let (pfns, _section) = pfns.enter(Insertion(()), vma.mapping())?;
        if index >= pfns.nr_pages() {
            return Err(FaultError::SigBus);
        }
        // SAFETY: The context is that of a fault which is being handled, under a lock that allows
        // installing. The VMA is a MIXEDMAP one, and user space may have the frame, as the type of
        // `pfns` says, as long as the section lasts.
        unsafe { insert::mixed(vma.as_ptr(), self.address(), pfns.start_pfn() + index) }?;
        Ok(Inserted::new())
    }
}

/// Makes a fault evidence of the lock that it is handled under, of which it knows.
macro_rules! evidence {
    ($fault:ident) => {
        // SAFETY: By the invariants of the context, the lock is held. Its flag names it.
        unsafe impl<O: VmOperations> Sealed for $fault<O> {
            #[inline]
            fn vma(&self, _: Token) -> *mut bindings::vm_area_struct {
                self.context.fixed().vma
            }

            #[inline]
            fn held(&self, _: Token) -> Held {
                if self.under_vma_lock() {
                    Held::Vma
                } else {
                    Held::Mmap
                }
            }
        }

        impl<O: VmOperations> Traverse for $fault<O> {}
    };
}

evidence!(Fault);
evidence!(HugeFault);
evidence!(PfnMkwriteFault);
