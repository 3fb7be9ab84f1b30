// SPDX-License-Identifier: GPL-2.0

// A driver adds a piece to a list that may be mapped: the device is shared with all mappings.
// error: E0596
// message: cannot borrow `dev.pieces` as mutable, as it is behind a `&` reference

include!("prelude.rs");

use kernel::mm::ops::{PageSource, Pieces};

struct Dev {
    pages: Arc<KernelPages>,
    pieces: Pieces<PageSource>,
}

#[vtable]
impl MiscDevice for Dev {
    type Ptr = KBox<Self>;

    fn open(_: &File, _: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn ioctl(dev: &Self, _: &File, _: u32, _: usize) -> Result<isize> {
        let pages = dev.pages.clone();
        #[cfg(not(twin))]
        dev.pieces.add(0, pages, 0..1)?;
        #[cfg(twin)]
        {
            let mut another = Pieces::<PageSource>::new(1, 1, GFP_KERNEL)?;
            another.add(0, pages, 0..1)?;
        }
        Ok(0)
    }

    fn mmap_prepare<'f>(dev: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        desc.map_pieces(&dev.pieces)
    }
}
