// SPDX-License-Identifier: GPL-2.0

// A driver chooses two actions for one mapping.
// error: E0382
// message: map_kernel_pages` takes ownership of the receiver `self`, which moves `desc`

include!("prelude.rs");

device! {
    fn mmap_prepare<'f>(dev: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        let mapping = desc.map_kernel_pages(&dev.pages)?;
        #[cfg(not(twin))]
        let mapping = desc.map_kernel_pages(&dev.pages)?;
        Ok(mapping)
    }
}
