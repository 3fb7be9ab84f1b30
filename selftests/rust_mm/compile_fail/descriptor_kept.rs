// SPDX-License-Identifier: GPL-2.0

// A driver keeps the descriptor after `mmap_prepare` has returned.
// error: E0521
// message: the struct `VmaDesc<'f, D>` is invariant over the parameter `'f`

include!("prelude.rs");

#[pin_data]
struct Dev {
    #[pin]
    kept: Mutex<Option<VmaDesc<'static, Dev>>>,
}

// SAFETY: None. The case only compiles: a `Mutex` of a descriptor is neither `Send` nor `Sync`.
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
