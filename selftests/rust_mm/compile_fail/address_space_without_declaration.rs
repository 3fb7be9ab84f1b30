// SPDX-License-Identifier: GPL-2.0

// A driver makes an `AddressSpace` for files that do not use it, so that `unmap` would not find
// their mappings.
// error: E0080
// message: the files of this type do not use the address space: implement `address_space`

include!("prelude.rs");

struct Dev {
    mappings: AddressSpace,
}

fn resettable() -> Result<Arc<Dev>> {
    let mappings = AddressSpace::new::<Dev>()?;
    Ok(Arc::new(Dev { mappings }, GFP_KERNEL)?)
}

#[vtable]
impl MiscDevice for Dev {
    type Ptr = Arc<Self>;

    fn open(_: &File, _: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        Err(ENODEV)
    }

    #[cfg(twin)]
    fn address_space<'a>(dev: ArcBorrow<'a, Self>, _: &'a File) -> &'a AddressSpace {
        &dev.into_ref().mappings
    }
}

pub fn reset() -> Result {
    resettable()?.mappings.unmap(0, 1);
    Ok(())
}
