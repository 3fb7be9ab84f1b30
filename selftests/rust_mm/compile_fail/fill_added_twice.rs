// SPDX-License-Identifier: GPL-2.0

// A driver adds the folio that user space fills once more, after this has failed.
// error: E0382
// message: use of moved value: `folio`

include!("prelude.rs");

use kernel::mm::uffd::{AddFolio, AddedFolio, FillFolio, UffdOps};

struct Memory;

#[vtable]
impl UffdOps for Memory {
    type Data = ();

    fn filemap_add<'a>(fill: &'a AddFolio<Self>, folio: FillFolio<'a>) -> Result<AddedFolio<'a>> {
        let added = fill.add(folio);
        #[cfg(not(twin))]
        let added = added.or_else(|_| fill.add(folio));
        added
    }
}
