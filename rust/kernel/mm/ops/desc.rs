// SPDX-License-Identifier: GPL-2.0

//! Mappings with callbacks.

use super::{
    data::{
        is_live,
        unmapped, //
    },
    table::may_merge,
    HasVmOps,
    Memory,
    Mixed,
    Paged,
    Pfn,
    VmOperations,
    VmaData, //
};
use crate::{
    mm::{
        desc::{
            DescRange,
            Draft,
            Mapping,
            Operations,
            VmaDesc, //
        },
        file::MapFile,
        flags::{
            VmaFlag,
            VmaFlags, //
        },
        memory::{
            Cache,
            DeviceMemory,
            KernelPages,
            KernelPagesSlice,
            PfnRange,
            PfnSlice, //
        }, //
    },
    prelude::*,
    types::ForeignOwnable, //
};

/// The description of a mapping that will have the callbacks `O`.
///
/// The kind of memory of `O` decides which calls are available to complete the mapping. The hook
/// must make all other changes to the mapping before [`VmaDesc::with_ops`].
///
/// # Invariants
///
/// `desc` is not copy-on-write if the kind of memory is [`Pfn`].
pub struct OpsDesc<'f, O: HasVmOps> {
    desc: VmaDesc<'f, O::File>,
    _ops: core::marker::PhantomData<fn(O) -> O>,
}

impl<'f, D: MapFile> VmaDesc<'f, D> {
    /// Gives the mapping the callbacks `O`.
    ///
    /// # Context
    ///
    /// May sleep, if the driver's [`may_map`](super::VmOperations::may_map) does.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the memory is [`Pfn`] and the mapping is [copy-on-write](Self::is_cow): the
    ///   kernel cannot insert single PFNs into such a mapping. See [`deny_cow`](Self::deny_cow).
    /// - [`EINVAL`] if the device is a [`KBox`] of a zero-sized type.
    /// - Those of [`may_map`](super::VmOperations::may_map), if `O` implements it.
    ///
    /// # Examples
    ///
    /// A device whose pages are faulted in; `samples/rust/mm/rust_mmap_demand.rs` is a complete
    /// driver.
    ///
    /// ```
    /// use kernel::mm::{
    ///     desc::{
    ///         Mapping,
    ///         VmaDesc, //
    ///     },
    ///     ops::{
    ///         Fault,
    ///         FaultAnswer,
    ///         FaultError,
    ///         HasVmOps,
    ///         Ordinary,
    ///         PerFile,
    ///         VmOperations, //
    ///     },
    ///     testing::*,
    ///     Folio, //
    /// };
    /// use kernel::{
    ///     fs::File,
    ///     miscdevice::{MiscDevice, MiscDeviceRegistration},
    ///     page::PAGE_SIZE,
    ///     sync::aref::ARef, //
    /// };
    ///
    /// struct Memory {
    ///     pages: [ARef<Folio>; 2],
    /// }
    ///
    /// #[vtable]
    /// impl MiscDevice for Memory {
    ///     type Ptr = KBox<Self>;
    ///
    ///     fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
    ///         Err(ENODEV)
    ///     }
    ///
    ///     fn mmap_prepare<'f>(
    ///         _memory: &'f Self,
    ///         desc: VmaDesc<'f, Self>,
    ///     ) -> Result<Mapping<'f, Self>> {
    ///         Ok(desc.with_ops::<MemoryOps>()?.on_fault())
    ///     }
    /// }
    ///
    /// struct MemoryOps;
    ///
    /// #[vtable]
    /// impl VmOperations for MemoryOps {
    ///     type File = Memory;
    ///     type Data = PerFile;
    ///     type Memory = Ordinary;
    ///
    ///     fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
    ///         let pages = &vmf.data().pages;
    ///         let page = &pages[vmf.index_in(pages.len())?];
    ///         vmf.return_page(page.clone(), 0)
    ///     }
    /// }
    /// kernel::vm_operations!(MemoryOps);
    ///
    /// let pages = [Folio::alloc(0, GFP_KERNEL)?, Folio::alloc(0, GFP_KERNEL)?];
    /// let second = pages[1].clone();
    /// second.write_at(0, b"second")?;
    ///
    /// let mm = UserMm::attach()?;
    /// let file = mm.open::<Memory>(KBox::new(Memory { pages }, GFP_KERNEL)?)?;
    /// let addr = file.mmap(3 * PAGE_SIZE, READ | WRITE, SHARED, 0)?;
    /// assert_eq!(second.ref_count(), 2);
    /// assert_eq!(mm.read(addr + PAGE_SIZE)?, *b"second");
    /// // The mapping has a reference, too.
    /// assert_eq!(second.ref_count(), 3);
    /// // User space chooses the index.
    /// assert_eq!(mm.read::<1>(addr + 2 * PAGE_SIZE), Err(EFAULT));
    /// let far = file.mmap(PAGE_SIZE, READ, SHARED, usize::MAX / PAGE_SIZE / 4)?;
    /// assert_eq!(mm.read::<1>(far), Err(EFAULT));
    /// mm.munmap(addr, 3 * PAGE_SIZE)?;
    /// assert_eq!(second.ref_count(), 2);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn with_ops<O: HasVmOps<File = D>>(self) -> Result<OpsDesc<'f, O>> {
        if O::Memory::FLAGS.contains(VmaFlag::PFNMAP) && self.is_cow() {
            return Err(EINVAL);
        }
        if !is_live(self.device()) {
            // A `KBox` of a zero-sized type: its dangling pointer violates FOREIGN_ALIGN. Bit 0
            // would not tell whether `mapped` has succeeded.
            return Err(EINVAL);
        }
        if O::HAS_MAY_MAP {
            // SAFETY: By the type invariants, this is the private data of a file of type `D`, which
            // `into_foreign` has returned. The file stays open during the call, so `from_foreign`
            // is not called.
            let device = unsafe { <D::Ptr as ForeignOwnable>::borrow(self.device()) };
            // `pgoff` documents that the sum does not overflow.
            let pgoffs = self.pgoff()..self.pgoff().wrapping_add(self.nr_pages());
            O::may_map(device, pgoffs, self.flags().is_shared_maywrite())?;
        }
        // INVARIANT: This was checked above, and the flags do not change from here on.
        Ok(OpsDesc {
            desc: self,
            _ops: core::marker::PhantomData,
        })
    }
}

impl<'f, O: HasVmOps> OpsDesc<'f, O> {
    /// Returns all addresses of the mapping, for the actions that populate a part of it.
    #[inline]
    pub fn range(&self) -> DescRange<'f> {
        self.desc.range()
    }

    /// Gives the mapping its callbacks.
    ///
    /// # Safety
    ///
    /// The action of the mapping must map the kind of memory of `O`.
    #[inline]
    unsafe fn draft(self) -> Draft<'f, O::File> {
        // A mapping that cannot be merged must not be extended either: its private data is for the
        // range that it had when it was made. `VmaDesc::without_operations` says why a mapping
        // without a fault handler gets the flag.
        let mergeable = O::MERGEABLE && may_merge::<O>() && O::HAS_FAULT;
        let mut expand = match mergeable {
            true => VmaFlags::EMPTY,
            false => VmaFlags::new([VmaFlag::DONTEXPAND]),
        };
        if O::Data::UNIQUE {
            // This is permanent: the kernel refuses `MADV_DOFORK` for a VMA that has DONTEXPAND.
            expand = expand.with(VmaFlag::DONTCOPY);
        }
        let operations = Operations {
            table: O::table().as_ptr(),
            word: unmapped(self.desc.device()),
            flags: O::Memory::FLAGS.union(expand),
        };
        // SAFETY:
        // - The table is that of `O`. Its callbacks expect the private data of a file of type
        //   `O::File`, with bit 0 set until `mapped` is called.
        // - By the safety requirements of this function, the action maps the kind of memory of `O`.
        unsafe { self.desc.with_operations(operations) }
    }
}

/// Returns whether faults call the driver; otherwise the kernel returns VM_FAULT_SIGBUS for all of
/// them.
const fn has_fault_handler<O: VmOperations>() -> bool {
    O::HAS_FAULT || O::HAS_HUGE_FAULT
}

impl<'f, O: HasVmOps<Memory: Paged>> OpsDesc<'f, O> {
    /// Maps nothing at mmap time: pages are faulted in.
    ///
    /// This does not build unless `O` has a fault handler.
    #[inline]
    pub fn on_fault(self) -> Mapping<'f, O::File> {
        const {
            assert!(
                has_fault_handler::<O>(),
                "no page is ever mapped: implement `fault`, or use `map_nothing`"
            )
        };
        self.map_no_pages()
    }

    /// Maps nothing: an access ends with SIGBUS, unless the driver has inserted a page.
    ///
    /// This is for a driver that needs only the other callbacks, or that inserts pages into
    /// [`Mixed`] memory outside of a fault
    /// ([`DriverVma::insert_page`](super::DriverVma::insert_page)). It does not build if `O` has a
    /// fault handler: use [`on_fault`](Self::on_fault).
    ///
    /// # Examples
    ///
    /// See [`PerVmaUnique`](super::PerVmaUnique).
    #[inline]
    pub fn map_nothing(self) -> Mapping<'f, O::File> {
        const {
            assert!(
                !has_fault_handler::<O>(),
                "the fault handler maps pages: use `on_fault`"
            )
        };
        self.map_no_pages()
    }

    #[inline]
    fn map_no_pages(self) -> Mapping<'f, O::File> {
        // SAFETY: Nothing is mapped, which is right for each kind of memory.
        unsafe { self.draft() }.nothing()
    }
}

impl<'f, O: HasVmOps<Memory = Mixed>> OpsDesc<'f, O> {
    /// Maps pages over all of the mapping, as [`VmaDesc::map_kernel_pages`] does.
    ///
    /// # Errors
    ///
    /// Those of [`VmaDesc::map_kernel_pages`].
    #[inline]
    pub fn map_kernel_pages(self, pages: &'f KernelPages) -> Result<Mapping<'f, O::File>> {
        // SAFETY: This makes a MIXEDMAP mapping, which is what [`Mixed`] memory is.
        unsafe { self.draft() }.kernel_pages(pages)
    }

    /// Maps pages over a part of the mapping, as [`VmaDesc::map_kernel_pages_range`] does.
    ///
    /// # Errors
    ///
    /// Those of [`VmaDesc::map_kernel_pages_range`].
    #[inline]
    pub fn map_kernel_pages_range(
        self,
        range: DescRange<'f>,
        pages: KernelPagesSlice<'f>,
    ) -> Result<Mapping<'f, O::File>> {
        // SAFETY: This makes a MIXEDMAP mapping, which is what [`Mixed`] memory is.
        unsafe { self.draft() }.kernel_pages_range(range, pages)
    }
}

impl<'f, O: HasVmOps<Memory = Pfn>> OpsDesc<'f, O> {
    const HAS_PFN_FAULTS: () = assert!(
        has_fault_handler::<O>(),
        "no PFN is ever mapped by a fault: implement `fault`"
    );

    /// Maps nothing at mmap time: PFNs are faulted in, with the cache mode `cache`.
    ///
    /// This does not build unless `O` has a fault handler.
    #[inline]
    pub fn on_pfn_fault(self, cache: Cache) -> Mapping<'f, O::File> {
        const { Self::HAS_PFN_FAULTS };
        // SAFETY: This makes a PFNMAP mapping, which is what [`Pfn`] memory is.
        unsafe { self.draft() }.pfn_faults(cache)
    }

    /// Maps nothing at mmap time: PFNs of [`DeviceMemory`] or
    /// [`RevocableMemory`](crate::mm::revoke::RevocableMemory) are faulted in, with the cache mode
    /// `cache`.
    ///
    /// This differs from [`on_pfn_fault`](Self::on_pfn_fault) on a machine that encrypts its
    /// memory: the memory of a device is not encrypted, and user space would not read and write its
    /// contents through an encrypted mapping.
    ///
    /// This does not build unless `O` has a fault handler.
    #[inline]
    pub fn on_io_fault(self, cache: Cache) -> Mapping<'f, O::File> {
        const { Self::HAS_PFN_FAULTS };
        // SAFETY: This makes a PFNMAP mapping, which is what [`Pfn`] memory is.
        unsafe { self.draft() }.io_faults(cache)
    }

    /// Maps PFNs over all of the mapping, as [`VmaDesc::remap_pfn`] does.
    ///
    /// # Errors
    ///
    /// Those of [`VmaDesc::remap_pfn`].
    #[inline]
    pub fn remap_pfn(self, pfns: &'f PfnRange, cache: Cache) -> Result<Mapping<'f, O::File>> {
        // SAFETY: This makes a PFNMAP mapping, which is what [`Pfn`] memory is.
        unsafe { self.draft() }.pfns(pfns, cache)
    }

    /// Maps PFNs over a part of the mapping, as [`VmaDesc::remap_pfn_range`] does.
    ///
    /// # Errors
    ///
    /// Those of [`VmaDesc::remap_pfn_range`].
    #[inline]
    pub fn remap_pfn_range(
        self,
        range: DescRange<'f>,
        pfns: PfnSlice<'f>,
        cache: Cache,
    ) -> Result<Mapping<'f, O::File>> {
        // SAFETY: This makes a PFNMAP mapping, which is what [`Pfn`] memory is.
        unsafe { self.draft() }.pfn_range(range, pfns, cache)
    }

    /// Maps device memory over all of the mapping, as [`VmaDesc::io_remap`] does.
    ///
    /// # Errors
    ///
    /// Those of [`VmaDesc::io_remap`].
    #[inline]
    pub fn io_remap(self, memory: &'f DeviceMemory, cache: Cache) -> Result<Mapping<'f, O::File>> {
        // SAFETY: This makes a PFNMAP mapping, which is what [`Pfn`] memory is.
        unsafe { self.draft() }.io(memory, cache)
    }

    /// Maps device memory over a part of the mapping, as [`VmaDesc::io_remap_range`] does.
    ///
    /// # Errors
    ///
    /// Those of [`VmaDesc::io_remap_range`].
    #[inline]
    pub fn io_remap_range(
        self,
        range: DescRange<'f>,
        memory: &'f DeviceMemory,
        first: usize,
        cache: Cache,
    ) -> Result<Mapping<'f, O::File>> {
        // SAFETY: This makes a PFNMAP mapping, which is what [`Pfn`] memory is.
        unsafe { self.draft() }.io_range(range, memory, first, cache)
    }
}
