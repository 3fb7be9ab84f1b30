// SPDX-License-Identifier: GPL-2.0

// A driver reads a new folio to which nothing has been written.
// error: E0599
// message: no method named `read_at` found

include!("prelude.rs");

use kernel::mm::filemap::PageCache;

pub fn read(cache: &PageCache, out: &mut [u8]) -> Result {
    let folio = cache.alloc(0, 0)?;
    #[cfg(twin)]
    let folio = folio.zeroed();
    folio.read_at(0, out)
}
