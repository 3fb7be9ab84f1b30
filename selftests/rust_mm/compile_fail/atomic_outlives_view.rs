// SPDX-License-Identifier: GPL-2.0

// A driver keeps an atomic in a view of pages after it has dropped the view.
// error: E0505
// message: cannot move out of `view` because it is borrowed

include!("prelude.rs");

use kernel::sync::atomic::Relaxed;

pub fn index(pages: &KernelPages) -> Result<u32> {
    let view = pages.vmap()?;
    let index = view.atomic::<u32>(0)?;
    #[cfg(not(twin))]
    drop(view);
    let value = index.load(Relaxed);
    #[cfg(twin)]
    drop(view);
    Ok(value)
}
