// SPDX-License-Identifier: GPL-2.0

// A `page_mkwrite` handler asks for a retry, which the kernel does not support there.
// error: E0599
// message: no method named `may_retry` found for reference `&MkwriteFault<Ops>`

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
        let _ = vmf.may_retry();
        Ok(MkwriteAnswer::Locked(vmf.lock()))
    }
}

kernel::vm_operations!(Ops);

pub fn hook<'f>(desc: VmaDesc<'f, Dev>) -> Result<Mapping<'f, Dev>> {
    Ok(desc.with_ops::<Ops>()?.map_nothing())
}
