// SPDX-License-Identifier: GPL-2.0

// A hook stores data per VMA in the descriptor. Nothing would drop it if the mapping then failed or
// were merged; `mapped` returns the data instead.
// error: E0624
// message: method `raw_mut` is private

include!("prelude.rs");

device!();

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerVma<Arc<u32>>;
    type Memory = Ordinary;

    fn mapped(_: DeviceRef<'_, Self>, _: &MappedArea) -> Result<PerVma<Arc<u32>>> {
        Ok(PerVma(Arc::new(0, GFP_KERNEL)?))
    }
}

kernel::vm_operations!(Ops);

pub fn hook<'f>(mut desc: VmaDesc<'f, Dev>) -> Result<Mapping<'f, Dev>> {
    desc.set(SetFlags::DONTDUMP);
    #[cfg(not(twin))]
    {
        desc.raw_mut().private_data = Arc::new(0u32, GFP_KERNEL)?.into_foreign();
    }
    Ok(desc.with_ops::<Ops>()?.map_nothing())
}
