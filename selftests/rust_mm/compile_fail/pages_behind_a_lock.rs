// SPDX-License-Identifier: GPL-2.0

// A driver maps pages that it borrows from a lock guard, which it drops when the hook returns.
// error: E0515
// message: cannot return value referencing local variable `guard`

include!("prelude.rs");

#[pin_data]
struct Dev {
    #[pin]
    locked: Mutex<Option<KernelPages>>,
    once: SetOnce<KernelPages>,
}

#[vtable]
impl MiscDevice for Dev {
    type Ptr = Pin<KBox<Self>>;

    fn open(_: &File, _: &MiscDeviceRegistration<Self>) -> Result<Pin<KBox<Self>>> {
        Err(ENODEV)
    }

    fn mmap_prepare<'f>(dev: Pin<&'f Self>, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        let dev = dev.get_ref();
        #[cfg(not(twin))]
        let guard = dev.locked.lock();
        #[cfg(not(twin))]
        let pages = guard.as_ref();
        #[cfg(twin)]
        let pages = dev.once.as_ref();
        desc.map_kernel_pages(pages.ok_or(ENXIO)?)
    }
}
