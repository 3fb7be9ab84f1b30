// SPDX-License-Identifier: GPL-2.0

// A driver reads a folio of a page cache without its lock: the folio may have been truncated.
// error: E0599
// message: no method named `read_at` found

include!("prelude.rs");

use kernel::mm::filemap::PageCache;

pub fn read(cache: &PageCache, out: &mut [u8]) -> Result {
    let folio = cache.get(0).ok_or(ENOENT)?;
    #[cfg(twin)]
    let folio = folio.lock().map_err(|(_, e)| e)?;
    folio.read_at(0, out)
}
