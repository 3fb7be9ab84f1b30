// SPDX-License-Identifier: GPL-2.0

// A `page_mkwrite` handler answers with a folio that it has not locked.
// error: E0308
// message: expected `LockedFaultFolio<'_>`, found `&Folio`

include!("prelude.rs");

device!();

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerFile;
    type Memory = Ordinary;

    fn page_mkwrite(vmf: &MkwriteFault<Self>) -> Result<MkwriteAnswer<'_>, FaultError> {
        #[cfg(not(twin))]
        return Ok(MkwriteAnswer::Locked(vmf.folio()));
        #[cfg(twin)]
        return Ok(MkwriteAnswer::Locked(vmf.lock()));
    }
}

kernel::vm_operations!(Ops);

pub fn hook<'f>(desc: VmaDesc<'f, Dev>) -> Result<Mapping<'f, Dev>> {
    Ok(desc.with_ops::<Ops>()?.map_nothing())
}
