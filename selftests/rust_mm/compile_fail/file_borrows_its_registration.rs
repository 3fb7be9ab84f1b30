// SPDX-License-Identifier: GPL-2.0

// The data of a file borrows that of the character device, which can be unregistered while the file
// is open.
// error: E0521
// message: `device` is a reference that is only valid in the associated function body

include!("prelude.rs");

use kernel::{cdev::CharDevice, fs::FileOperations};

struct Device {
    pages: KernelPages,
}

struct Client {
    #[cfg(not(twin))]
    _pages: &'static KernelPages,
    #[cfg(twin)]
    _device: Arc<Device>,
}

#[vtable]
impl FileOperations for Client {
    type Ptr = KBox<Self>;
}

impl CharDevice for Client {
    type Data = Arc<Device>;

    fn open(device: ArcBorrow<'_, Device>, _: &File) -> Result<KBox<Self>> {
        let _ = device.pages.len();
        let client = Client {
            #[cfg(not(twin))]
            _pages: &device.into_ref().pages,
            #[cfg(twin)]
            _device: device.into(),
        };
        Ok(KBox::new(client, GFP_KERNEL)?)
    }
}
