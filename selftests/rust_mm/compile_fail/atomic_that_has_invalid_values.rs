// SPDX-License-Identifier: GPL-2.0

// A driver uses an atomic that not every value is valid for, in memory that user space writes.
// error: E0277
// message: the trait bound `bool: SharedInt` is not satisfied

include!("prelude.rs");

pub fn use_atomic(pages: &KernelPages) -> Result {
    #[cfg(not(twin))]
    let _ = pages.atomic::<bool>(0)?;
    #[cfg(twin)]
    let _ = pages.atomic::<u32>(0)?;
    Ok(())
}
