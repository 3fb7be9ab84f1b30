// SPDX-License-Identifier: GPL-2.0

// A driver implements `page_mkwrite` for a PFN mapping, which has no pages.
// error: E0080
// message: implement `pfn_mkwrite` instead of `page_mkwrite`

include!("prelude.rs");

device!();

#[cfg(not(twin))]
type Kind = Pfn;
#[cfg(twin)]
type Kind = Ordinary;

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerFile;
    type Memory = Kind;

    fn page_mkwrite(vmf: &MkwriteFault<Self>) -> Result<MkwriteAnswer<'_>, FaultError> {
        Ok(MkwriteAnswer::Locked(vmf.lock()))
    }
}

kernel::vm_operations!(Ops);

pub fn hook<'f>(desc: VmaDesc<'f, Dev>) -> Result {
    desc.with_ops::<Ops>().map(|_| ())?;
    let _ = Ops::table();
    Ok(())
}
