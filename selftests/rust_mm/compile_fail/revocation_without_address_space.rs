// SPDX-License-Identifier: GPL-2.0

// A driver makes a `Revocation` for files that do not use its address space, so that it would not
// find their mappings.
// error: E0080
// message: the files of this type do not use the address space: implement `address_space`

include!("prelude.rs");

use kernel::mm::revoke::Revocation;

#[pin_data]
struct Dev {
    #[pin]
    revocation: Revocation,
}

fn revocable() -> Result<Arc<Dev>> {
    Arc::pin_init(
        try_pin_init!(Dev {
            revocation <- Revocation::new::<Dev>(),
        }? Error),
        GFP_KERNEL,
    )
}

#[vtable]
impl MiscDevice for Dev {
    type Ptr = Arc<Self>;

    fn open(_: &File, _: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        Err(ENODEV)
    }

    #[cfg(twin)]
    fn address_space<'a>(dev: ArcBorrow<'a, Self>, _: &'a File) -> &'a AddressSpace {
        dev.into_ref().revocation.address_space()
    }
}

pub fn reset() -> Result {
    revocable()?.revocation.revoke();
    Ok(())
}
