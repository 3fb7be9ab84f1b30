// SPDX-License-Identifier: GPL-2.0

// A driver adds a folio to a page cache to which nothing has been written.
// error: E0308
// message: expected `NewFolio<Filled>`, found `NewFolio`

include!("prelude.rs");

use kernel::mm::filemap::PageCache;

pub fn add(cache: &PageCache) -> Result {
    let folio = cache.alloc(0, 0)?;
    #[cfg(twin)]
    let folio = folio.zeroed();
    cache.add(folio, 0).map(|_| ()).map_err(|(_, e)| e)
}
