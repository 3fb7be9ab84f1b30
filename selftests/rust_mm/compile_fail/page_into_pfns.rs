// SPDX-License-Identifier: GPL-2.0

// A driver inserts a page into a PFN mapping.
// error: E0599
// message: doesn't satisfy `Pfn: Paged`

include!("prelude.rs");

device!();

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerFile;
    type Memory = Pfn;

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        let dev = vmf.data();
        let _ = &dev.folio;
        #[cfg(not(twin))]
        return vmf.return_page(dev.folio.clone(), 0);
        #[cfg(twin)]
        return Ok(vmf.insert_pfn(dev.pfns.slice(0, 1)?, 0)?.into());
    }
}

kernel::vm_operations!(Ops);

pub fn hook<'f>(desc: VmaDesc<'f, Dev>) -> Result<Mapping<'f, Dev>> {
    Ok(desc.with_ops::<Ops>()?.on_pfn_fault(Cache::NonCached))
}
