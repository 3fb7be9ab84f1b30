// SPDX-License-Identifier: GPL-2.0

// A driver returns a folio that is in the page cache already, where the kernel wants a new one.
// error: E0308
// message: expected `Result<NewFolio, Error>`, found `Result<LockedCacheFolio<'_>, Error>`

include!("prelude.rs");

use kernel::mm::{
    filemap::NewFolio,
    uffd::{AllocFolio, UffdOps}, //
};

struct Memory;

#[vtable]
impl UffdOps for Memory {
    type Data = ();

    fn alloc_folio(fill: &AllocFolio<Self>) -> Result<NewFolio> {
        #[cfg(not(twin))]
        let folio = fill.cache().get_or_add(fill.index());
        #[cfg(twin)]
        let folio = fill.alloc();
        folio
    }
}
