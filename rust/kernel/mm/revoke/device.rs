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
    mm::{
        memory::{
            pfn::{
                Insertion,
                RamMode,
                Sealed, //
            },
            Cache,
            Frames,
            PfnRange,
            PfnSlice, //
        },
        revoke::{
            Claim,
            Revocation,
            RevocationGuard,
            Share, //
        }, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc, //
};
use core::{
    ops::Range,
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
/// [`DriverVma::insert_pfns`]), and only into mappings of files that have the revocation's address
/// space ([`MiscDevice::address_space`](crate::miscdevice::MiscDevice::address_space)). A mapping
/// that is populated at mmap time, as by [`io_remap`](crate::mm::desc::VmaDesc::io_remap), is
/// briefly accessible before `->mapped` can fail it.
///
/// [`HugeFault::insert_pfns`] maps them by PMD leaves if the mapping has
/// [`DONTCOPY`](crate::mm::flags::SetFlags::DONTCOPY), since a revocation could miss a leaf that
/// `fork` is copying, and under other conditions, which it documents. It never maps them by PUD
/// leaves.
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
/// The claim covers the whole resource, so `iomap_region` of the same BAR fails. A driver that uses
/// registers in the BAR itself takes its view of them from the claim: see
/// [`pci::ClaimedBar`](crate::pci::ClaimedBar).
///
/// # Context
///
/// When the driver is unbound, the layer waits for fault handlers while the device lock is held. So
/// a fault handler must not wait for anything that another thread does under that lock. Dropping
/// the last reference to the revocation sleeps.
///
/// The coherent memory of a device ([`CoherentMemory`](crate::mm::dma::CoherentMemory)) is revoked
/// and mapped in the same way, although it is RAM.
///
/// # Invariants
///
/// Until `revocation` is revoked forever, `pfns` is claimed memory of a device, and contains no
/// RAM; or, if there is a `ram`, it is RAM that user space may access, and that is there.
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
///         rmap::AddressSpace, //
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
///         let cache = regs.memory.cache();
///         Ok(desc.with_ops::<RegistersOps>()?.on_io_fault(cache))
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
/// [`HugeFault::insert_pfns`]: crate::mm::ops::HugeFault::insert_pfns
/// [`DriverVma::insert_pfn`]: crate::mm::ops::DriverVma::insert_pfn
/// [`DriverVma::insert_pfns`]: crate::mm::ops::DriverVma::insert_pfns
pub struct RevocableMemory {
    pfns: PfnRange,
    cache: Cache,
    revocation: Arc<Revocation>,
    ram: Option<DeviceRam>,
}

/// What is known of memory that is RAM: where the kernel has its first page, and how it is mapped.
#[cfg_attr(not(CONFIG_PCI), allow(dead_code))]
pub(in crate::mm) struct DeviceRam {
    pub(in crate::mm) start: NonNull<u8>,
    pub(in crate::mm) mode: RamMode,
}

// SAFETY: The address is only used in a section of the revocation, by C code that expects
// concurrent changes.
unsafe impl Send for DeviceRam {}
// SAFETY: Any number of threads may have the address, for the same reason.
unsafe impl Sync for DeviceRam {}

impl RevocableMemory {
    /// Makes pages of claimed memory mappable, for as long as a driver is bound to the device.
    ///
    /// `pages` are indices of pages of the claim.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`EBUSY`] if one of the pages is used with another cache mode; see [`Share::new`].
    /// - [`EINVAL`] if `pages` is empty, or the claim does not have all of them, or if `cache` is
    ///   [`Cached`](Cache::Cached), which cannot be reserved.
    /// - [`ENODEV`] if the memory of the revocation is revoked forever. If several devices share a
    ///   revocation, that is so when the first of them is unbound.
    /// - [`ENOMEM`] if there is not enough memory. The revocation may then be revoked forever.
    pub(crate) fn new(
        device: &Device<Bound>,
        claim: &Arc<Claim>,
        pages: Range<usize>,
        cache: Cache,
        revocation: &Arc<Revocation>,
    ) -> Result<Self> {
        if cache == Cache::Cached {
            return Err(EINVAL);
        }
        let share = Share::new(claim, pages, cache)?;
        let slice = share.pfns()?;
        // SAFETY: The PFNs are claimed, and contain no RAM. `OnUnbind` revokes them from user space
        // before it drops its share of the claim.
        let pfns = unsafe { PfnRange::new(slice.start_pfn(), slice.nr_pages()) }?;
        revoke_at_unbind(device, revocation, share)?;
        // INVARIANT: By the type invariants of the claim, the memory contains no RAM. `OnUnbind`
        // drops its share of the claim after it has revoked the memory.
        Ok(Self {
            pfns,
            cache,
            revocation: revocation.clone(),
            ram: None,
        })
    }

    /// Makes RAM mappable, for as long as a driver is bound to the device.
    ///
    /// `resource` is dropped at once if this fails, and otherwise when the driver is unbound, after
    /// the memory is revoked.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new) but [`EBUSY`] and [`EINVAL`].
    ///
    /// # Safety
    ///
    /// Until `resource` is dropped, `pfns` must be RAM that user space may access, mapped as `ram`
    /// says, and the kernel must have it where `ram` says, valid for reads and writes.
    #[cfg_attr(not(CONFIG_PCI), allow(dead_code))]
    pub(in crate::mm) unsafe fn of_ram<R: Send + 'static>(
        device: &Device<Bound>,
        pfns: PfnRange,
        ram: DeviceRam,
        revocation: &Arc<Revocation>,
        resource: R,
    ) -> Result<Self> {
        revoke_at_unbind(device, revocation, resource)?;
        // INVARIANT: By the safety requirements of this function, the memory is RAM, and is there
        // until `OnUnbind` has revoked it.
        Ok(Self {
            pfns,
            cache: Cache::Cached,
            revocation: revocation.clone(),
            ram: Some(ram),
        })
    }

    /// Returns the cache mode that mappings of the memory should have.
    ///
    /// A driver passes it on, as in `on_io_fault(memory.cache())`. The coherent memory of a device
    /// is always mapped as the device needs it, in spite of this and any other mode.
    #[inline]
    pub fn cache(&self) -> Cache {
        self.cache
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
        // INVARIANT: The PFNs are those of this memory.
        RevocableSlice {
            pfns: self.pfns.all(),
            memory: self,
        }
    }

    /// Returns `nr_pages` pages of the memory, starting at index `first`.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the memory does not have all of them.
    pub fn slice(&self, first: usize, nr_pages: usize) -> Result<RevocableSlice<'_>> {
        // INVARIANT: The PFNs are those of this memory.
        Ok(RevocableSlice {
            pfns: self.pfns.slice(first, nr_pages)?,
            memory: self,
        })
    }
}

/// Consecutive pages of a [`RevocableMemory`].
///
/// # Invariants
///
/// `pfns` are PFNs of `memory`.
#[derive(Clone, Copy)]
pub struct RevocableSlice<'a> {
    pfns: PfnSlice<'a>,
    memory: &'a RevocableMemory,
}

impl RevocableSlice<'_> {
    /// Returns the cache mode that mappings of the memory should have.
    #[inline]
    #[cfg_attr(not(CONFIG_HAVE_IOREMAP_PROT), allow(dead_code))]
    pub(in crate::mm) fn cache(&self) -> Cache {
        self.memory.cache
    }

    /// Returns where the kernel has the first page, if the memory is RAM.
    ///
    /// The pages are valid for reads and writes in a section of the revocation.
    #[inline]
    #[cfg_attr(not(CONFIG_HAVE_IOREMAP_PROT), allow(dead_code))]
    pub(in crate::mm) fn ram(&self) -> Option<NonNull<u8>> {
        let first = self.pfns.start_pfn() - self.memory.pfns.start_pfn();
        let ram = self.memory.ram.as_ref()?;
        // SAFETY: By the type invariants, the RAM has all pages of the memory, and the slice is a
        // part of it.
        Some(unsafe { ram.start.add(first * PAGE_SIZE) })
    }
}

impl Sealed for RevocableSlice<'_> {}

impl Frames for RevocableSlice<'_> {
    type Section<'s>
        = RevocationGuard<'s>
    where
        Self: 's;

    const REVOCABLE: bool = true;

    #[inline]
    fn enter<'s>(
        &'s self,
        _: Insertion,
        mapping: *const bindings::address_space,
    ) -> Result<(PfnSlice<'s>, RevocationGuard<'s>)> {
        // The revocation would not find this mapping. For example, a stacked driver may have put
        // its own file into the VMA.
        let revocation = &self.memory.revocation;
        if !core::ptr::eq(mapping, revocation.address_space().as_ptr()) {
            return Err(EINVAL);
        }
        // Either a revocation waits until this section ends, and then finds the PFNs that were
        // inserted; or this fails because the memory is revoked.
        let section = revocation.enter().ok_or(ENODEV)?;
        Ok((self.pfns, section))
    }

    #[inline]
    fn ram_mode(&self) -> Option<RamMode> {
        self.memory.ram.as_ref().map(|ram| ram.mode)
    }
}

/// Has the memory revoked when the driver is unbound, and then drops `resource`.
///
/// # Errors
///
/// - [`ENODEV`] if the memory of the revocation is revoked forever.
/// - [`ENOMEM`] if there is not enough memory.
fn revoke_at_unbind<R: Send + 'static>(
    device: &Device<Bound>,
    revocation: &Arc<Revocation>,
    resource: R,
) -> Result {
    if revocation.is_gone() {
        return Err(ENODEV);
    }
    let on_unbind = OnUnbind {
        revocation: revocation.clone(),
        _resource: resource,
    };
    devres::register(device, on_unbind, GFP_KERNEL)
}

/// Revokes the memory when the driver is unbound.
///
/// The fields are dropped after that: a share of a claim, which ends with its last share, or what
/// frees the memory.
struct OnUnbind<R> {
    revocation: Arc<Revocation>,
    _resource: R,
}

impl<R> Drop for OnUnbind<R> {
    fn drop(&mut self) {
        self.revocation.revoke_for_good();
    }
}
