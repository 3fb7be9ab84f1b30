// SPDX-License-Identifier: GPL-2.0

// A driver inserts a PFN into a mapping of pages.
// error: E0599
// message: doesn't satisfy `<Ops as VmOperations>::Memory = Pfn`

include!("prelude.rs");

device!();

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerFile;
    type Memory = Ordinary;

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        let dev = vmf.data();
        let _ = &dev.pfns;
        #[cfg(not(twin))]
        return Ok(vmf.insert_pfn(dev.pfns.slice(0, 1)?, 0)?.into());
        #[cfg(twin)]
        return Ok(vmf.insert_page(&dev.folio, 0)?.into());
    }
}

kernel::vm_operations!(Ops);

pub fn hook<'f>(desc: VmaDesc<'f, Dev>) -> Result<Mapping<'f, Dev>> {
    Ok(desc.with_ops::<Ops>()?.on_fault())
}
