// SPDX-License-Identifier: GPL-2.0

//! Memory of platform devices that user space can map.
//!
//! C header: [`include/linux/platform_device.h`](srctree/include/linux/platform_device.h)

use super::Device;
use crate::{
    device,
    mm::{
        revoke::{
            Claim,
            RevocableMemory,
            Revocation, //
        },
        Cache, //
    },
    prelude::*,
    sync::Arc, //
};

impl Device<device::Bound> {
    /// Claims all of a memory resource for mapping it into user space.
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
    /// - [`EBUSY`] if a part of the resource has been claimed already, or if another device has the
    ///   same addresses.
    /// - [`EINVAL`] if there is no such resource, if it does not start and end at page boundaries,
    ///   or if it includes RAM.
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
        let claim = Claim::new(resource, name)?;
        let pages = 0..claim.pfns().nr_pages();
        RevocableMemory::new(self.as_ref(), &claim, pages, Cache::NonCached, revocation)
    }
}
