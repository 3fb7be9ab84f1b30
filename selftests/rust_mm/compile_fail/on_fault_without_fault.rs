// SPDX-License-Identifier: GPL-2.0

// A driver has its pages faulted in without a fault handler, so each access would raise SIGBUS.
// Without `#[vtable]`, rustc advises to write the missing constants by hand, which leads here.
// error: E0080
// message: no page is ever mapped: implement `fault`, or use `map_nothing`

include!("prelude.rs");

device!();

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerFile;
    type Memory = Ordinary;

    #[cfg(twin)]
    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        Ok(vmf.insert_page(&vmf.data().folio, 0)?.into())
    }
}

kernel::vm_operations!(Ops);

pub fn hook<'f>(desc: VmaDesc<'f, Dev>) -> Result<Mapping<'f, Dev>> {
    Ok(desc.with_ops::<Ops>()?.on_fault())
}
