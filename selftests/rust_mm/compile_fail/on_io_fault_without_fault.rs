// SPDX-License-Identifier: GPL-2.0

// A driver has the PFNs of a device faulted in, without a fault handler.
// error: E0080
// message: no PFN is ever mapped by a fault: implement `fault`

include!("prelude.rs");

device!();

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerFile;
    type Memory = Pfn;

    #[cfg(twin)]
    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        Ok(vmf.insert_pfn(vmf.data().pfns.slice(0, 1)?, 0)?.into())
    }
}

kernel::vm_operations!(Ops);

pub fn hook<'f>(desc: VmaDesc<'f, Dev>) -> Result<Mapping<'f, Dev>> {
    let desc = desc.with_ops::<Ops>()?;
    Ok(desc.on_io_fault(Cache::NonCached))
}
