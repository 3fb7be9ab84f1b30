// SPDX-License-Identifier: GPL-2.0

// A driver gives a page back that could not be unmapped, because the pages have no address space.
// error: E0599
// message: the method `discard` exists for reference `&FaultedPages`, but its trait bounds were not

include!("prelude.rs");

use kernel::mm::FaultedPages;

#[cfg(not(twin))]
type Pages = FaultedPages;
#[cfg(twin)]
type Pages = FaultedPages<AddressSpace>;

pub fn give_back(pages: &Pages) -> usize {
    pages.discard(0..1)
}
