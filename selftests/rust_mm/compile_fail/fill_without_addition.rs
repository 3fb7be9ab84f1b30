// SPDX-License-Identifier: GPL-2.0

// A driver claims to have added the folio that user space fills: it has only locked another one.
// error: E0308
// message: expected `Result<AddedFolio<'_>, Error>`, found `Result<LockedCacheFolio<'_>, Error>`

include!("prelude.rs");

use kernel::mm::uffd::{AddFolio, AddedFolio, FillFolio, UffdOps};

struct Memory;

#[vtable]
impl UffdOps for Memory {
    type Data = ();

    fn filemap_add<'a>(fill: &'a AddFolio<Self>, folio: FillFolio<'a>) -> Result<AddedFolio<'a>> {
        #[cfg(not(twin))]
        {
            let _ = folio;
            fill.cache().get_or_add(fill.index())
        }
        #[cfg(twin)]
        fill.add(folio)
    }
}
