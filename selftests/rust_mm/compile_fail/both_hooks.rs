// SPDX-License-Identifier: GPL-2.0

// A driver implements both `mmap` and `mmap_prepare`.
// error: E0080
// message: a misc device has either `mmap` or `mmap_prepare`, not both

include!("prelude.rs");

device! {
    fn mmap_prepare<'f>(dev: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        desc.map_kernel_pages(&dev.pages)
    }

    #[cfg(not(twin))]
    fn mmap(_: &Self, _: &File, _: &kernel::mm::virt::VmaNew) -> Result {
        Ok(())
    }
}

#[used]
static OPS: fn() = || {
    let _ = kernel::miscdevice::MiscDeviceOptions { name: c"x" }.into_raw::<Dev>();
};
