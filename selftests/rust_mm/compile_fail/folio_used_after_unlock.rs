// SPDX-License-Identifier: GPL-2.0

// A driver writes to a folio of a page cache after it has unlocked it.
// error: E0382
// message: borrow of moved value: `folio`

include!("prelude.rs");

use kernel::mm::filemap::PageCache;

pub fn write(cache: &PageCache, data: &[u8]) -> Result {
    let folio = cache.get_or_add(0)?;
    #[cfg(twin)]
    folio.write_at(0, data)?;
    let unlocked = folio.unlock();
    #[cfg(not(twin))]
    folio.write_at(0, data)?;
    drop(unlocked);
    Ok(())
}
