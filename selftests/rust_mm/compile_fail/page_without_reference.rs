// SPDX-License-Identifier: GPL-2.0

// A fault handler returns a page without giving the kernel a reference.
// error: E0308
// message: expected `ARef<Folio>`, found `&ARef<Folio>`

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
        return vmf.return_page(&vmf.data().folio, 0);
        #[cfg(twin)]
        return vmf.return_page(vmf.data().folio.clone(), 0);
    }
}

kernel::vm_operations!(Ops);

pub fn hook<'f>(desc: VmaDesc<'f, Dev>) -> Result<Mapping<'f, Dev>> {
    Ok(desc.with_ops::<Ops>()?.on_fault())
}
