// SPDX-License-Identifier: GPL-2.0

// A descriptor that is kept after the hook.
// error: E0521
// message: borrowed data escapes outside of associated function

include!("prelude.rs");

#[pin_data]
struct Dev {
    #[pin]
    kept: Mutex<Option<VmaDesc<'static, Dev>>>,
    pages: KernelPages,
}

// Only for the case: a mutex of a descriptor is neither.
unsafe impl Send for Dev {}
unsafe impl Sync for Dev {}

#[vtable]
impl MiscDevice for Dev {
    type Ptr = Pin<KBox<Self>>;

    fn open(_: &File, _: &MiscDeviceRegistration<Self>) -> Result<Pin<KBox<Self>>> {
        Err(ENODEV)
    }

    fn mmap_prepare<'f>(dev: Pin<&'f Self>, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        #[cfg(not(twin))]
        {
            let _ = dev.get_ref().kept.lock().replace(desc);
            Err(EAGAIN)
        }
        #[cfg(twin)]
        desc.map_kernel_pages(&dev.get_ref().pages)
    }
}
