// SPDX-License-Identifier: GPL-2.0

//! Character devices that can be unregistered while they are mapped.
//!
//! `/dev/rust_mmap_cdev0` and `/dev/rust_mmap_cdev1` are buffers of four pages, which user space
//! maps. An ioctl unregisters the device, as the removal of hardware would: its files remain open,
//! and its memory remains mapped, until user space gives up both.
//!
//! This sample implements [`CharDevice`], without a line of `unsafe`.

use kernel::{
    cdev::{
        CharDevice,
        Region,
        Registration, //
    },
    fs::{
        File,
        FileOf,
        FileOperations, //
    },
    ioctl::_IO,
    mm::{
        desc::{
            Mapping,
            VmaDesc, //
        },
        KernelPages, //
    },
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow,
        Mutex, //
    }, //
};

module! {
    type: RustMmapCdev,
    name: "rust_mmap_cdev",
    authors: ["Rust mm developers"],
    description: "Rust sample: character devices that can be unregistered while they are mapped",
    license: "GPL",
}

/// Unregisters the device.
const CDEV_UNREGISTER: u32 = _IO('C' as u32, 0);

/// The module.
struct RustMmapCdev {
    devices: [Arc<Device>; 2],
}

impl kernel::Module for RustMmapCdev {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let region = Region::alloc(c"rust_mmap_cdev", 2)?;
        let module = Self {
            devices: [Device::new()?, Device::new()?],
        };
        let names = [c"rust_mmap_cdev0", c"rust_mmap_cdev1"];
        for (index, (device, name)) in (0..).zip(module.devices.iter().zip(names)) {
            // The device has a reference to its registration, and the other way round. If this
            // fails, the devices before are unregistered, since `module` is dropped.
            let registered = Registration::new(region.clone(), index, name, device.clone())?;
            *device.registration.lock() = Some(registered);
        }
        Ok(module)
    }
}

impl Drop for RustMmapCdev {
    fn drop(&mut self) {
        for device in &self.devices {
            device.unregister();
        }
    }
}

/// A device; its open files keep it.
#[pin_data]
struct Device {
    pages: KernelPages,
    /// `None` after [`CDEV_UNREGISTER`].
    #[pin]
    registration: Mutex<Option<Registration<Self>>>,
}

impl Device {
    fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            try_pin_init!(Self {
                pages: KernelPages::new(4, GFP_KERNEL)?,
                registration <- new_mutex!(None),
            }? Error),
            GFP_KERNEL,
        )
    }

    fn unregister(&self) {
        let registration = self.registration.lock().take();
        // Not with the lock held: this waits for `open`, which could take it.
        drop(registration);
    }
}

#[vtable]
impl FileOperations for Device {
    type Ptr = Arc<Self>;

    fn mmap_prepare<'f>(
        device: ArcBorrow<'f, Self>,
        mut desc: VmaDesc<'f, FileOf<Self>>,
    ) -> Result<Mapping<'f, FileOf<Self>>> {
        desc.deny_cow()?;
        desc.map_kernel_pages(&device.into_ref().pages)
    }

    fn ioctl(device: ArcBorrow<'_, Self>, _file: &File, cmd: u32, _arg: usize) -> Result<isize> {
        if cmd != CDEV_UNREGISTER {
            return Err(ENOTTY);
        }
        device.unregister();
        Ok(0)
    }
}

impl CharDevice for Device {
    type Data = Arc<Self>;

    fn open(device: ArcBorrow<'_, Self>, _file: &File) -> Result<Arc<Self>> {
        Ok(device.into())
    }
}
