// SPDX-License-Identifier: GPL-2.0

// A driver asks for an empty mapping although it has a fault handler, which would map pages.
// error: E0080
// message: the fault handler maps pages: use `on_fault`

include!("prelude.rs");

device!();

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerFile;
    type Memory = Ordinary;

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        Ok(vmf.insert_page(&vmf.data().folio, 0)?.into())
    }
}

kernel::vm_operations!(Ops);

pub fn hook<'f>(desc: VmaDesc<'f, Dev>) -> Result<Mapping<'f, Dev>> {
    let desc = desc.with_ops::<Ops>()?;
    #[cfg(not(twin))]
    return Ok(desc.map_nothing());
    #[cfg(twin)]
    return Ok(desc.on_fault());
}
