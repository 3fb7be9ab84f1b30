// SPDX-License-Identifier: GPL-2.0

// A driver makes a `Revocation` for anonymous files that do not use its address space, so that
// `revoke` would not find their mappings.
// error: E0080
// message: the files of this type do not use the address space: implement `address_space`

include!("prelude.rs");

use kernel::{
    fs::{FileOf, FileOperations},
    mm::revoke::Revocation,
};

#[pin_data]
struct Buffer {
    #[pin]
    revocation: Revocation,
}

#[vtable]
impl FileOperations for Buffer {
    type Ptr = Arc<Self>;

    #[cfg(twin)]
    fn address_space<'a>(buffer: ArcBorrow<'a, Self>, _: &'a File) -> &'a AddressSpace {
        buffer.into_ref().revocation.address_space()
    }
}

pub fn make() -> Result<Arc<impl Sized>> {
    Arc::pin_init(
        try_pin_init!(Buffer {
            revocation <- Revocation::new::<FileOf<Buffer>>(),
        }? Error),
        GFP_KERNEL,
    )
}
