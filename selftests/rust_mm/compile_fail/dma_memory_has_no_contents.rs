// SPDX-License-Identifier: GPL-2.0

// A driver reads pages through what it has for mappings.
// error: E0599
// message: no method named `read_at` found for struct `DmaMemory`

include!("prelude.rs");

use kernel::mm::dma::{Cpu, DmaPages, FromDevice};

pub fn read(pages: &DmaPages<FromDevice, Cpu>, out: &mut [u8]) -> Result {
    #[cfg(not(twin))]
    let pages = pages.memory();
    #[cfg(twin)]
    let pages = pages.contents();
    pages.read_at(0, out)
}
