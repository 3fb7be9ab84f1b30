// SPDX-License-Identifier: GPL-2.0

//! Files that are being opened, or released: a driver gets these, too, but they are not ready for all
//! that can be done to a file.

use crate::{
    bindings,
    fs::File,
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    mm::{
        desc::{
            Mapping,
            VmaDesc, //
        },
        rmap::AddressSpace,
        testing::{
            UserMm,
            READ,
            SHARED, //
        },
        user::{
            MapFlags,
            Protection, //
        },
        KernelPages, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
};

struct Device {
    pages: KernelPages,
    space: AddressSpace,
    /// What was refused while the file was being opened.
    at_open: Atomic<u32>,
    /// The same when it was released, and that it was.
    at_release: Atomic<u32>,
}

struct EarlyFile(Arc<Device>);

const RELEASED: u32 = 1 << 31;

/// Tries all that needs a file that is open, and returns what was refused, as bits.
fn refused(file: &File) -> u32 {
    let mut buf = [0; 64];
    let mapped = kernel::current!().user_mm().map(|mut mm| {
        let (prot, flags) = (Protection::READ, MapFlags::SHARED);
        match mm.vm_mmap(Some(file), 0, PAGE_SIZE, prot, flags, 0) {
            // It would keep the file.
            Ok(addr) => mm.vm_munmap(addr, PAGE_SIZE).err(),
            Err(err) => Some(err),
        }
    });
    let results = [
        file.path(&mut buf).err(),
        file.inode_id().err(),
        file.i_mmap_lock_read().err(),
        file.i_mmap_lock_write().err(),
        file.i_mmap_trylock_read().err(),
        file.i_mmap_trylock_write().err(),
        mapped.unwrap_or(Some(EBADF)),
    ];
    (0..).zip(results).fold(0, |bits, (bit, err)| {
        bits | u32::from(err == Some(EBADF)) << bit
    })
}

#[vtable]
impl MiscDevice for EarlyFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn release(this: KBox<Self>, file: &File) {
        let device = &this.0;
        device.at_release.store(refused(file) | RELEASED, Relaxed);
    }

    fn address_space<'a>(this: &'a Self, file: &'a File) -> &'a AddressSpace {
        this.0.at_open.store(refused(file), Relaxed);
        &this.0.space
    }

    fn mmap_prepare<'f>(this: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        desc.map_kernel_pages(&this.0.pages)
    }
}

#[kunit_tests(rust_mm_opened)]
mod cases {
    use super::*;

    #[test]
    fn too_early_and_too_late() -> Result {
        let mm = UserMm::attach()?;
        let device = Device {
            pages: KernelPages::new(1, GFP_KERNEL)?,
            space: AddressSpace::new()?,
            at_open: Atomic::new(0),
            at_release: Atomic::new(0),
        };
        let device = Arc::new(device, GFP_KERNEL)?;
        let file = mm.open::<EarlyFile>(KBox::new(EarlyFile(device.clone()), GFP_KERNEL)?)?;
        assert_eq!(device.at_open.load(Relaxed), 0b111_1111);

        // In between, all of it works.
        {
            // SAFETY: The file is open as long as `file` is, and no system call works on it.
            let of = unsafe { File::from_raw_file(file.as_ptr()) };
            assert_eq!(refused(of), 0);
        }
        // Nor does the hook get a file that is not ready, whoever maps it.
        // SAFETY: Nobody else uses the file.
        unsafe { bindings::file_mark_opened(file.as_ptr(), false) };
        assert_eq!(file.mmap(PAGE_SIZE, READ, SHARED, 0), Err(EBADF));
        // SAFETY: As above.
        unsafe { bindings::file_mark_opened(file.as_ptr(), true) };
        let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
        mm.munmap(addr, PAGE_SIZE)?;

        drop(file);
        for _ in 0..5000 {
            if device.at_release.load(Relaxed) != 0 {
                break;
            }
            // SAFETY: Sleeping is allowed here.
            unsafe { bindings::msleep(1) };
        }
        // It still has its path and its inode.
        assert_eq!(device.at_release.load(Relaxed), RELEASED | 0b111_1100);
        Ok(())
    }
}
