// SPDX-License-Identifier: GPL-2.0

// A fault handler returns an unlocked page as a locked one.
// error: E0308
// message: expected `LockedFolio`, found `ARef<Folio>`

include!("prelude.rs");

device!();

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerFile;
    type Memory = Ordinary;

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        let folio = vmf.data().folio.clone();
        #[cfg(not(twin))]
        return vmf.return_locked_page(folio, 0);
        #[cfg(twin)]
        return vmf.return_locked_page(LockedFolio::new(folio), 0);
    }
}

kernel::vm_operations!(Ops);

pub fn hook<'f>(desc: VmaDesc<'f, Dev>) -> Result<Mapping<'f, Dev>> {
    Ok(desc.with_ops::<Ops>()?.on_fault())
}
