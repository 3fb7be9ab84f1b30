// SPDX-License-Identifier: GPL-2.0

// A driver clears a flag that is not an access permission.
// error: E0308
// message: expected `ClearFlags`, found `SetFlags`

include!("prelude.rs");

device! {
    fn mmap_prepare<'f>(dev: &'f Self, mut desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        #[cfg(not(twin))]
        desc.try_clear(SetFlags::DONTCOPY)?;
        #[cfg(twin)]
        desc.try_clear(ClearFlags::MAYEXEC)?;
        desc.map_kernel_pages(&dev.pages)
    }
}
