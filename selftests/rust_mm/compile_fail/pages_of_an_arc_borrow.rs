// SPDX-License-Identifier: GPL-2.0

// A driver maps pages that it borrows through `Deref` of an `ArcBorrow`, which ends with the hook.
// error: E0515
// message: cannot return value referencing function parameter `dev`

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
        let pages = &dev.pages;
        #[cfg(twin)]
        let pages = &dev.into_ref().pages;
        desc.map_kernel_pages(pages)
    }
}
