// SPDX-License-Identifier: GPL-2.0

// A driver writes to pages that it has given to a device.
// error: E0382
// message: borrow of moved value: `pages`

include!("prelude.rs");

use kernel::mm::dma::{Cpu, DmaDevice, DmaPages, ToDevice};

pub fn send(pages: DmaPages<ToDevice, Cpu>, data: &[u8]) -> Result<DmaPages<ToDevice, DmaDevice>> {
    #[cfg(twin)]
    pages.contents().write_at(0, data)?;
    let given = pages.for_device()?;
    #[cfg(not(twin))]
    pages.contents().write_at(0, data)?;
    Ok(given)
}
