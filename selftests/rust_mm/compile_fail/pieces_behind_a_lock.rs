// SPDX-License-Identifier: GPL-2.0

// A driver maps pieces of a list that it borrows from a lock guard, behind which the list can be
// replaced while it is mapped.
// error: E0515
// message: cannot return value referencing local variable `guard`

include!("prelude.rs");

use kernel::mm::ops::{PageSource, Pieces};

#[pin_data]
struct Dev {
    #[pin]
    locked: Mutex<Pieces<PageSource>>,
    pieces: Pieces<PageSource>,
}

#[vtable]
impl MiscDevice for Dev {
    type Ptr = Pin<KBox<Self>>;

    fn open(_: &File, _: &MiscDeviceRegistration<Self>) -> Result<Pin<KBox<Self>>> {
        Err(ENODEV)
    }

    fn mmap_prepare<'f>(dev: Pin<&'f Self>, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        let dev = dev.get_ref();
        let guard = dev.locked.lock();
        #[cfg(not(twin))]
        let pieces = &*guard;
        #[cfg(twin)]
        let pieces = &dev.pieces;
        #[cfg(twin)]
        drop(guard);
        desc.map_pieces(pieces)
    }
}
