// SPDX-License-Identifier: GPL-2.0

// A driver implements `may_map`, which is for mappings that grow, for mappings that never grow.
// error: E0080
// message: `may_map` is about growth, which takes `Ordinary` memory with `PerFile` data

include!("prelude.rs");

device!();

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerVma<Arc<u32>>;
    type Memory = Ordinary;

    #[cfg(not(twin))]
    fn may_map(_: DeviceRef<'_, Self>, _: Range<usize>, _: bool) -> Result {
        Ok(())
    }

    fn mapped(_: DeviceRef<'_, Self>, _: &MappedArea) -> Result<PerVma<Arc<u32>>> {
        Err(ENODEV)
    }
}

kernel::vm_operations!(Ops);

pub fn hook<'f>(desc: VmaDesc<'f, Dev>) -> Result<Mapping<'f, Dev>> {
    Ok(desc.with_ops::<Ops>()?.map_nothing())
}
