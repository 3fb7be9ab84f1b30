// SPDX-License-Identifier: GPL-2.0

// A driver asks for the DMA address of pages that it has not given to the device.
// error: E0599
// message: no method named `segment_at` found for struct `DmaPages<

include!("prelude.rs");

use kernel::mm::dma::{Cpu, DmaPages, Segment, ToDevice};

pub fn address(pages: DmaPages<ToDevice, Cpu>) -> Result<Option<Segment>> {
    #[cfg(twin)]
    let pages = pages.for_device()?;
    Ok(pages.segment_at(0))
}
