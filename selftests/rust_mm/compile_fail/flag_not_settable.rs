// SPDX-License-Identifier: GPL-2.0

// A driver sets a flag that the kernel has validated before `mmap_prepare`.
// error: E0599
// message: no associated item named `WRITE` found for struct `SetFlags`

include!("prelude.rs");

device! {
    fn mmap_prepare<'f>(dev: &'f Self, mut desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        #[cfg(not(twin))]
        desc.set(SetFlags::WRITE);
        #[cfg(twin)]
        desc.set(SetFlags::DONTDUMP);
        desc.map_kernel_pages(&dev.pages)
    }
}
