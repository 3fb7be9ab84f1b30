// SPDX-License-Identifier: GPL-2.0

// A driver answers UFFDIO_CONTINUE with a folio of another file.
// error: E0308
// message: expected `Result<FoundFolio<'_>, Error>`, found `Result<LockedCacheFolio<'_>, Error>`

include!("prelude.rs");

use kernel::mm::{
    filemap::PageCache,
    uffd::{FindFolio, FoundFolio, UffdOps}, //
};

struct Memory;

#[vtable]
impl UffdOps for Memory {
    type Data = ();

    fn get_folio_noalloc(page: &FindFolio<Self>) -> Result<FoundFolio<'_>> {
        #[cfg(not(twin))]
        let folio = other_file().get_locked(page.index())?;
        #[cfg(twin)]
        let folio = page.find()?;
        folio.ok_or(ENOENT)
    }
}

#[allow(dead_code)]
fn other_file() -> &'static PageCache {
    loop {}
}
