// SPDX-License-Identifier: GPL-2.0

// Pages that the hook has made: the kernel reads the array after the hook.
// error: E0515
// message: cannot return value referencing local variable `pages`

include!("prelude.rs");

device! {
    fn mmap_prepare<'f>(dev: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        #[cfg(not(twin))]
        let pages = KernelPages::new(1, GFP_KERNEL)?;
        #[cfg(not(twin))]
        let pages = &pages;
        #[cfg(twin)]
        let pages = &dev.pages;
        let _ = dev;
        desc.map_kernel_pages(pages)
    }
}
