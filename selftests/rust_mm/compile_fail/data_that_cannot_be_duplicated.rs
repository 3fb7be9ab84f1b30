// SPDX-License-Identifier: GPL-2.0

// A driver uses data per VMA whose duplication allocates memory and so can fail.
// error: E0277
// message: `Box<u32, Kmalloc>` cannot be duplicated without failing

include!("prelude.rs");

device!();

#[cfg(not(twin))]
type Data = KBox<u32>;
#[cfg(twin)]
type Data = Arc<u32>;

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerVma<Data>;
    type Memory = Ordinary;

    fn mapped(_: DeviceRef<'_, Self>, _: &MappedArea) -> Result<PerVma<Data>> {
        Err(ENODEV)
    }
}

kernel::vm_operations!(Ops);

pub fn hook<'f>(desc: VmaDesc<'f, Dev>) -> Result<Mapping<'f, Dev>> {
    Ok(desc.with_ops::<Ops>()?.map_nothing())
}
