// SPDX-License-Identifier: GPL-2.0

// A driver implements `MapFile` itself, and so decides what the private data of its files is.
// error: E0277
// message: `Dev` is not a type of file that can be mapped

include!("prelude.rs");

#[allow(unused_imports)]
use kernel::mm::MapFile;

struct Dev;

#[cfg(not(twin))]
impl MapFile for Dev {
    type Ptr = Arc<u32>;
    type Driver = Dev;
    const HAS_ADDRESS_SPACE: bool = false;
}

#[cfg(twin)]
#[vtable]
impl MiscDevice for Dev {
    type Ptr = Arc<u32>;

    fn open(_: &File, _: &MiscDeviceRegistration<Self>) -> Result<Arc<u32>> {
        Err(ENODEV)
    }
}
