// SPDX-License-Identifier: GPL-2.0

// A driver makes mappings mergeable, so that user space can grow them, without `may_map`.
// error: E0080
// message: a mergeable mapping grows without `mmap_prepare`: implement `may_map`

include!("prelude.rs");

device!();

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerFile;
    type Memory = Ordinary;

    #[cfg(twin)]
    fn may_map(_: DeviceRef<'_, Self>, pgoffs: Range<usize>, writable: bool) -> Result {
        if writable || pgoffs.end > 1 {
            return Err(EACCES);
        }
        Ok(())
    }

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        Ok(vmf.insert_page(&vmf.data().folio, vmf.pgoff())?.into())
    }
}

kernel::vm_operations!(Ops, mergeable: Dev);

pub fn hook<'f>(desc: VmaDesc<'f, Dev>) -> Result<Mapping<'f, Dev>> {
    Ok(desc.with_ops::<Ops>()?.on_fault())
}
