// SPDX-License-Identifier: GPL-2.0

// A fault handler returns an answer that only huge faults have.
// error: E0277
// message: the trait bound `FaultAnswer<'_>: From<HugeAnswer<'_>>` is not satisfied

include!("prelude.rs");

device!();

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerFile;
    type Memory = Ordinary;

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        #[cfg(not(twin))]
        return Ok(HugeAnswer::Fallback.into());
        #[cfg(twin)]
        return Ok(vmf.insert_page(&vmf.data().folio, 0)?.into());
    }
}

kernel::vm_operations!(Ops);

pub fn hook<'f>(desc: VmaDesc<'f, Dev>) -> Result<Mapping<'f, Dev>> {
    Ok(desc.with_ops::<Ops>()?.on_fault())
}
