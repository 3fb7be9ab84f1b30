// SPDX-License-Identifier: GPL-2.0

// A driver keeps the folio that user space fills, to which only C has a reference.
// error: E0521
// message: `fill` escapes the associated function body here

include!("prelude.rs");

use kernel::mm::uffd::{AddFolio, AddedFolio, FillFolio, UffdOps};

struct Memory;

#[vtable]
impl UffdOps for Memory {
    type Data = ();

    fn filemap_add<'a>(fill: &'a AddFolio<Self>, folio: FillFolio<'a>) -> Result<AddedFolio<'a>> {
        #[cfg(not(twin))]
        keep(folio);
        #[cfg(twin)]
        return fill.add(folio);
        #[cfg(not(twin))]
        Err(ENOMEM)
    }
}

#[allow(dead_code)]
fn keep(folio: FillFolio<'static>) {
    core::mem::forget(folio);
}
