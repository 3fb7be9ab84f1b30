// SPDX-License-Identifier: GPL-2.0

// A driver asks for the DMA address of pages that it has not given to the device.
// error: E0599
// message: no method named `segments` found for struct `DmaPages<ToDevice, Cpu>`

include!("prelude.rs");

use kernel::mm::dma::{Cpu, DmaPages, ToDevice};

pub fn address(pages: DmaPages<ToDevice, Cpu>) -> Result<u64> {
    #[cfg(twin)]
    let pages = pages.for_device()?;
    let mut address = 0;
    pages.segments(|start, _| address = start)?;
    Ok(address)
}
