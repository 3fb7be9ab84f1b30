// SPDX-License-Identifier: GPL-2.0

// A driver maps pieces of a list that the hook makes and drops: each fault looks at the list later.
// error: E0515
// message: cannot return value referencing local variable `pieces`

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

    fn mmap_prepare<'f>(dev: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        let mut pieces = Pieces::<PageSource>::new(1, 1, GFP_KERNEL)?;
        pieces.add(0, dev.pages.clone(), 0..1)?;
        #[cfg(not(twin))]
        let pieces = &pieces;
        #[cfg(twin)]
        let pieces = &dev.pieces;
        desc.map_pieces(pieces)
    }
}
