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
/// The kind of memory that `O` names decides what the mapping may be made of. Everything else about
/// the mapping is to be adjusted before.
///
/// # Invariants
///
/// `desc` is not copy-on-write if the kind of memory is [`Pfn`].
pub struct OpsDesc<'f, O: HasVmOps> {
    desc: VmaDesc<'f, O::File>,
    _ops: core::marker::PhantomData<fn(O) -> O>,
}

impl<'f, D: MapFile> VmaDesc<'f, D> {
    /// Gives the mapping callbacks.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the memory is [`Pfn`] and the mapping is [copy-on-write](Self::is_cow): the
    /// kernel has no way to insert single page frames into such a mapping. See
    /// [`deny_cow`](Self::deny_cow). Also if the device is a [`KBox`] of a type without size.
    ///
    /// If `O` has [`may_map`](super::VmOperations::may_map), what that returns.
    ///
    /// # Examples
    ///
    /// Pages that are given out when they are accessed. `samples/rust/mm/rust_mmap_demand.rs` is a
    /// driver that does this.
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
    ///         let page = vmf.data().pages.get(vmf.pgoff()).ok_or(FaultError::SigBus)?;
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
    /// // The mapping has a reference now.
    /// assert_eq!(second.ref_count(), 3);
    /// assert_eq!(mm.read::<1>(addr + 2 * PAGE_SIZE), Err(EFAULT));
    /// mm.munmap(addr, 3 * PAGE_SIZE)?;
    /// assert_eq!(second.ref_count(), 2);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn with_ops<O: HasVmOps<File = D>>(self) -> Result<OpsDesc<'f, O>> {
        if O::Memory::FLAGS.contains(VmaFlag::PFNMAP) && self.is_cow() {
            return Err(EINVAL);
        }
        if !is_live(self.device()) {
            // A box of something that has no size: `FOREIGN_ALIGN` is not true for that. It could not
            // be told from a mapping that is still to be made.
            return Err(EINVAL);
        }
        if O::HAS_MAY_MAP {
            // SAFETY: By the type invariants, it is the private data of the file, which stays open
            // during the call. A file of type `D` has what `into_foreign` has returned.
            let device = unsafe { <D::Ptr as ForeignOwnable>::borrow(self.device()) };
            // The sum does not overflow: see `pgoff`.
            let pgoffs = self.pgoff()..self.pgoff() + self.nr_pages();
            O::may_map(device, pgoffs, self.flags().is_shared_maywrite())?;
        }
        // INVARIANT: Just checked, and nothing about it changes any more.
        Ok(OpsDesc {
            desc: self,
            _ops: core::marker::PhantomData,
        })
    }
}

impl<'f, O: HasVmOps> OpsDesc<'f, O> {
    /// Returns all of the mapping's addresses, for the actions that fill a part of it.
    #[inline]
    pub fn range(&self) -> DescRange<'f> {
        self.desc.range()
    }

    /// Returns the descriptor, and the callbacks that its mapping gets.
    fn split(self) -> (VmaDesc<'f, O::File>, Operations) {
        // Whatever must not be merged must not be extended either: the private data is for what was
        // there when it was made. And see `lower` for what has no fault handler.
        let mergeable = O::MERGEABLE && may_merge::<O>() && O::HAS_FAULT;
        let mut expand = match mergeable {
            true => VmaFlags::EMPTY,
            false => VmaFlags::new([VmaFlag::DONTEXPAND]),
        };
        if O::Data::UNIQUE {
            // For good: a VMA that must not be expanded cannot be made inheritable again
            // (`MADV_DOFORK`).
            expand = expand.with(VmaFlag::DONTCOPY);
        }
        let operations = Operations {
            table: O::table().as_ptr(),
            word: unmapped(self.desc.device()),
            flags: O::Memory::FLAGS.union(expand),
        };
        (self.desc, operations)
    }

    /// Makes a mapping, and adds the callbacks.
    ///
    /// # Errors
    ///
    /// As `map`.
    ///
    /// # Safety
    ///
    /// `map` must make a mapping with the kind of memory that `O` names.
    unsafe fn finish(
        self,
        map: impl FnOnce(VmaDesc<'f, O::File>) -> Result<Mapping<'f, O::File>>,
    ) -> Result<Mapping<'f, O::File>> {
        let (desc, operations) = self.split();
        // SAFETY: The table is that of `O`, whose callbacks expect the private data of a file of
        // type `O::File`, marked, before `mapped` is called. The memory is as the caller promises.
        Ok(unsafe { map(desc)?.with_operations(operations) })
    }
}

/// Returns whether faults reach the driver. Without, the kernel answers all of them with SIGBUS.
const fn has_fault_handler<O: VmOperations>() -> bool {
    O::HAS_FAULT || O::HAS_HUGE_FAULT
}

impl<'f, O: HasVmOps<Memory: Paged>> OpsDesc<'f, O> {
    /// Maps nothing at mmap time: pages are faulted in.
    ///
    /// Does not build unless `O` has a fault handler.
    pub fn on_fault(self) -> Mapping<'f, O::File> {
        const {
            assert!(
                has_fault_handler::<O>(),
                "no page is ever mapped: implement `fault`, or use `map_nothing`"
            )
        };
        self.map_no_pages()
    }

    /// Maps nothing: an access ends with SIGBUS, except where the driver has inserted a page.
    ///
    /// For a driver that needs the other callbacks, or that fills [`Mixed`] memory from outside of a
    /// fault ([`DriverVma::insert_page`](super::DriverVma::insert_page)). Does not build if `O` has a fault
    /// handler, which would be called.
    ///
    /// # Examples
    ///
    /// See [`PerVmaUnique`](super::PerVmaUnique).
    pub fn map_nothing(self) -> Mapping<'f, O::File> {
        const {
            assert!(
                !has_fault_handler::<O>(),
                "the fault handler maps pages: use `on_fault`"
            )
        };
        self.map_no_pages()
    }

    fn map_no_pages(self) -> Mapping<'f, O::File> {
        let (desc, operations) = self.split();
        // SAFETY: As in `finish`; nothing is mapped, so that is of any kind.
        unsafe { desc.map_nothing().with_operations(operations) }
    }
}

impl<'f, O: HasVmOps<Memory = Mixed>> OpsDesc<'f, O> {
    /// As [`VmaDesc::map_kernel_pages`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn map_kernel_pages(self, pages: &'f KernelPages) -> Result<Mapping<'f, O::File>> {
        // SAFETY: Makes a `Mixed` mapping.
        unsafe { self.finish(|desc| desc.map_kernel_pages(pages)) }
    }

    /// As [`VmaDesc::map_kernel_pages_range`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn map_kernel_pages_range(
        self,
        range: DescRange<'f>,
        pages: KernelPagesSlice<'f>,
    ) -> Result<Mapping<'f, O::File>> {
        // SAFETY: Makes a `Mixed` mapping.
        unsafe { self.finish(|desc| desc.map_kernel_pages_range(range, pages)) }
    }
}

impl<'f, O: HasVmOps<Memory = Pfn>> OpsDesc<'f, O> {
    const HAS_PFN_FAULTS: () = assert!(
        has_fault_handler::<O>(),
        "no PFN is ever mapped by a fault: implement `fault`"
    );

    /// Maps nothing at mmap time: PFNs are faulted in, cached as `cache` says.
    ///
    /// Does not build unless `O` has a fault handler.
    pub fn on_pfn_fault(self, cache: Cache) -> Mapping<'f, O::File> {
        const { Self::HAS_PFN_FAULTS };
        let (desc, operations) = self.split();
        // SAFETY: As in `finish`; makes a `Pfn` mapping.
        unsafe { desc.map_pfn_faults(cache).with_operations(operations) }
    }

    /// As [`on_pfn_fault`](Self::on_pfn_fault), for frames of [`DeviceMemory`] and of
    /// [`RevocableMemory`](crate::mm::revoke::RevocableMemory).
    ///
    /// Makes a difference in a machine that encrypts its memory: that of a device is not encrypted. With
    /// [`on_pfn_fault`](Self::on_pfn_fault), user space would read and write something else there.
    ///
    /// Does not build unless `O` has a fault handler.
    pub fn on_io_fault(self, cache: Cache) -> Mapping<'f, O::File> {
        const { Self::HAS_PFN_FAULTS };
        let (desc, operations) = self.split();
        // SAFETY: As in `finish`; makes a `Pfn` mapping.
        unsafe { desc.map_io_faults(cache).with_operations(operations) }
    }

    /// As [`VmaDesc::remap_pfn`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn remap_pfn(self, pfns: &'f PfnRange, cache: Cache) -> Result<Mapping<'f, O::File>> {
        // SAFETY: Makes a `Pfn` mapping.
        unsafe { self.finish(|desc| desc.remap_pfn(pfns, cache)) }
    }

    /// As [`VmaDesc::remap_pfn_range`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn remap_pfn_range(
        self,
        range: DescRange<'f>,
        pfns: PfnSlice<'f>,
        cache: Cache,
    ) -> Result<Mapping<'f, O::File>> {
        // SAFETY: Makes a `Pfn` mapping.
        unsafe { self.finish(|desc| desc.remap_pfn_range(range, pfns, cache)) }
    }

    /// As [`VmaDesc::io_remap`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn io_remap(self, memory: &'f DeviceMemory, cache: Cache) -> Result<Mapping<'f, O::File>> {
        // SAFETY: Makes a `Pfn` mapping.
        unsafe { self.finish(|desc| desc.io_remap(memory, cache)) }
    }

    /// As [`VmaDesc::io_remap_range`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn io_remap_range(
        self,
        range: DescRange<'f>,
        memory: &'f DeviceMemory,
        first: usize,
        cache: Cache,
    ) -> Result<Mapping<'f, O::File>> {
        // SAFETY: Makes a `Pfn` mapping.
        unsafe { self.finish(|desc| desc.io_remap_range(range, memory, first, cache)) }
    }
}
