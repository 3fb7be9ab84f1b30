// SPDX-License-Identifier: GPL-2.0

//! PCI BARs that user space can map.
//!
//! C header: [`include/linux/pci.h`](srctree/include/linux/pci.h)

use super::Device;
use crate::{
    bindings,
    device,
    io::resource::Resource,
    mm::revoke::{
        RevocableMemory,
        Revocation, //
    },
    prelude::*,
    sync::Arc, //
};

impl Device<device::Bound> {
    /// Claims all of a memory BAR for mapping it into user space.
    ///
    /// The device must be [enabled](Device::enable_device_mem); otherwise accesses do not reach its
    /// memory.
    ///
    /// When the driver is unbound, `revocation` revokes the memory, and then the claim ends. The
    /// revocation waits for fault handlers, with the device lock held.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`EBUSY`] if a part of the BAR has been claimed already, or if another device has the same
    ///   addresses.
    /// - [`EINVAL`] if there is no such BAR (0 to 5), if it is not a memory BAR, if no addresses
    ///   are assigned to it, or if it does not start and end at page boundaries.
    /// - [`ENODEV`] if `revocation` is used up: if several devices share it, the first of them that
    ///   is unbound uses it up.
    /// - [`ENOMEM`] if there is not enough memory. `revocation` can be used up then.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     device::Core,
    ///     mm::{
    ///         revoke::{
    ///             RevocableMemory,
    ///             Revocation, //
    ///         },
    ///         MapFile, //
    ///     },
    ///     pci,
    ///     sync::Arc, //
    /// };
    ///
    /// /// The first lines of a `probe`. `F` is the type of the files that map the memory.
    /// fn claim<F: MapFile>(pdev: &pci::Device<Core<'_>>) -> Result<RevocableMemory> {
    ///     pdev.enable_device_mem()?;
    ///     let revocation = Arc::pin_init(Revocation::new::<F>(), GFP_KERNEL)?;
    ///     pdev.map_bar(2, c"my registers", &revocation)
    /// }
    /// ```
    pub fn map_bar(
        &self,
        bar: u32,
        name: &CStr,
        revocation: &Arc<Revocation>,
    ) -> Result<RevocableMemory> {
        // SAFETY: The device is valid, since `self` is a reference, and a driver is bound to it.
        let resource = unsafe { bindings::rust_pci_mem_bar(self.as_raw(), bar) };
        if resource.is_null() {
            return Err(EINVAL);
        }
        // SAFETY: The resource is the device's, so it is valid as long as the device. While a
        // driver is bound to the device, only the resource's links to other resources change.
        let resource = unsafe { Resource::from_raw(resource) };
        RevocableMemory::new(self.as_ref(), resource, name, revocation)
    }
}
