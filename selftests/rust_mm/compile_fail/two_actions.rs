// SPDX-License-Identifier: GPL-2.0

// Two actions for one mapping.
// error: E0382
// message: use of moved value: `desc`

include!("prelude.rs");

struct Dev {
    pages: KernelPages,
}

#[vtable]
impl MiscDevice for Dev {
    type Ptr = KBox<Self>;

    fn open(_: &File, _: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn mmap_prepare<'f>(dev: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        let mapping = desc.map_kernel_pages(&dev.pages)?;
        #[cfg(not(twin))]
        let mapping = desc.map_kernel_pages(&dev.pages)?;
        Ok(mapping)
    }
}
