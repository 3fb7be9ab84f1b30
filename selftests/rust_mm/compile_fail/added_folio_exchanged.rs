// SPDX-License-Identifier: GPL-2.0

// A driver exchanges the folio that user space fills for another one, after it has added it.
// error: E0596
// message: cannot borrow data in dereference of `AddedFolio<'_>` as mutable

include!("prelude.rs");

use kernel::mm::uffd::{AddFolio, AddedFolio, FillFolio, UffdOps};

struct Memory;

#[vtable]
impl UffdOps for Memory {
    type Data = ();

    fn filemap_add<'a>(fill: &'a AddFolio<Self>, folio: FillFolio<'a>) -> Result<AddedFolio<'a>> {
        #[allow(unused_mut)]
        let mut added = fill.add(folio)?;
        #[cfg(not(twin))]
        core::mem::swap(&mut *added, &mut fill.cache().get_or_add(0)?);
        Ok(added)
    }
}
