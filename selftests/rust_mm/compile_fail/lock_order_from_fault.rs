// SPDX-License-Identifier: GPL-2.0

// A fault handler gets from its VMA to the mm, and so could take the mmap lock under the VMA lock.
// error: E0599
// message: no method named `mm` found for reference `&DriverVma<Ops>`

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
        let _ = vmf.vma().mm();
        #[cfg(twin)]
        let _ = vmf.vma().start();
        vmf.return_page(vmf.data().folio.clone(), 0)
    }
}

kernel::vm_operations!(Ops);

pub fn hook<'f>(desc: VmaDesc<'f, Dev>) -> Result<Mapping<'f, Dev>> {
    Ok(desc.with_ops::<Ops>()?.on_fault())
}
