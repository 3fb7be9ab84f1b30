// SPDX-License-Identifier: GPL-2.0

// A fault handler answers with a folio of a page cache, in a mapping of another file: truncation
// would not find the mapping.
// error: E0308
// message: expected `ARef<Folio>`, found `CachedFolio<'_>`

include!("prelude.rs");

use kernel::mm::filemap::PageCache;

device!();

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerFile;
    type Memory = Ordinary;

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        #[cfg(not(twin))]
        let folio = page_cache().get(0).ok_or(FaultError::SigBus)?;
        #[cfg(twin)]
        let folio = vmf.data().folio.clone();
        vmf.return_page(folio, 0)
    }
}

kernel::vm_operations!(Ops);

#[allow(dead_code)]
fn page_cache() -> &'static PageCache {
    loop {}
}
