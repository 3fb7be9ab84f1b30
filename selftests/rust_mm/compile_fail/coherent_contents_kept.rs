// SPDX-License-Identifier: GPL-2.0

// A driver keeps the contents of coherent memory, which is freed when the driver is unbound.
// error: E0515
// message: cannot return value referencing local variable `contents`

include!("prelude.rs");

use kernel::mm::{dma::CoherentMemory, SharedBytes};

#[cfg(not(twin))]
pub fn contents(memory: &CoherentMemory) -> Result<&SharedBytes> {
    let contents = memory.try_access().ok_or(ENODEV)?;
    Ok(&contents)
}

#[cfg(twin)]
pub fn contents(memory: &CoherentMemory) -> Result<usize> {
    let contents = memory.try_access().ok_or(ENODEV)?;
    Ok(contents.len())
}
