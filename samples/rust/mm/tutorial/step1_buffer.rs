// SPDX-License-Identifier: GPL-2.0

//! Step 1 of the tutorial: a buffer that the kernel maps when user space calls `mmap`.

use kernel::{
    fs::File,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::{
        desc::{
            Mapping,
            VmaDesc, //
        },
        KernelPages, //
    },
    prelude::*, //
};

module! {
    type: Step1,
    name: "step1_buffer",
    authors: ["Rust mm developers"],
    description: "Rust mm tutorial, step 1: a fixed buffer",
    license: "GPL",
}

/// The module: the device exists for as long as the module is loaded.
#[pin_data]
struct Step1 {
    #[pin]
    _device: MiscDeviceRegistration<Buffer>,
}

impl kernel::InPlaceModule for Step1 {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        pr_info!("each file has {NR_PAGES} pages\n");
        try_pin_init!(Self {
            _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"step1_buffer",
            }),
        })
    }
}

/// The size of the buffer.
const NR_PAGES: usize = 4;

/// What belongs to an open file.
struct Buffer {
    pages: KernelPages,
}

#[vtable]
impl MiscDevice for Buffer {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        let pages = KernelPages::new(NR_PAGES, GFP_KERNEL_ACCOUNT)?;
        pages.write_at(0, b"hello, user space")?;
        Ok(KBox::new(Self { pages }, GFP_KERNEL_ACCOUNT)?)
    }

    fn mmap_prepare<'f>(
        buffer: &'f Self,
        mut desc: VmaDesc<'f, Self>,
    ) -> Result<Mapping<'f, Self>> {
        desc.deny_cow()?;
        desc.map_kernel_pages(&buffer.pages)
    }
}
