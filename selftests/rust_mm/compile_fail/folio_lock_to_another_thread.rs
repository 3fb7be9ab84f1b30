// SPDX-License-Identifier: GPL-2.0

// A driver has another thread unlock a folio of a page cache.
// error: E0599
// message: the method `to_another_thread` exists for struct `Handed<LockedCacheFolio<'_>>`, but its

include!("prelude.rs");

use kernel::mm::filemap::PageCache;

pub fn hand_over(cache: &PageCache) -> Result {
    let folio = Handed(cache.get_or_add(0)?);
    #[cfg(not(twin))]
    drop(folio.to_another_thread());
    #[cfg(twin)]
    drop(folio.to_this_thread());
    Ok(())
}
