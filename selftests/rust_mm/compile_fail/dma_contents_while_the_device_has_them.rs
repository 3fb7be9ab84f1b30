// SPDX-License-Identifier: GPL-2.0

// A driver reads pages while a device may write to them.
// error: E0599
// message: no method named `contents` found for struct `DmaPages<

include!("prelude.rs");

use kernel::mm::dma::{Cpu, DmaPages, FromDevice};

pub fn read(pages: DmaPages<FromDevice, Cpu>, out: &mut [u8]) -> Result {
    #[cfg(not(twin))]
    let pages = pages.for_device()?;
    pages.contents().read_at(0, out)
}
