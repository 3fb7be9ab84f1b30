// SPDX-License-Identifier: GPL-2.0

//! A device that accesses pages of user space, which are pinned for it.
//!
//! With an ioctl, a process has `/dev/rust_pin` pin a range of its memory, as the drivers of many
//! devices do for buffers that user space registers. The process is charged for the pages, so that
//! `RLIMIT_MEMLOCK` limits them. They remain pinned until the process registers another range, or
//! the file is closed.
//!
//! `pread` and `pwrite` stand for what the device does: they read and write the pinned pages, also
//! after the process has unmapped them. `rust_pin.h` defines the ioctl.

use kernel::{
    fs::{
        File,
        Kiocb, //
    },
    ioctl::_IOW,
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::gup::{
        ChargedPages,
        PinnedLongTerm,
        ReadWrite,
        UserPages, //
    },
    new_mutex,
    page::{
        PAGE_MASK,
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    seq_file::SeqFile,
    sync::{
        Arc,
        ArcBorrow,
        Mutex, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

module! {
    type: RustPin,
    name: "rust_pin",
    authors: ["Rust mm developers"],
    description: "Rust sample: a device that accesses pinned pages of user space",
    license: "GPL",
}

/// The size of `struct rust_pin_range`.
const RANGE_LEN: usize = 16;
/// The most that the device can access, 16 MiB with pages of 4 KiB.
///
/// Who has `CAP_IPC_LOCK` can exceed `RLIMIT_MEMLOCK`, so a driver needs a limit of its own.
const MAX_LEN: usize = 4096 << PAGE_SHIFT;
/// The ioctl that pins a range.
const SET: u32 = _IOW::<[u8; RANGE_LEN]>('P' as u32, 0);

#[pin_data]
struct RustPin {
    #[pin]
    _device: MiscDeviceRegistration<Device>,
}

impl kernel::InPlaceModule for RustPin {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"rust_pin",
            }),
        })
    }
}

/// An open file: a context of the device.
#[pin_data]
struct Device {
    #[pin]
    pages: Mutex<Option<ChargedPages<ReadWrite>>>,
}

/// Returns where the device accesses the pages, and how many of `len` bytes at a time.
fn access(pos: i64, len: usize) -> Result<(usize, usize)> {
    let offset = usize::try_from(pos)?;
    Ok((offset, len.min(PAGE_SIZE - (offset & !PAGE_MASK))))
}

#[vtable]
impl MiscDevice for Device {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                pages <- new_mutex!(None),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    fn ioctl(device: ArcBorrow<'_, Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        if cmd != SET {
            return Err(ENOTTY);
        }
        let mut reader = UserSlice::new(UserPtr::from_addr(arg), RANGE_LEN).reader();
        let [start, len]: [u64; 2] = reader.read()?;
        let (start, len) = (usize::try_from(start)?, usize::try_from(len)?);
        if (start | len) & !PAGE_MASK != 0 || len > MAX_LEN {
            return Err(EINVAL);
        }
        let mut pages = None;
        if len > 0 {
            // Without the lock, since the pages may be in a mapping of any driver, whose fault
            // handler is called.
            let pinned = UserPages::<PinnedLongTerm, ReadWrite>::charged(start, len >> PAGE_SHIFT)?;
            if pinned.len() != len {
                // A part of the range cannot be pinned.
                return Err(EFAULT);
            }
            pages = Some(pinned);
        }
        let old = core::mem::replace(&mut *device.pages.lock(), pages);
        // Releasing pages can take long, so not under the lock.
        drop(old);
        Ok(0)
    }

    fn read_iter(mut kiocb: Kiocb<'_, Arc<Self>>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let device = kiocb.file();
        let (offset, len) = access(kiocb.ki_pos(), iov.len())?;
        // By way of memory of the kernel: a copy to user space must not be done under the lock.
        let mut bytes = KVec::from_elem(0u8, len, GFP_KERNEL)?;
        let pages = device.pages.lock();
        pages.as_ref().ok_or(ENXIO)?.read_at(offset, &mut bytes)?;
        drop(pages);
        let done = iov.copy_to_iter(&bytes);
        if done == 0 && len > 0 {
            return Err(EFAULT);
        }
        *kiocb.ki_pos_mut() += done as i64;
        Ok(done)
    }

    fn write_iter(mut kiocb: Kiocb<'_, Arc<Self>>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        let device = kiocb.file();
        let (offset, len) = access(kiocb.ki_pos(), iov.len())?;
        let mut bytes = KVec::from_elem(0u8, len, GFP_KERNEL)?;
        let done = iov.copy_from_iter(&mut bytes);
        if done == 0 && len > 0 {
            return Err(EFAULT);
        }
        bytes.truncate(done);
        let pages = device.pages.lock();
        pages.as_ref().ok_or(ENXIO)?.write_at(offset, &bytes)?;
        drop(pages);
        *kiocb.ki_pos_mut() += done as i64;
        Ok(done)
    }

    fn show_fdinfo(device: ArcBorrow<'_, Self>, m: &SeqFile, _file: &File) {
        let pages = device.pages.lock();
        let charged = pages.as_ref().map_or(0, |pages| pages.charge().nr_pages());
        m.field(
            c"pinned",
            pages.as_ref().map_or(0, |pages| pages.len()) as i64,
        );
        m.field(c"charged", (charged << PAGE_SHIFT) as i64);
    }
}
