// SPDX-License-Identifier: GPL-2.0

// A driver sets PFNMAP on a mapping that becomes MIXEDMAP.
// error: E0308
// message: expected `SetFlags`, found `VmaFlag`

include!("prelude.rs");

device! {
    fn mmap_prepare<'f>(dev: &'f Self, mut desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        #[cfg(not(twin))]
        desc.set(VmaFlag::PFNMAP);
        #[cfg(twin)]
        desc.set(SetFlags::IO);
        desc.map_kernel_pages(&dev.pages)
    }
}
