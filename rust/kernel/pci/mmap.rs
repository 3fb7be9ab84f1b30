// SPDX-License-Identifier: GPL-2.0

//! BARs that user space can map.
//!
//! C header: [`include/linux/pci.h`](srctree/include/linux/pci.h)

use super::Device;
use crate::{
    bindings,
    device,
    io::PhysAddr,
    mm::DeviceMemory,
    prelude::*,
    sync::aref::ARef, //
};
use core::ptr::NonNull;

/// A BAR that a driver has claimed.
///
/// # Invariants
///
/// `claim` is a claim of the BAR `bar` of `device`, and this value's to give up.
pub struct BarClaim {
    device: ARef<Device>,
    bar: c_int,
    claim: NonNull<bindings::resource>,
}

// SAFETY: A claim may be given up on any thread.
unsafe impl Send for BarClaim {}
// SAFETY: As above; a shared reference gives the addresses only.
unsafe impl Sync for BarClaim {}

impl BarClaim {
    /// Returns the physical address and the size of the BAR.
    pub(crate) fn range(&self) -> Result<(PhysAddr, bindings::resource_size_t)> {
        let bar = u32::try_from(self.bar).map_err(|_| EINVAL)?;
        Ok((
            self.device.resource_start(bar)?,
            self.device.resource_len(bar)?,
        ))
    }
}

impl Drop for BarClaim {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. The BAR that it is a part of is there for as long as the device,
        // which has a reference.
        unsafe { bindings::pci_release_claim(self.claim.as_ptr()) };
    }
}

impl Device<device::Bound> {
    /// Claims a memory BAR, all of it, for mapping it into user space.
    ///
    /// The claim lasts for as long as the result, which may be longer than the driver is bound. The
    /// device's own memory decoding ends earlier; take the memory away from user space then, with a
    /// [`Revocation`](crate::mm::rmap::Revocation).
    ///
    /// # Errors
    ///
    /// - [`EBUSY`] if it, or a part of it, was claimed already; also by the same driver, if files of
    ///   the time before it was unbound are still open and own the memory.
    /// - [`EINVAL`] if there is no such BAR, if it is not memory, if it has got no addresses, or if it
    ///   does not start and end at page borders.
    pub fn map_bar(&self, bar: u32, name: &'static CStr) -> Result<DeviceMemory> {
        self.resource_len(bar)?;
        let number = c_int::try_from(bar)?;
        // SAFETY: The device is valid, and the number is that of a BAR.
        let flags = unsafe { bindings::pci_bar_flags(self.as_raw(), number) };
        if flags & bindings::IORESOURCE_MEM as c_ulong == 0 {
            return Err(EINVAL);
        }
        // SAFETY: As above; the name is static.
        let claim = unsafe { bindings::pci_claim_bar(self.as_raw(), number, name.as_char_ptr()) };
        let claim = NonNull::new(claim).ok_or(EBUSY)?;
        // INVARIANT: Just claimed.
        DeviceMemory::from_bar(BarClaim {
            device: self.into(),
            bar: number,
            claim,
        })
    }
}
