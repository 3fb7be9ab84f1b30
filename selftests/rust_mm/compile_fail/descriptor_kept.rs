// SPDX-License-Identifier: GPL-2.0

// A descriptor that is kept after the hook.
// error: E0521
// message: the struct `VmaDesc<'f, D>` is invariant over the parameter `'f`

include!("prelude.rs");

#[pin_data]
struct Dev {
    #[pin]
    kept: Mutex<Option<VmaDesc<'static, Dev>>>,
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
        let _ = dev.kept.lock().replace(desc);
        #[cfg(twin)]
        drop(desc);
        let _ = &dev.kept;
        Err(EAGAIN)
    }
}
