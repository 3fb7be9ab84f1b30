// SPDX-License-Identifier: GPL-2.0

// A driver maps pages that it borrows from a clone of the `Arc` that the hook drops.
// error: E0515
// message: cannot return value referencing local variable `dev`

include!("prelude.rs");

struct Dev {
    pages: KernelPages,
}

#[vtable]
impl MiscDevice for Dev {
    type Ptr = Arc<Self>;

    fn open(_: &File, _: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        Err(ENODEV)
    }

    fn mmap_prepare<'f>(
        dev: ArcBorrow<'f, Self>,
        desc: VmaDesc<'f, Self>,
    ) -> Result<Mapping<'f, Self>> {
        #[cfg(not(twin))]
        let dev: Arc<Self> = dev.into();
        #[cfg(twin)]
        let dev = dev.into_ref();
        desc.map_kernel_pages(&dev.pages)
    }
}
