// SPDX-License-Identifier: GPL-2.0

//! Device memory that is taken away from user space when the driver of the device is unbound.
//!
//! A mapping can live for longer than what it maps: a driver is unbound, a device is unplugged, and
//! the addresses that it had are given to another one. So what a driver gets of a device's memory
//! ([`pci::Device::map_bar`](crate::pci::Device::map_bar),
//! [`platform::Device::map_resource`](crate::platform::Device::map_resource)) comes with a
//! [`Revocation`], and goes only where that finds it again.

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

/// Memory of a device, page-aligned, for as long as a driver is bound to it.
///
/// While that is so, nobody else may claim the memory. When it ends, whatever user space has mapped of
/// it is [taken away](Revocation::revoke), for good, before anybody else can have the memory: each access
/// ends with SIGBUS. Files and mappings may stay for as long as they want to, and do not keep the device
/// from being bound again, with a new revocation.
///
/// That is why the frames can only be mapped by faults (or [`DriverVma::insert_pfn`]), one by one, and only
/// into mappings of files that have the revocation's address space
/// ([`MiscDevice::address_space`](crate::miscdevice::MiscDevice::address_space)). What is filled when it is
/// made, as by [`io_remap`](crate::mm::desc::VmaDesc::io_remap), can be accessed for some moments before the
/// kernel asks whether that was right; and a huge entry can be copied or moved while it is looked for.
///
/// `samples/rust/mm/rust_mmap_pfn.rs` is a driver that does this.
///
/// # Limits
///
/// Who takes frames out of a process's page table, and is not told when they go, keeps them: VFIO's type 1
/// IOMMU maps them for a user's other devices (`follow_fault_pfn` in `drivers/vfio/vfio_iommu_type1.c`),
/// ACRN's and Microsoft's hypervisors for guests, KVM with `allow_unsafe_mappings`.
///
/// All of a resource is claimed, for mapping it: registers that the driver uses itself have to be in
/// another BAR, since `iomap_region` claims as well.
///
/// # Context
///
/// When the driver is unbound, the device's lock is held while fault handlers are waited for: none may
/// wait for what somebody does under that lock. Dropping the last reference to the revocation sleeps.
///
/// # Invariants
///
/// Until `revocation` is revoked for good, `pfns` is claimed memory of a device, and not RAM.
///
/// [`DriverVma::insert_pfn`]: crate::mm::ops::DriverVma::insert_pfn
pub struct RevocableMemory {
    pfns: PfnRange,
    revocation: Arc<Revocation>,
}

impl RevocableMemory {
    /// Claims memory of a device for as long as it is bound.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the range does not start and end at page borders, is empty, or has RAM in it.
    /// - [`EBUSY`] if somebody has claimed it, or a part of it, if another device has the same addresses,
    ///   or if the resource is in no tree, and something else is there.
    /// - [`ENODEV`] if the revocation has been used up: one that is shared by several devices is when the
    ///   first is unbound.
    /// - [`ENOMEM`] if there is not enough memory. The revocation is used up then.
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
        // INVARIANT: `device_frames` has seen that it is not RAM, and the claim is given up after the
        // revocation.
        Ok(Self {
            pfns,
            revocation: revocation.clone(),
        })
    }

    /// Returns what takes the memory away.
    #[inline]
    pub fn revocation(&self) -> &Revocation {
        &self.revocation
    }

    /// Returns the number of pages, which is not zero.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        self.pfns.nr_pages()
    }

    /// Returns all of the memory.
    #[inline]
    pub fn all(&self) -> RevocableSlice<'_> {
        // INVARIANT: Of this memory, and its revocation.
        RevocableSlice {
            pfns: self.pfns.all(),
            revocation: &self.revocation,
        }
    }

    /// Returns `nr_pages` pages, from index `first` on.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if there are not as many.
    pub fn slice(&self, first: usize, nr_pages: usize) -> Result<RevocableSlice<'_>> {
        // INVARIANT: As above.
        Ok(RevocableSlice {
            pfns: self.pfns.slice(first, nr_pages)?,
            revocation: &self.revocation,
        })
    }
}

/// Some consecutive pages of a [`RevocableMemory`].
///
/// # Invariants
///
/// `pfns` and `revocation` are those of a [`RevocableMemory`].
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
        // Where a stacked driver has put its own file into the VMA, for one, it would not be found.
        if !core::ptr::eq(mapping, self.revocation.address_space().as_ptr()) {
            return Err(EINVAL);
        }
        // Either the memory is still there when this section ends, and a revocation that begins then
        // finds what was inserted; or this sees that it is gone.
        let section = self.revocation.enter().ok_or(ENODEV)?;
        Ok((self.pfns, section))
    }
}

/// What ends when a driver is unbound. The fields are dropped after the revocation.
struct OnUnbind {
    revocation: Arc<Revocation>,
    _claim: Claim,
}

impl Drop for OnUnbind {
    fn drop(&mut self) {
        self.revocation.revoke_for_good();
    }
}

/// A claim in the tree of resources, of the place that a device has there, and of nothing else's.
///
/// Not a [`Region`](crate::io::resource::Region), which may become part of another device's resource, and
/// is given up by its addresses: who moves the BARs of other devices, and puts ours back
/// (`pci_resize_resource()`), takes out what is claimed of them, and somebody else may have claimed it
/// since.
///
/// # Invariants
///
/// The pointer is that of a claim which belongs to this value.
struct Claim(NonNull<bindings::rust_mem_claim>);

// SAFETY: A claim may be given up on any thread.
unsafe impl Send for Claim {}

impl Claim {
    /// Claims all of a resource, with a copy of the name.
    fn new(resource: &Resource, name: &CStr) -> Result<Self> {
        let resource = core::ptr::from_ref(resource).cast_mut().cast();
        // SAFETY: The resource is valid, and what is in its tree changes under a lock of its own.
        let claim = unsafe { bindings::rust_mem_claim(resource, name.as_char_ptr()) };
        // INVARIANT: Just claimed.
        Ok(Self(NonNull::new(from_err_ptr(claim)?).ok_or(ENOMEM)?))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. The devres of a device is given back before its resources go,
        // and the claim is part of no other device's.
        unsafe { bindings::rust_mem_release(self.0.as_ptr()) };
    }
}
