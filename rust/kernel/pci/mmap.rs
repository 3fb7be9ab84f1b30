// SPDX-License-Identifier: GPL-2.0

//! BARs that user space can map.
//!
//! C header: [`include/linux/pci.h`](srctree/include/linux/pci.h)

use super::Device;
use crate::{
    bindings,
    device,
    error::to_result,
    io::PhysAddr,
    mm::DeviceMemory,
    prelude::*,
    sync::aref::ARef, //
};

/// A BAR that a driver has claimed.
///
/// # Invariants
///
/// The region of the BAR was requested, and is this value's to give up.
pub struct BarClaim {
    device: ARef<Device>,
    bar: c_int,
}

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
        // SAFETY: By the type invariants, and the device has a reference.
        unsafe { bindings::pci_release_region(self.device.as_raw(), self.bar) };
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
    /// - [`EBUSY`] if it, or a part of it, was claimed already.
    /// - [`EINVAL`] if there is no such BAR, if it is not memory, or if it does not start and end at
    ///   page borders.
    pub fn map_bar(&self, bar: u32, name: &'static CStr) -> Result<DeviceMemory> {
        self.resource_len(bar)?;
        let number = c_int::try_from(bar)?;
        // SAFETY: The device is valid, and the number is that of a BAR.
        let flags = unsafe { bindings::pci_resource_flags(self.as_raw(), number) };
        if flags & bindings::IORESOURCE_MEM as c_ulong == 0 {
            return Err(EINVAL);
        }
        // SAFETY: As above; the name is static.
        to_result(unsafe {
            bindings::pci_request_region(self.as_raw(), number, name.as_char_ptr())
        })?;
        // INVARIANT: Just requested.
        DeviceMemory::from_bar(BarClaim {
            device: self.into(),
            bar: number,
        })
    }
}
