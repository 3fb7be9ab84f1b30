// SPDX-License-Identifier: GPL-2.0

// A driver writes to a folio after it has removed it from the page cache.
// error: E0599
// message: no method named `write_at` found

include!("prelude.rs");

use kernel::mm::filemap::PageCache;

pub fn write(cache: &PageCache, data: &[u8]) -> Result {
    let folio = cache.get_or_add(0)?;
    #[cfg(not(twin))]
    let folio = folio.remove();
    folio.write_at(0, data)
}
