// SPDX-License-Identifier: GPL-2.0

//! Tests of files that are being opened or released.
//!
//! Drivers get references to such files, too, but not all operations on a file are possible yet, or
//! still.

use crate::{
    bindings,
    fs::{
        area::{
            Area,
            AreaRequest, //
        },
        file::flags::{
            O_ACCMODE,
            O_RDWR, //
        },
        poll::{
            Events,
            Poll, //
        },
        seek::Seek,
        File,
        Kiocb,
        ReleasedFile, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    mm::{
        current::MapFlags,
        desc::{
            Mapping,
            VmaDesc, //
        },
        flags::Protection,
        rmap::AddressSpace,
        testing::{
            UserMm,
            READ,
            SHARED, //
        },
        KernelPages, //
    },
    page::PAGE_SIZE,
    prelude::*,
    seq_file::SeqFile,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    }, //
};

struct Device {
    pages: KernelPages,
    space: AddressSpace,
    /// The operations that were refused during `open`, as bits.
    at_open: Atomic<u32>,
    /// The operations that were refused during `release`, as bits, and [`RELEASED`].
    at_release: Atomic<u32>,
    /// The number of calls of file operations that use the device.
    calls: Atomic<u32>,
}

impl Device {
    fn new() -> Result<Arc<Self>> {
        let device = Self {
            pages: KernelPages::new(1, GFP_KERNEL)?,
            space: AddressSpace::new::<EarlyFile>()?,
            at_open: Atomic::new(0),
            at_release: Atomic::new(0),
            calls: Atomic::new(0),
        };
        Ok(Arc::new(device, GFP_KERNEL)?)
    }
}

struct EarlyFile(Arc<Device>);

const RELEASED: u32 = 1 << 31;

/// Tries all operations that need an open file, and returns those that fail with EBADF, as bits.
fn refused(file: &File) -> u32 {
    let mut buf = [0; 64];
    let mapped = kernel::current!().user_mm().map(|mut mm| {
        let (prot, flags) = (Protection::READ, MapFlags::SHARED);
        match mm.vm_mmap(Some(file), 0, PAGE_SIZE, prot, flags, 0) {
            // Unmap it, since the mapping would keep the file open.
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

    fn release(this: KBox<Self>, file: &ReleasedFile) {
        let mut buf = [0; 64];
        let mut refused = RELEASED;
        // Try all methods of `ReleasedFile`. It has none that takes a reference to the file: a
        // compile-fail case checks that.
        refused |= u32::from(file.path(&mut buf).is_err());
        refused |= u32::from(file.inode_id().is_err()) << 1;
        refused |= u32::from(file.flags() & O_ACCMODE != O_RDWR) << 2;
        refused |= u32::from(file.cred().euid() != kernel::current!().uid()) << 3;
        this.0.at_release.store(refused, Relaxed);
    }

    fn address_space<'a>(this: &'a Self, file: &'a File) -> &'a AddressSpace {
        this.0.at_open.store(refused(file), Relaxed);
        &this.0.space
    }

    fn ioctl(this: &Self, _file: &File, _cmd: u32, _arg: usize) -> Result<isize> {
        this.0.calls.fetch_add(1, Relaxed);
        Ok(0)
    }

    #[cfg(CONFIG_COMPAT)]
    fn compat_ioctl(this: &Self, _file: &File, _cmd: u32, _arg: usize) -> Result<isize> {
        this.0.calls.fetch_add(1, Relaxed);
        Ok(0)
    }

    fn llseek(this: &Self, seek: Seek<'_>) -> Result<i64> {
        this.0.calls.fetch_add(1, Relaxed);
        seek.fixed_size(this.0.pages.len())
    }

    fn read_iter(kiocb: Kiocb<'_, KBox<Self>>, _iov: &mut IovIterDest<'_>) -> Result<usize> {
        kiocb.file().0.calls.fetch_add(1, Relaxed);
        Ok(0)
    }

    fn write_iter(kiocb: Kiocb<'_, KBox<Self>>, _iov: &mut IovIterSource<'_>) -> Result<usize> {
        kiocb.file().0.calls.fetch_add(1, Relaxed);
        Ok(0)
    }

    fn show_fdinfo(this: &Self, _seq: &SeqFile, _file: &File) {
        this.0.calls.fetch_add(1, Relaxed);
    }

    fn poll<'a>(this: &'a Self, _poll: &Poll<'a>) -> Events {
        this.0.calls.fetch_add(1, Relaxed);
        Events::READABLE
    }

    fn flush(this: &Self, _file: &File) -> Result {
        this.0.calls.fetch_add(1, Relaxed);
        Err(EIO)
    }

    fn get_unmapped_area<'a>(this: &'a Self, request: AreaRequest<'a>) -> Result<Area<'a>> {
        if request.len() != PAGE_SIZE || request.pgoff() != 0 {
            return Err(EINVAL);
        }
        this.0.calls.fetch_add(1, Relaxed);
        request.anywhere()
    }

    fn mmap_prepare<'f>(this: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        desc.map_kernel_pages(&this.0.pages)
    }
}

/// A file that cannot be mapped.
///
/// While it is being opened, `vm_mmap` refuses to map it; there is no hook that could.
struct BareFile(Arc<Device>);

#[vtable]
impl MiscDevice for BareFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn address_space<'a>(this: &'a Self, file: &'a File) -> &'a AddressSpace {
        this.0.at_open.store(refused(file), Relaxed);
        &this.0.space
    }
}

/// Calls the file operations that use the device, and returns their results, except that of
/// `show_fdinfo`, which has none, and that of `get_unmapped_area`, which `mmap` calls.
///
/// # Safety
///
/// `file` must be a file of type `EarlyFile`. If it is opened, its private data must be an
/// `EarlyFile`.
unsafe fn operate(file: *mut bindings::file) -> Result<[isize; 7]> {
    let mut kiocb = bindings::kiocb {
        ki_filp: file,
        ..Default::default()
    };
    let mut dest = bindings::iov_iter::default();
    let mut source = bindings::iov_iter {
        data_source: true,
        ..Default::default()
    };
    let mut seq = KBox::new(bindings::seq_file::default(), GFP_KERNEL)?;
    // SAFETY:
    // - By the safety requirements of this function, the file has the operations of a misc device
    //   of type `EarlyFile`, and if it is opened, their private data.
    // - The operations of `EarlyFile` use neither `seq` nor the iterators, which are empty.
    unsafe {
        let ops = &*(*file).f_op;
        let ioctl = ops.unlocked_ioctl.ok_or(EINVAL)?;
        let results = [
            ioctl(file, 0, 0),
            // The 32-bit operation, if the architecture has one.
            ops.compat_ioctl.unwrap_or(ioctl)(file, 0, 0),
            ops.llseek.ok_or(EINVAL)?(file, 0, 0) as isize,
            ops.read_iter.ok_or(EINVAL)?(&mut kiocb, &mut dest),
            ops.write_iter.ok_or(EINVAL)?(&mut kiocb, &mut source),
            ops.poll.ok_or(EINVAL)?(file, core::ptr::null_mut()) as isize,
            ops.flush.ok_or(EINVAL)?(file, core::ptr::null_mut()) as isize,
        ];
        ops.show_fdinfo.ok_or(EINVAL)?(&mut *seq, file);
        Ok(results)
    }
}

#[kunit_tests(rust_mm_opened)]
mod cases {
    use super::*;

    #[test]
    fn operations_too_early() -> Result {
        let mm = UserMm::attach()?;
        let device = Device::new()?;
        let file = mm.open::<EarlyFile>(KBox::new(EarlyFile(device.clone()), GFP_KERNEL)?)?;
        // SAFETY: No other thread uses the file. Its private data is still an `EarlyFile`; the test
        // is that the operations do not use it.
        let early = unsafe {
            bindings::rust_mm_test_mark_opened(file.as_ptr(), false);
            operate(file.as_ptr())
        };
        // SAFETY: No other thread uses the file.
        unsafe { bindings::rust_mm_test_mark_opened(file.as_ptr(), true) };
        let early = early?;
        assert_eq!(early[..5], [EBADF.to_errno() as isize; 5]);
        let (error, readable) = (bindings::POLLERR, bindings::POLLIN | bindings::POLLRDNORM);
        // `flush` must not fail: that would be the error of close(2).
        assert_eq!(early[5..], [error as isize, 0]);
        assert_eq!(device.calls.load(Relaxed), 0);
        // SAFETY: The file is of type `EarlyFile`, and its private data is an `EarlyFile`.
        let results = unsafe { operate(file.as_ptr()) }?;
        assert_eq!(results[..5], [0; 5]);
        assert_eq!(results[5..], [readable as isize, EIO.to_errno() as isize]);
        assert_eq!(device.calls.load(Relaxed), 8);
        Ok(())
    }

    #[test]
    fn mapped_too_early_without_a_hook() -> Result {
        let mm = UserMm::attach()?;
        let device = Device::new()?;
        let file = mm.open::<BareFile>(KBox::new(BareFile(device.clone()), GFP_KERNEL)?)?;
        assert_eq!(device.at_open.load(Relaxed), 0b111_1111);
        assert_eq!(file.mmap(PAGE_SIZE, READ, SHARED, 0), Err(ENODEV));
        Ok(())
    }

    #[test]
    fn too_early_and_too_late() -> Result {
        let mm = UserMm::attach()?;
        let device = Device::new()?;
        let file = mm.open::<EarlyFile>(KBox::new(EarlyFile(device.clone()), GFP_KERNEL)?)?;
        assert_eq!(device.at_open.load(Relaxed), 0b111_1111);

        // While the file is open, no operation is refused.
        {
            // SAFETY: The file is open as long as `file` lives, and has no active `fdget_pos`
            // region.
            let of = unsafe { File::from_raw_file(file.as_ptr()) };
            assert_eq!(refused(of), 0);
        }
        // The layer does not call the hook for a file that is not open.
        //
        // SAFETY: No other thread uses the file.
        unsafe { bindings::rust_mm_test_mark_opened(file.as_ptr(), false) };
        let calls = device.calls.load(Relaxed);
        assert_eq!(file.mmap(PAGE_SIZE, READ, SHARED, 0), Err(EBADF));
        assert_eq!(device.calls.load(Relaxed), calls);
        // SAFETY: No other thread uses the file.
        unsafe { bindings::rust_mm_test_mark_opened(file.as_ptr(), true) };
        let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
        // By `get_unmapped_area`.
        assert_eq!(device.calls.load(Relaxed), calls + 1);
        mm.munmap(addr, PAGE_SIZE)?;

        drop(file);
        for _ in 0..5000 {
            if device.at_release.load(Relaxed) != 0 {
                break;
            }
            // SAFETY: This thread holds no lock, so it may sleep.
            unsafe { bindings::msleep(1) };
        }
        // During `release`, the file still has its path and its inode.
        assert_eq!(device.at_release.load(Relaxed), RELEASED);
        Ok(())
    }
}
