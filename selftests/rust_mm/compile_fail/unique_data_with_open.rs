// SPDX-License-Identifier: GPL-2.0

// A driver implements `open` for unique data, although there is never a second VMA.
// error: E0080
// message: there is never a second VMA with `PerVmaUnique` data

include!("prelude.rs");

device!();

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerVmaUnique<KBox<u32>>;
    type Memory = Ordinary;

    fn mapped(_: DeviceRef<'_, Self>, _: &MappedArea) -> Result<PerVmaUnique<KBox<u32>>> {
        Err(ENODEV)
    }

    #[cfg(not(twin))]
    fn open(_: &DriverVmaInfo<Self>) {}
}

kernel::vm_operations!(Ops);

pub fn hook<'f>(desc: VmaDesc<'f, Dev>) -> Result<Mapping<'f, Dev>> {
    Ok(desc.with_ops::<Ops>()?.map_nothing())
}
