// SPDX-License-Identifier: GPL-2.0

// A driver makes mappings with data per VMA mergeable.
// error: E0080
// message: only `Ordinary` memory with `PerFile` data can be merged

include!("prelude.rs");

device!();

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerVma<Arc<u32>>;
    type Memory = Ordinary;

    fn mapped(_: DeviceRef<'_, Self>, _: &MappedArea) -> Result<PerVma<Arc<u32>>> {
        Err(ENODEV)
    }
}

#[cfg(not(twin))]
kernel::vm_operations!(Ops, mergeable: Dev);
#[cfg(twin)]
kernel::vm_operations!(Ops);

pub fn hook<'f>(desc: VmaDesc<'f, Dev>) -> Result<Mapping<'f, Dev>> {
    Ok(desc.with_ops::<Ops>()?.map_nothing())
}
