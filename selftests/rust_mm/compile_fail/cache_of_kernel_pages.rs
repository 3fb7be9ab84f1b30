// SPDX-License-Identifier: GPL-2.0

// A driver maps kernel memory uncached: user space could read RAM contents from before the kernel
// zeroed the pages in the cache.
// error: E0061
// message: unexpected argument #2 of type `Cache`

include!("prelude.rs");

device! {
    fn mmap_prepare<'f>(dev: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        #[cfg(not(twin))]
        return desc.map_kernel_pages(&dev.pages, kernel::mm::Cache::NonCached);
        #[cfg(twin)]
        return desc.remap_pfn(&dev.pfns, kernel::mm::Cache::NonCached);
    }
}
