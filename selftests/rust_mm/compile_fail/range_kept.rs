// SPDX-License-Identifier: GPL-2.0

// A driver keeps an address range of one mapping for the next one.
// error: E0521
// message: requirement occurs because of the type `VmaDesc<'_, Dev>`, which makes the generic

include!("prelude.rs");

#[pin_data]
struct Dev {
    #[pin]
    kept: Mutex<Option<DescRange<'static>>>,
    pages: KernelPages,
}

#[vtable]
impl MiscDevice for Dev {
    type Ptr = Pin<KBox<Self>>;

    fn open(_: &File, _: &MiscDeviceRegistration<Self>) -> Result<Pin<KBox<Self>>> {
        Err(ENODEV)
    }

    fn mmap_prepare<'f>(dev: Pin<&'f Self>, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        let dev = dev.get_ref();
        let range = desc.range();
        #[cfg(not(twin))]
        let _ = dev.kept.lock().replace(range);
        let slice = dev.pages.slice(0, range.nr_pages())?;
        desc.map_kernel_pages_range(range, slice)
    }
}
