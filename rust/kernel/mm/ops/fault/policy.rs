// SPDX-License-Identifier: GPL-2.0

//! Folios that are allocated for a fault, where the memory policy of the mapping wants them.

use crate::{
    alloc::Flags,
    mm::{
        memory::Folio,
        ops::{
            fault::{
                Context,
                Fault,
                HugeFault, //
            },
            Ordinary,
            Paged,
            VmOperations, //
        }, //
    },
    prelude::*,
    sync::aref::ARef, //
};

impl<O: VmOperations> Context<O> {
    /// Allocates a folio for the page of the fault.
    ///
    /// # Errors
    ///
    /// As [`Folio::alloc`].
    fn alloc_folio(&self, order: u32, flags: Flags) -> Result<ARef<Folio>> {
        let fixed = self.fixed();
        // SAFETY: By the type invariants, the VMA lock or the mmap lock is held. The address of a
        // fault is in its VMA.
        unsafe { Folio::alloc_for(fixed.vma, fixed.address, order, flags) }
    }
}

impl<O: VmOperations<Memory: Paged>> Fault<O> {
    /// Allocates a folio of `1 << order` pages for this fault, filled with zeroes.
    ///
    /// The memory is on the NUMA node that user space wants. That is decided by the memory policy
    /// of the VMA (`mbind`); if it has none, by that of the current task (`set_mempolicy`); and
    /// without any, it is the node of the current processor. [`Folio::alloc`] does not know the
    /// VMA, so a driver that allocates with it in a fault ignores `mbind`, which succeeds all the
    /// same. A policy that interleaves pages does so by their page offsets.
    ///
    /// Where the memory is remains as it is: a policy that is set later, or that another mapping of
    /// the same page has, does not move the page. On a machine with high memory, a policy applies
    /// only if `flags` has `__GFP_HIGHMEM`, as in C.
    ///
    /// Bits of `flags` for which [`alloc::flags`](crate::alloc::flags) has no name are ignored.
    ///
    /// # Context
    ///
    /// Sleeps if `flags` allows it.
    ///
    /// # Errors
    ///
    /// As [`Folio::alloc`].
    ///
    /// # Examples
    ///
    /// A device that does not keep its pages: each one is freed with its last mapping.
    ///
    /// ```
    /// use kernel::{
    ///     fs::File,
    ///     miscdevice::{MiscDevice, MiscDeviceRegistration},
    ///     mm::{
    ///         desc::{Mapping, VmaDesc},
    ///         ops::{Fault, FaultAnswer, FaultError, Ordinary, PerFile, VmOperations},
    ///         testing::*, //
    ///     },
    ///     page::PAGE_SIZE, //
    /// };
    ///
    /// struct Device {
    ///     first_number: usize,
    /// }
    ///
    /// #[vtable]
    /// impl MiscDevice for Device {
    ///     type Ptr = KBox<Self>;
    ///
    ///     fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
    ///         Err(ENODEV)
    ///     }
    ///
    ///     fn mmap_prepare<'f>(_: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
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
    ///         let folio = vmf.alloc_folio(0, GFP_KERNEL)?;
    ///         let number = vmf.data().first_number.wrapping_add(vmf.pgoff());
    ///         folio.write_at(0, &number.to_le_bytes())?;
    ///         vmf.return_page(folio, 0)
    ///     }
    /// }
    /// kernel::vm_operations!(DeviceOps);
    ///
    /// let mm = UserMm::attach()?;
    /// let file = mm.open::<Device>(KBox::new(Device { first_number: 40 }, GFP_KERNEL)?)?;
    /// let addr = file.mmap(2 * PAGE_SIZE, READ, SHARED, 1)?;
    /// assert_eq!(mm.read(addr + PAGE_SIZE)?, 42usize.to_le_bytes());
    /// assert_eq!(mm.read(addr + 2 * PAGE_SIZE - 1)?, [0]);
    /// mm.munmap(addr, 2 * PAGE_SIZE)?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn alloc_folio(&self, order: u32, flags: Flags) -> Result<ARef<Folio>> {
        self.context.alloc_folio(order, flags)
    }
}

impl<O: VmOperations<Memory = Ordinary>> HugeFault<O> {
    /// Allocates a folio of the size of the leaf, filled with zeroes.
    ///
    /// Other than that, this is [`Fault::alloc_folio`].
    ///
    /// # Context
    ///
    /// Sleeps if `flags` allows it.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the page allocator has no blocks of that size, as for PUD mappings.
    /// - [`ENOMEM`] if there is not enough contiguous memory, which is not unusual. A driver falls
    ///   back to small pages then.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::{
    ///         ops::{FaultError, HugeAnswer, HugeFault, Ordinary, VmOperations},
    ///         Folio, //
    ///     },
    ///     sync::{aref::ARef, SetOnce}, //
    /// };
    ///
    /// /// The `huge_fault` of a driver with one huge page, which it allocates when it is accessed.
    /// fn huge_fault<'a, O>(
    ///     vmf: &'a HugeFault<O>,
    ///     page: &SetOnce<ARef<Folio>>,
    /// ) -> Result<HugeAnswer<'a>, FaultError>
    /// where
    ///     O: VmOperations<Memory = Ordinary>,
    /// {
    ///     if page.as_ref().is_none() {
    ///         let Ok(folio) = vmf.alloc_folio(GFP_KERNEL) else {
    ///             return Ok(HugeAnswer::Fallback);
    ///         };
    ///         // If another thread was faster, its page is the one.
    ///         page.populate(folio);
    ///     }
    ///     match (page.as_ref(), vmf.pgoff_range()) {
    ///         (Some(page), Some(pgoffs)) if pgoffs.start == 0 => vmf.insert_folio(page),
    ///         _ => Ok(HugeAnswer::Fallback),
    ///     }
    /// }
    /// ```
    pub fn alloc_folio(&self, flags: Flags) -> Result<ARef<Folio>> {
        self.context
            .alloc_folio(self.order().nr_pages().ilog2(), flags)
    }
}
