// SPDX-License-Identifier: GPL-2.0

// A driver maps pages that the hook allocates and drops: the kernel reads the array later.
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
