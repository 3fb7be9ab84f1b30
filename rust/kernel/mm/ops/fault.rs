// SPDX-License-Identifier: GPL-2.0

//! Page faults in a driver's mappings.
//!
//! A callback borrows a context and returns an answer. The layer acts on the answer after the
//! callback has returned: it maps the page, or drops the lock for a retry. So a callback returns
//! exactly one answer, and nothing borrows from the context any longer. Each callback has its own
//! type of answer, with the answers that the kernel accepts there.
//!
//! The VMA lock may be the only lock that is held, so a context gives access only to what the VMA
//! lock protects.
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
mod policy;
mod slot;

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

/// The part that all fault contexts have in common.
///
/// # Invariants
///
/// - This thread is handling `vmf` for as long as the value exists.
/// - The VMA of `vmf` has the operations `O`, and its private data is live.
/// - The VMA lock or the mmap lock is held, at least for reading, and sleeping is allowed.
struct Context<O> {
    vmf: NonNull<bindings::vm_fault>,
    _ops: PhantomData<fn(O) -> O>,
    _not_send: NotThreadSafe,
}

impl<O: VmOperations> Context<O> {
    /// # Safety
    ///
    /// The type invariants must hold for as long as the value exists.
    #[inline]
    unsafe fn new(vmf: NonNull<bindings::vm_fault>) -> Self {
        // INVARIANT: By the safety requirements of this function, the invariants hold.
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
        // SAFETY: By the type invariants, `vmf` is valid. C does not change these fields after it
        // has set them.
        unsafe { &(*self.as_ptr()).__bindgen_anon_1 }
    }

    #[inline]
    fn flags(&self) -> bindings::fault_flag {
        // SAFETY: By the type invariants, `vmf` is valid, and only this thread accesses it.
        unsafe { (*self.as_ptr()).flags }
    }

    #[inline]
    fn vma(&self) -> &DriverVma<O> {
        // SAFETY: By the type invariants, the VMA has the operations `O` and live private data, and
        // while `self` exists, the VMA lock or the mmap lock is held, and sleeping is allowed.
        unsafe { DriverVma::from_raw(self.fixed().vma) }
    }
}

/// Implements the methods that all fault contexts have in common.
macro_rules! common_methods {
    () => {
        /// Returns the VMA.
        #[inline]
        pub fn vma(&self) -> &DriverVma<O> {
            self.context.vma()
        }

        /// Returns the data of the VMA; with [`PerFile`](crate::mm::ops::PerFile) data, the device.
        #[inline]
        pub fn data(&self) -> DataRef<'_, O> {
            self.context.vma().data()
        }

        /// Returns the page offset in the file of the page that is accessed.
        ///
        /// The page can be outside of the range that `mmap_prepare` was called for: user space can
        /// grow a mapping with `mremap`, unless
        /// [`DONTEXPAND`](crate::mm::flags::SetFlags::DONTEXPAND) is set. It can also be any page
        /// that `mmap_prepare` has not refused. [`index_in`](Self::index_in) checks that the memory
        /// has it.
        #[inline]
        pub fn pgoff(&self) -> usize {
            self.context.fixed().pgoff
        }

        /// Returns the index of the page that is accessed, in memory that is `len` pages long.
        ///
        /// The index is below `len`. It is the page offset, so the first page of the memory is the
        /// one at the start of the file.
        ///
        /// # Errors
        ///
        /// [`SigBus`](crate::mm::ops::FaultError::SigBus) if the memory has no such page.
        ///
        /// # Examples
        ///
        /// See [`VmaDesc::with_ops`](crate::mm::desc::VmaDesc::with_ops).
        #[inline]
        pub fn index_in(&self, len: usize) -> Result<usize, crate::mm::ops::FaultError> {
            let index = self.pgoff();
            if index < len {
                Ok(index)
            } else {
                Err(crate::mm::ops::FaultError::SigBus)
            }
        }

        /// Returns the address of the page that is accessed.
        #[inline]
        pub fn address(&self) -> usize {
            self.context.fixed().address & PAGE_MASK
        }

        /// Returns whether the access is a write.
        #[inline]
        pub fn is_write(&self) -> bool {
            self.context.flags() & bindings::fault_flag_FAULT_FLAG_WRITE != 0
        }

        /// Returns whether user space itself accesses the memory, and not the kernel on its behalf.
        ///
        /// In [`page_mkwrite`](crate::mm::ops::VmOperations::page_mkwrite) the kernel hides this,
        /// and the result is `false`.
        #[inline]
        pub fn is_user(&self) -> bool {
            self.context.flags() & bindings::fault_flag_FAULT_FLAG_USER != 0
        }

        /// Returns whether the access is to another mm than the current one, for example by a
        /// debugger.
        ///
        /// In [`page_mkwrite`](crate::mm::ops::VmOperations::page_mkwrite) the kernel hides this,
        /// and the result is `false`.
        #[inline]
        pub fn is_remote(&self) -> bool {
            self.context.flags() & bindings::fault_flag_FAULT_FLAG_REMOTE != 0
        }

        /// Returns whether this fault is handled under the VMA lock, and not under the mmap lock.
        ///
        /// In [`page_mkwrite`](crate::mm::ops::VmOperations::page_mkwrite) the kernel hides this,
        /// and the result is `false`.
        #[inline]
        pub fn under_vma_lock(&self) -> bool {
            self.context.flags() & bindings::fault_flag_FAULT_FLAG_VMA_LOCK != 0
        }
    };
}
use common_methods;

/// The context of [`fault`](VmOperations::fault): an access to a page that is not mapped.
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
    /// handling while the value exists. Its VMA must have the operations `O` and live private data.
    #[inline]
    pub(super) unsafe fn from_raw(vmf: NonNull<bindings::vm_fault>) -> Self {
        Self {
            // SAFETY: By the safety requirements of this function, this thread is handling `vmf`,
            // and the VMA has the operations `O` and live private data. The kernel calls `fault`
            // with the VMA lock or the mmap lock held, where sleeping is allowed.
            context: unsafe { Context::new(vmf) },
        }
    }

    common_methods!();

    /// Returns a permit to retry this fault, if the kernel allows a retry.
    ///
    /// A driver that has to wait for long can answer with the permit: the layer drops the lock of
    /// the fault, and the kernel repeats the access. The driver must also be able to handle the
    /// fault without a permit. The kernel allows one retry for each access, a second one if the
    /// first attempt was made under the VMA lock (`do_user_addr_fault()`), and none for some of its
    /// own accesses. If the driver is a module, the layer allows none to a kernel thread, nor to a
    /// worker thread of io_uring or vhost.
    ///
    /// If there is not enough memory to keep the file until the thread returns to user space, the
    /// fault ends as with [`FaultError::Oom`].
    #[inline]
    pub fn may_retry(&self) -> Option<RetryPermit<'_>> {
        let code = ops::fault_handler::<O>();
        // SAFETY: By the type invariants of the context, the fault is valid. C only compares `code`
        // with the addresses of modules.
        let allowed = unsafe { bindings::rust_mm_fault_may_retry(self.context.as_ptr(), code) };
        allowed.then(RetryPermit::new)
    }
}

impl<O: VmOperations<Memory: Paged>> Fault<O> {
    /// Answers with a page of a folio, which is mapped after the handler has returned.
    ///
    /// The mapping takes over the reference.
    ///
    /// This is for pages that the driver never unmaps. The handler has dropped its locks by the
    /// time that the page is mapped, so an [`unmap`] in between does not find the page, and user
    /// space keeps it: see "Returned or inserted" in
    /// `Documentation/mm/rust-mmap/vm-operations.rst`. A driver that unmaps pages uses
    /// [`insert_page`](Self::insert_page). A [`Revocation`] needs no such care: it waits until the
    /// page is mapped.
    ///
    /// [`unmap`]: crate::mm::rmap::AddressSpace::unmap
    /// [`Revocation`]: crate::mm::revoke::Revocation
    ///
    /// # Errors
    ///
    /// [`FaultError::SigBus`] if the folio has no page with index `index`.
    ///
    /// If the folio has [too many references](Folio#references), the access ends with SIGBUS after
    /// the handler has returned.
    #[inline]
    pub fn return_page(
        &self,
        folio: ARef<Folio>,
        index: usize,
    ) -> Result<FaultAnswer<'_>, FaultError> {
        FaultAnswer::page(folio, index)
    }

    /// Answers with a page of a locked folio, which is mapped after the handler has returned.
    ///
    /// The layer unlocks the folio when the handler has returned. Other than that, this is
    /// [`return_page`](Self::return_page).
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

    /// Returns the copy-on-write page of this fault, filled with zeroes, if the access is a write
    /// to a private mapping.
    ///
    /// A driver that has no page for the kernel to copy can fill this one and answer with it. If
    /// the driver answers with a page instead, the kernel copies that page.
    ///
    /// A write to a page that is mapped already, because it was read before, does not call the
    /// driver: the kernel copies the page.
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
    /// /// The first bytes of a page are its page offset.
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

    /// Maps a page of a folio at the address of the fault, before it returns.
    ///
    /// The mapping takes a reference to the folio.
    ///
    /// This is for pages that the driver may [`unmap`](crate::mm::rmap::AddressSpace::unmap). If
    /// the driver holds the same lock here and while it unmaps, the page is either mapped before
    /// `unmap`, or not at all. [`return_page`](Self::return_page) cannot ensure that.
    ///
    /// If another thread has just mapped something at the address, that remains mapped.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`FaultError::SigBus`] if the folio has no page with index `index`, the folio has
    ///   [too many references](Folio#references), or the mapping is private and the OOM killer is
    ///   reaping the mm.
    /// - [`FaultError::HwPoison`] if the memory of the page is broken.
    /// - [`FaultError::Oom`] if there is not enough memory for page tables.
    ///
    /// # Examples
    ///
    /// The driver holds one lock while it maps its page, and while it replaces and unmaps it.
    ///
    /// ```
    /// use kernel::mm::{
    ///     desc::{Mapping, VmaDesc},
    ///     ops::{Fault, FaultAnswer, FaultError, Ordinary, PerFile, VmOperations},
    ///     rmap::AddressSpace,
    ///     testing::*,
    ///     Folio, //
    /// };
    /// use kernel::{
    ///     fs::File,
    ///     miscdevice::{MiscDevice, MiscDeviceRegistration},
    ///     new_mutex,
    ///     page::PAGE_SIZE,
    ///     sync::{aref::ARef, Arc, ArcBorrow, Mutex}, //
    /// };
    ///
    /// #[pin_data]
    /// struct Device {
    ///     space: AddressSpace,
    ///     #[pin]
    ///     page: Mutex<ARef<Folio>>,
    /// }
    ///
    /// impl Device {
    ///     /// Replaces the page: user space sees the new one from then on.
    ///     fn replace(&self, new: ARef<Folio>) {
    ///         let mut page = self.page.lock();
    ///         *page = new;
    ///         self.space.unmap(0, 1);
    ///     }
    /// }
    ///
    /// #[vtable]
    /// impl MiscDevice for Device {
    ///     type Ptr = Arc<Self>;
    ///
    ///     fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
    ///         Err(ENODEV)
    ///     }
    ///
    ///     fn address_space<'a>(device: ArcBorrow<'a, Self>, _file: &'a File) -> &'a AddressSpace {
    ///         &device.into_ref().space
    ///     }
    ///
    ///     fn mmap_prepare<'f>(
    ///         _device: ArcBorrow<'f, Self>,
    ///         desc: VmaDesc<'f, Self>,
    ///     ) -> Result<Mapping<'f, Self>> {
    ///         Ok(desc.with_ops::<DeviceOps>()?.on_fault())
    ///     }
    /// }
    ///
    /// struct DeviceOps;
    ///
    /// #[vtable]
    /// impl VmOperations for DeviceOps {
    ///     type File = Device;
    ///     type Data = PerFile;
    ///     type Memory = Ordinary;
    ///
    ///     fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
    ///         let device = vmf.data();
    ///         let page = device.page.lock();
    ///         Ok(vmf.insert_page(&page, 0)?.into())
    ///     }
    /// }
    /// kernel::vm_operations!(DeviceOps);
    ///
    /// let device = Arc::pin_init(
    ///     try_pin_init!(Device {
    ///         space: AddressSpace::new::<Device>()?,
    ///         page <- new_mutex!(Folio::alloc(0, GFP_KERNEL)?),
    ///     }? Error),
    ///     GFP_KERNEL,
    /// )?;
    /// let mm = UserMm::attach()?;
    /// let file = mm.open::<Device>(device.clone())?;
    /// let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
    /// assert_eq!(mm.read(addr)?, *b"\0\0\0");
    ///
    /// let new = Folio::alloc(0, GFP_KERNEL)?;
    /// new.write_at(0, b"new")?;
    /// device.replace(new);
    /// assert_eq!(mm.read(addr)?, *b"new");
    /// mm.munmap(addr, PAGE_SIZE)?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn insert_page(&self, folio: &Folio, index: usize) -> Result<Inserted<'_>, FaultError> {
        let page = folio.page(index).ok_or(FaultError::SigBus)?;
        // SAFETY: By the type invariants of the context, this thread is handling the fault, with
        // the VMA lock or the mmap lock held. With `Paged` memory, the VMA is not a PFNMAP one.
        // `page` is a page of `folio`, which has a reference.
        unsafe { insert::fault_page(self.context.vmf, page) }?;
        Ok(Inserted::new())
    }
}

impl<O: VmOperations<Memory = Pfn>> Fault<O> {
    /// Maps the PFN with index `index` in `pfns` at the address of the fault, with the cache mode
    /// of the VMA.
    ///
    /// If another thread has just mapped something at the address, that remains mapped.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`FaultError::SigBus`] if `pfns` has no such index, the architecture does not allow user
    ///   space to access the PFN, or the PFN is [revocable](crate::mm::revoke::RevocableMemory) and
    ///   is revoked or could not be revoked from this mapping.
    /// - [`FaultError::Oom`] if there is not enough memory for page tables.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{
    ///     ops::{Fault, FaultAnswer, FaultError, Pfn, VmOperations},
    ///     DeviceMemory, //
    /// };
    ///
    /// /// The `fault` of a driver that maps the memory of a device.
    /// fn fault<'a, O>(
    ///     vmf: &'a Fault<O>,
    ///     memory: &DeviceMemory,
    /// ) -> Result<FaultAnswer<'a>, FaultError>
    /// where
    ///     O: VmOperations<Memory = Pfn>,
    /// {
    ///     Ok(vmf.insert_pfn(memory.pfns().all(), vmf.pgoff())?.into())
    /// }
    /// ```
    #[inline]
    pub fn insert_pfn(&self, pfns: impl Frames, index: usize) -> Result<Inserted<'_>, FaultError> {
        // SAFETY: The address of a fault is that of a page in its VMA.
        unsafe { self.vma().place_pfn(self.address(), pfns, index, None) }?;
        Ok(Inserted::new())
    }

    /// Maps the PFN with index `index` in `pfns` at the address of the fault, with the cache mode
    /// `cache` in place of that of the VMA.
    ///
    /// This is for a mapping of registers and memory. Other than that, it is
    /// [`insert_pfn`](Self::insert_pfn). See [`Cache`] for what x86 does with the mode.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// As [`insert_pfn`](Self::insert_pfn).
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{
    ///     ops::{Fault, FaultAnswer, FaultError, Pfn, VmOperations},
    ///     Cache,
    ///     DeviceMemory, //
    /// };
    ///
    /// /// The `fault` of a driver whose device has registers in the first page, and then memory.
    /// fn fault<'a, O>(
    ///     vmf: &'a Fault<O>,
    ///     memory: &DeviceMemory,
    /// ) -> Result<FaultAnswer<'a>, FaultError>
    /// where
    ///     O: VmOperations<Memory = Pfn>,
    /// {
    ///     let cache = match vmf.pgoff() {
    ///         0 => Cache::NonCached,
    ///         _ => Cache::Cached,
    ///     };
    ///     let pfns = memory.pfns().all();
    ///     Ok(vmf.insert_pfn_cached(pfns, vmf.pgoff(), cache)?.into())
    /// }
    /// ```
    #[inline]
    pub fn insert_pfn_cached(
        &self,
        pfns: impl Frames,
        index: usize,
        cache: Cache,
    ) -> Result<Inserted<'_>, FaultError> {
        // SAFETY: The address of a fault is that of a page in its VMA.
        unsafe {
            self.vma()
                .place_pfn(self.address(), pfns, index, Some(cache))
        }?;
        Ok(Inserted::new())
    }
}

impl<O: VmOperations<Memory = Mixed>> Fault<O> {
    /// Maps the PFN with index `index` in `pfns` at the address of the fault, in a mapping that
    /// also has folios.
    ///
    /// This is for memory, which is mapped cached, as folios are. Registers need a [`Pfn`] mapping,
    /// which has a cache mode; so does the coherent memory of a device.
    ///
    /// If another thread has just mapped something at the address, that remains mapped.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`FaultError::SigBus`] if `pfns` has no such index, the architecture does not allow user
    ///   space to access the PFN, or the PFN is [revocable](crate::mm::revoke::RevocableMemory) and
    ///   is revoked, could not be revoked from this mapping, or is coherent memory.
    /// - [`FaultError::Oom`] if there is not enough memory for page tables.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{
    ///     ops::{Fault, FaultAnswer, FaultError, Mixed, VmOperations},
    ///     Folio,
    ///     PfnRange, //
    /// };
    ///
    /// /// The `fault` of a driver that maps a folio, and then memory without reference counts.
    /// fn fault<'a, O>(
    ///     vmf: &'a Fault<O>,
    ///     folio: &Folio,
    ///     memory: &PfnRange,
    /// ) -> Result<FaultAnswer<'a>, FaultError>
    /// where
    ///     O: VmOperations<Memory = Mixed>,
    /// {
    ///     match vmf.pgoff() {
    ///         0 => Ok(vmf.insert_page(folio, 0)?.into()),
    ///         pgoff => Ok(vmf.insert_mixed(memory.all(), pgoff - 1)?.into()),
    ///     }
    /// }
    /// ```
    #[inline]
    pub fn insert_mixed(
        &self,
        pfns: impl Frames,
        index: usize,
    ) -> Result<Inserted<'_>, FaultError> {
        let vma = self.vma();
        // Where no bit of an entry says that it is special, the kernel would take references to
        // RAM, and pin it.
        if pfns.ram_mode().is_some() {
            return Err(FaultError::SigBus);
        }
        let (pfns, _section) = pfns.enter(Insertion(()), vma.mapping())?;
        if index >= pfns.nr_pages() {
            return Err(FaultError::SigBus);
        }
        // SAFETY:
        // - By the type invariants of the context, the VMA lock or the mmap lock is held, and the
        //   address of a fault is that of a page in its VMA.
        // - With `Mixed` memory, the VMA is a MIXEDMAP one.
        // - By the type invariants of `pfns`, user space may access the PFN until `_section` is
        //   dropped.
        unsafe { insert::mixed(vma.as_ptr(), self.address(), pfns.start_pfn() + index) }?;
        Ok(Inserted::new())
    }
}

/// Makes a fault evidence of the lock that the kernel handles it under.
macro_rules! evidence {
    ($fault:ident) => {
        // SAFETY: By the type invariants of the context, the VMA lock or the mmap lock is held
        // while the value exists, which keeps the VMA. The flag of the fault says which of them it
        // is.
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
