// SPDX-License-Identifier: GPL-2.0

// A driver uses data per VMA that must stay on one thread.
// error: E0277
// message: required for `PerVma<Arc<Cell<u32>>>` to implement `VmaData`

include!("prelude.rs");

device!();

#[cfg(not(twin))]
type Data = core::cell::Cell<u32>;
#[cfg(twin)]
type Data = u32;

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerVma<Arc<Data>>;
    type Memory = Ordinary;

    fn mapped(_: DeviceRef<'_, Self>, _: &MappedArea) -> Result<PerVma<Arc<Data>>> {
        Err(ENODEV)
    }
}

kernel::vm_operations!(Ops);

pub fn hook<'f>(desc: VmaDesc<'f, Dev>) -> Result<Mapping<'f, Dev>> {
    Ok(desc.with_ops::<Ops>()?.map_nothing())
}
