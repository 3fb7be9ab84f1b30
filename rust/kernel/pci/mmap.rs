// SPDX-License-Identifier: GPL-2.0

//! BARs that user space can map.
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
    /// Claims a memory BAR, all of it, for mapping it into user space. The device has to be
    /// [enabled](Device::enable_device_mem), or what is read is not its memory.
    ///
    /// When the driver is unbound, `revocation` takes the memory away, and the claim ends. That waits
    /// for fault handlers, with the lock of the device held.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`EBUSY`] if it, or a part of it, was claimed already, or is another device's, too.
    /// - [`EINVAL`] if there is no such BAR (0 to 5), if it is not memory, if it has got no addresses, or
    ///   if it does not start and end at page borders.
    /// - [`ENODEV`] if the revocation has been used up: one that several devices share is when the first
    ///   is unbound.
    /// - [`ENOMEM`] if there is not enough memory. The revocation is used up then.
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
        // SAFETY: The device is valid.
        let resource = unsafe { bindings::rust_pci_mem_bar(self.as_raw(), bar) };
        if resource.is_null() {
            return Err(EINVAL);
        }
        // SAFETY: It is the device's, and what changes in it while a driver is bound are its relatives.
        let resource = unsafe { Resource::from_raw(resource) };
        RevocableMemory::new(self.as_ref(), resource, name, revocation)
    }
}
