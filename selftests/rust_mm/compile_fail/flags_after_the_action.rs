// SPDX-License-Identifier: GPL-2.0

// A driver changes flags after it has chosen the action.
// error: E0382
// message: map_kernel_pages` takes ownership of the receiver `self`, which moves `desc`

include!("prelude.rs");

device! {
    fn mmap_prepare<'f>(dev: &'f Self, mut desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        #[cfg(twin)]
        desc.set(SetFlags::DONTCOPY);
        let mapping = desc.map_kernel_pages(&dev.pages)?;
        #[cfg(not(twin))]
        desc.set(SetFlags::DONTCOPY);
        Ok(mapping)
    }
}
