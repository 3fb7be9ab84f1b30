// SPDX-License-Identifier: GPL-2.0

//! Memory of platform devices that user space can map.
//!
//! C header: [`include/linux/platform_device.h`](srctree/include/linux/platform_device.h)

use super::Device;
use crate::{
    device,
    mm::revoke::{
        RevocableMemory,
        Revocation, //
    },
    prelude::*,
    sync::Arc, //
};

impl Device<device::Bound> {
    /// Claims a memory resource, all of it, for mapping it into user space.
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
    /// - [`EINVAL`] if there is no such resource, or if it does not start and end at page borders, or
    ///   has RAM in it.
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
    ///     platform,
    ///     sync::Arc, //
    /// };
    ///
    /// /// The first lines of a `probe`. `F` is the type of the files that map the memory.
    /// fn claim<F: MapFile>(pdev: &platform::Device<Core<'_>>) -> Result<RevocableMemory> {
    ///     let revocation = Arc::pin_init(Revocation::new::<F>(), GFP_KERNEL)?;
    ///     pdev.map_resource(0, c"my registers", &revocation)
    /// }
    /// ```
    pub fn map_resource(
        &self,
        index: u32,
        name: &CStr,
        revocation: &Arc<Revocation>,
    ) -> Result<RevocableMemory> {
        let resource = self.resource_by_index(index).ok_or(EINVAL)?;
        RevocableMemory::new(self.as_ref(), resource, name, revocation)
    }
}
