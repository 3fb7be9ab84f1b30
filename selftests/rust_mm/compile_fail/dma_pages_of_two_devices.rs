// SPDX-License-Identifier: GPL-2.0

// A driver maps the same pages for two devices.
// error: E0382
// message: use of moved value: `pages`

include!("prelude.rs");

use kernel::{
    device::Bound,
    mm::dma::{Cpu, DmaPages, FromDevice},
    pci, //
};

type Pages = DmaPages<FromDevice, Cpu>;

pub fn share(
    one: &pci::Device<Bound>,
    other: &pci::Device<Bound>,
    pages: KernelPages,
) -> Result<(Pages, Pages)> {
    let first = DmaPages::new(one, pages, GFP_KERNEL)?;
    #[cfg(twin)]
    let pages = KernelPages::new(1, GFP_KERNEL)?;
    let second = DmaPages::new(other, pages, GFP_KERNEL)?;
    Ok((first, second))
}
