// SPDX-License-Identifier: GPL-2.0

// A driver adds a folio at two places of a page cache.
// error: E0382
// message: use of moved value: `folio`

include!("prelude.rs");

use kernel::mm::filemap::PageCache;

pub fn add(cache: &PageCache) -> Result {
    let folio = cache.alloc(0, 0)?.zeroed();
    let added = cache.add(folio, 0).map_err(|(_, e)| e)?;
    drop(added);
    #[cfg(twin)]
    let folio = cache.alloc(0, 0)?.zeroed();
    cache.add(folio, 1).map(|_| ()).map_err(|(_, e)| e)
}
