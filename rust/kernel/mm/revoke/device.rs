// SPDX-License-Identifier: GPL-2.0

//! Device memory that is revoked when the driver of the device is unbound.
//!
//! A mapping can outlive the memory that it maps: the driver is unbound or the device is unplugged,
//! and another device gets the addresses. So the memory that a driver gets of a device
//! ([`pci::Device::map_bar`](crate::pci::Device::map_bar),
//! [`platform::Device::map_resource`](crate::platform::Device::map_resource)) has a [`Revocation`],
//! and can be inserted only into mappings that the revocation finds.

use crate::{
    bindings,
    device::{
        Bound,
        Device, //
    },
    devres,
    error::from_err_ptr,
    io::resource::Resource,
    mm::{
        memory::{
            pfn::{
                device_frames,
                Insertion,
                Sealed, //
            },
            Frames,
            PfnRange,
            PfnSlice, //
        },
        revoke::{
            Revocation,
            RevocationGuard, //
        }, //
    },
    prelude::*,
    sync::Arc, //
};
use core::{
    ptr::NonNull, //
};

/// Page-aligned memory of a device, accessible for as long as a driver is bound to the device.
///
/// While the driver is bound, no other driver can claim the memory. When the driver is unbound, the
/// layer [revokes](Revocation::revoke_for_good) the memory forever, before any other driver can
/// claim it: each access ends with SIGBUS. Files and mappings may exist for longer, and do not keep
/// the device from being bound again, with a new revocation.
///
/// Therefore the PFNs can be inserted only by faults (or [`DriverVma::insert_pfn`] and
/// [`DriverVma::insert_pfns`]), by PTEs, and only into mappings of files that have the revocation's
/// address space ([`MiscDevice::address_space`](crate::miscdevice::MiscDevice::address_space)). A
/// mapping that is populated at mmap time, as by [`io_remap`](crate::mm::desc::VmaDesc::io_remap),
/// is briefly accessible before `->mapped` can fail it. A revocation may miss a PMD or PUD mapping
/// that the kernel is copying or moving.
///
/// `samples/rust/mm/rust_mmap_pfn.rs` is a driver that does this.
///
/// # Limits
///
/// Some kernel code takes PFNs out of the page tables of a process and is not called back when they
/// are unmapped, and so keeps them: the type 1 IOMMU of VFIO maps them for other devices of the
/// user (`follow_fault_pfn` in `drivers/vfio/vfio_iommu_type1.c`), the hypervisors of ACRN and
/// Microsoft map them for guests, and so does KVM with `allow_unsafe_mappings`.
///
/// The claim covers the whole resource. Registers that the driver uses itself must be in another
/// BAR, since `iomap_region` makes a claim as well.
///
/// # Context
///
/// When the driver is unbound, the layer waits for fault handlers while the device lock is held. So
/// a fault handler must not wait for anything that another thread does under that lock. Dropping
/// the last reference to the revocation sleeps.
///
/// # Invariants
///
/// Until `revocation` is revoked forever, `pfns` is claimed memory of a device, and contains no
/// RAM.
///
/// # Examples
///
/// The registers of a platform device:
///
/// ```
/// use kernel::{
///     device::Core,
///     fs::File,
///     miscdevice::{MiscDevice, MiscDeviceRegistration},
///     mm::{
///         desc::{Mapping, VmaDesc},
///         ops::{Fault, FaultAnswer, FaultError, PerFile, Pfn, VmOperations},
///         revoke::{RevocableMemory, Revocation},
///         rmap::AddressSpace,
///         Cache, //
///     },
///     platform,
///     sync::{Arc, ArcBorrow},
/// };
///
/// struct Registers {
///     memory: RevocableMemory,
/// }
///
/// impl Registers {
///     /// Called from `probe`.
///     fn new(pdev: &platform::Device<Core<'_>>) -> Result<Arc<Self>> {
///         let revocation = Arc::pin_init(Revocation::new::<Self>(), GFP_KERNEL)?;
///         let memory = pdev.map_resource(0, c"my registers", &revocation)?;
///         Ok(Arc::new(Registers { memory }, GFP_KERNEL)?)
///     }
/// }
///
/// #[vtable]
/// impl MiscDevice for Registers {
///     type Ptr = Arc<Self>;
///
///     fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
///         // A driver returns what `Registers::new` has made.
///         Err(ENODEV)
///     }
///
///     fn address_space<'a>(regs: ArcBorrow<'a, Self>, _file: &'a File) -> &'a AddressSpace {
///         regs.into_ref().memory.revocation().address_space()
///     }
///
///     fn mmap_prepare<'f>(
///         regs: ArcBorrow<'f, Self>,
///         mut desc: VmaDesc<'f, Self>,
///     ) -> Result<Mapping<'f, Self>> {
///         desc.deny_cow()?;
///         // Fails if the mapping would extend past the registers.
///         regs.memory.slice(desc.pgoff(), desc.nr_pages())?;
///         Ok(desc.with_ops::<RegistersOps>()?.on_io_fault(Cache::NonCached))
///     }
/// }
///
/// struct RegistersOps;
///
/// #[vtable]
/// impl VmOperations for RegistersOps {
///     type File = Registers;
///     type Data = PerFile;
///     type Memory = Pfn;
///
///     fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
///         let regs = vmf.data();
///         Ok(vmf.insert_pfn(regs.memory.all(), vmf.pgoff())?.into())
///     }
/// }
/// kernel::vm_operations!(RegistersOps);
/// ```
///
/// [`DriverVma::insert_pfn`]: crate::mm::ops::DriverVma::insert_pfn
/// [`DriverVma::insert_pfns`]: crate::mm::ops::DriverVma::insert_pfns
pub struct RevocableMemory {
    pfns: PfnRange,
    revocation: Arc<Revocation>,
}

impl RevocableMemory {
    /// Claims a memory resource of a device, for as long as a driver is bound to the device.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the range is empty, is not page-aligned, or contains RAM.
    /// - [`EBUSY`] if another driver has claimed all or a part of it, if another device has the
    ///   same addresses, or if the resource is in no resource tree and another resource has the
    ///   addresses.
    /// - [`ENODEV`] if the memory of the revocation is revoked forever. If several devices share a
    ///   revocation, that is so when the first of them is unbound.
    /// - [`ENOMEM`] if there is not enough memory. The revocation may then be revoked forever.
    pub(crate) fn new(
        device: &Device<Bound>,
        resource: &Resource,
        name: &CStr,
        revocation: &Arc<Revocation>,
    ) -> Result<Self> {
        let pfns = device_frames(resource.start(), resource.size())?;
        if revocation.is_gone() {
            return Err(ENODEV);
        }
        let on_unbind = OnUnbind {
            revocation: revocation.clone(),
            _claim: Claim::new(resource, name)?,
        };
        devres::register(device, on_unbind, GFP_KERNEL)?;
        // INVARIANT: `device_frames` has checked that the range contains no RAM. `OnUnbind`
        // releases the claim after it has revoked the memory.
        Ok(Self {
            pfns,
            revocation: revocation.clone(),
        })
    }

    /// Returns the revocation of the memory.
    #[inline]
    pub fn revocation(&self) -> &Revocation {
        &self.revocation
    }

    /// Returns the number of pages, which is not zero.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        self.pfns.nr_pages()
    }

    /// Returns the whole memory as a slice.
    #[inline]
    pub fn all(&self) -> RevocableSlice<'_> {
        // INVARIANT: The PFNs are those of this memory, and the revocation is its revocation.
        RevocableSlice {
            pfns: self.pfns.all(),
            revocation: &self.revocation,
        }
    }

    /// Returns `nr_pages` pages of the memory, starting at index `first`.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the memory does not have all of them.
    pub fn slice(&self, first: usize, nr_pages: usize) -> Result<RevocableSlice<'_>> {
        // INVARIANT: The PFNs are those of this memory, and the revocation is its revocation.
        Ok(RevocableSlice {
            pfns: self.pfns.slice(first, nr_pages)?,
            revocation: &self.revocation,
        })
    }
}

/// Consecutive pages of a [`RevocableMemory`].
///
/// # Invariants
///
/// `pfns` are PFNs of a [`RevocableMemory`], and `revocation` is the revocation of that memory.
#[derive(Clone, Copy)]
pub struct RevocableSlice<'a> {
    pfns: PfnSlice<'a>,
    revocation: &'a Revocation,
}

impl Sealed for RevocableSlice<'_> {}

impl Frames for RevocableSlice<'_> {
    type Section<'s>
        = RevocationGuard<'s>
    where
        Self: 's;

    #[inline]
    fn enter<'s>(
        &'s self,
        _: Insertion,
        mapping: *const bindings::address_space,
    ) -> Result<(PfnSlice<'s>, RevocationGuard<'s>)> {
        // The revocation would not find this mapping. For example, a stacked driver may have put
        // its own file into the VMA.
        if !core::ptr::eq(mapping, self.revocation.address_space().as_ptr()) {
            return Err(EINVAL);
        }
        // Either a revocation waits until this section ends, and then finds the PFNs that were
        // inserted; or this fails because the memory is revoked.
        let section = self.revocation.enter().ok_or(ENODEV)?;
        Ok((self.pfns, section))
    }
}

/// Revokes the memory when the driver is unbound.
///
/// The fields are dropped after that, so the claim is released last.
struct OnUnbind {
    revocation: Arc<Revocation>,
    _claim: Claim,
}

impl Drop for OnUnbind {
    fn drop(&mut self) {
        self.revocation.revoke_for_good();
    }
}

/// A claim in the resource tree, at the place of a device's resource and at no other.
///
/// Not a [`Region`](crate::io::resource::Region): it may be placed into the resource of another
/// device, and it is released by its addresses. A driver that moves the BARs of other devices
/// (`pci_resize_resource()`) removes the claims in them, and may put our BAR back. By then, another
/// driver may have claimed the same addresses.
///
/// # Invariants
///
/// The pointer is that of a claim which this value owns.
struct Claim(NonNull<bindings::rust_mem_claim>);

// SAFETY: Any thread may release a claim.
unsafe impl Send for Claim {}

impl Claim {
    /// Claims the whole of a resource, with a copy of the name.
    ///
    /// # Errors
    ///
    /// - [`EBUSY`] if another claim or resource overlaps it.
    /// - [`ENOMEM`] if there is not enough memory.
    fn new(resource: &Resource, name: &CStr) -> Result<Self> {
        let resource = core::ptr::from_ref(resource).cast_mut().cast();
        // SAFETY: The resource is valid, and the function takes the lock of the resource tree. It
        // copies the name.
        let claim = unsafe { bindings::rust_mem_claim(resource, name.as_char_ptr()) };
        // INVARIANT: The resource was just claimed, and this value owns the claim.
        Ok(Self(NonNull::new(from_err_ptr(claim)?).ok_or(ENOMEM)?))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // SAFETY:
        // - By the type invariants, this value owns the claim, which is not used after this.
        // - The resource that the claim is in still exists: devres entries are released before the
        //   resources of a device, and the claim is in no resource of another device.
        unsafe { bindings::rust_mem_release(self.0.as_ptr()) };
    }
}
