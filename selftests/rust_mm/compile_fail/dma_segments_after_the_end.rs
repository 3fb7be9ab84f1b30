// SPDX-License-Identifier: GPL-2.0

// A driver keeps the table of DMA addresses after it has taken the pages back.
// error: E0505
// message: cannot move out of `pages` because it is borrowed

include!("prelude.rs");

use kernel::mm::dma::{Cpu, DmaDevice, DmaPages, FromDevice};

pub fn end(pages: DmaPages<FromDevice, DmaDevice>) -> Result<(usize, DmaPages<FromDevice, Cpu>)> {
    let segments = pages.segments();
    #[cfg(twin)]
    let segments = segments.len();
    let pages = pages.for_cpu()?;
    #[cfg(not(twin))]
    let segments = segments.len();
    Ok((segments, pages))
}
