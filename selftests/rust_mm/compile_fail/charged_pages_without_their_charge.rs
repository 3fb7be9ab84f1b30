// SPDX-License-Identifier: GPL-2.0

// A driver takes the pages out of a value that returns their charge when it is dropped.
// error: E0616
// message: field `held` of struct `ChargedPages` is private

include!("prelude.rs");

use kernel::mm::gup::{PinnedLongTerm, ReadWrite, UserPages};

pub fn pages(addr: usize) -> Result<usize> {
    let charged = UserPages::<PinnedLongTerm, ReadWrite>::charged(addr, 1)?;
    #[cfg(not(twin))]
    let pages = charged.held;
    #[cfg(twin)]
    let pages = &charged;
    Ok(pages.len())
}
