// SPDX-License-Identifier: GPL-2.0

// A driver keeps an atomic in pages after it has dropped them.
// error: E0505
// message: cannot move out of `pages` because it is borrowed

include!("prelude.rs");

use kernel::sync::atomic::Relaxed;

pub fn index(pages: KernelPages) -> Result<u32> {
    let index = pages.atomic::<u32>(0)?;
    #[cfg(not(twin))]
    drop(pages);
    let value = index.load(Relaxed);
    #[cfg(twin)]
    drop(pages);
    Ok(value)
}
