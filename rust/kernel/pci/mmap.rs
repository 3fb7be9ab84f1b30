// SPDX-License-Identifier: GPL-2.0

//! BARs that user space can map.
//!
//! C header: [`include/linux/pci.h`](srctree/include/linux/pci.h)

use super::Device;
use crate::{
    bindings,
    device,
    mm::{
        rmap::Revocation,
        RevocableMemory, //
    },
    prelude::*,
    sync::Arc, //
};

impl Device<device::Bound> {
    /// Claims a memory BAR, all of it, for mapping it into user space.
    ///
    /// When the driver is unbound, `revocation` takes the memory away, and the claim ends.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`EBUSY`] if it, or a part of it, was claimed already.
    /// - [`EINVAL`] if there is no such BAR, if it is not memory, if it has got no addresses, or if it
    ///   does not start and end at page borders.
    /// - [`ENODEV`] if the revocation has been used up: one that several devices share is when the first
    ///   is unbound.
    /// - [`ENOMEM`] if there is not enough memory. The revocation is used up then.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     device::Core,
    ///     mm::{rmap::Revocation, RevocableMemory},
    ///     pci,
    ///     sync::Arc, //
    /// };
    ///
    /// /// The first lines of a `probe`.
    /// fn claim(pdev: &pci::Device<Core<'_>>) -> Result<RevocableMemory> {
    ///     pdev.enable_device_mem()?;
    ///     let revocation = Arc::pin_init(Revocation::new(), GFP_KERNEL)?;
    ///     pdev.map_bar(2, c"my registers", &revocation)
    /// }
    /// ```
    pub fn map_bar(
        &self,
        bar: u32,
        name: &'static CStr,
        revocation: &Arc<Revocation>,
    ) -> Result<RevocableMemory> {
        let (start, size) = (self.resource_start(bar)?, self.resource_len(bar)?);
        let number = c_int::try_from(bar)?;
        // SAFETY: The device is valid, and the number is that of a BAR.
        let flags = unsafe { bindings::pci_bar_flags(self.as_raw(), number) };
        if flags & bindings::IORESOURCE_MEM as c_ulong == 0 {
            return Err(EINVAL);
        }
        RevocableMemory::new(self.as_ref(), start, size, name, revocation)
    }
}
