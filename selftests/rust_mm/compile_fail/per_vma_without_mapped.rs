// SPDX-License-Identifier: GPL-2.0

// A driver uses data per VMA without `mapped`, which makes it.
// error: E0080
// message: the data of a VMA is made by `mapped`: implement it

include!("prelude.rs");

device!();

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerVma<Arc<u32>>;
    type Memory = Ordinary;

    #[cfg(twin)]
    fn mapped(_: DeviceRef<'_, Self>, _: &MappedArea) -> Result<PerVma<Arc<u32>>> {
        Err(ENODEV)
    }
}

kernel::vm_operations!(Ops);

pub fn hook<'f>(desc: VmaDesc<'f, Dev>) -> Result<Mapping<'f, Dev>> {
    Ok(desc.with_ops::<Ops>()?.map_nothing())
}
