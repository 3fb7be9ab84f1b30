// SPDX-License-Identifier: GPL-2.0

// A driver keeps its view of a BAR where files find it, and so after the driver is unbound.
// error: E0521
// message: `pdev` escapes the function body here

include!("prelude.rs");

pub struct Registers {
    #[cfg(not(twin))]
    pub view: kernel::pci::BarView<'static>,
    #[cfg(twin)]
    pub view: kernel::pci::DevresBarView,
}

pub fn probe(pdev: &kernel::pci::Device<kernel::device::Bound>) -> Result<Registers> {
    let view = pdev.claim_bar(0, c"registers")?.iomap(0..256)?;
    #[cfg(not(twin))]
    return Ok(Registers { view });
    #[cfg(twin)]
    return Ok(Registers {
        view: view.into_devres()?,
    });
}
