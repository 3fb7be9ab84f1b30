// SPDX-License-Identifier: GPL-2.0

//! Tests of what drivers return from the operations of their files, and what C gets.

use super::lock::signals::while_pending;
use crate::{
    bindings,
    fs::{
        anon_inode,
        file::flags::O_RDWR,
        fsync::Fsync,
        splice::{
            SpliceRead,
            SpliceWrite,
            Spliced, //
        },
        File,
        FileOperations,
        Kiocb, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    mm::testing::{
        UserFile,
        UserMm, //
    },
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow,
        Mutex, //
    }, //
};
use core::{
    ops::Range,
    ptr::NonNull, //
};

/// What a driver does in `read_iter` and `write_iter`.
#[derive(Clone, Copy)]
enum Way {
    /// Reads or writes that many bytes, and returns that many.
    Copy(usize, usize),
    /// Advances the iterator by that many bytes, and returns that many.
    Advance(usize, usize),
    /// Fails.
    Fail(Error),
}

/// The arguments of the last call of `fsync`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Synced {
    bytes: Range<u64>,
    pages: Range<usize>,
    datasync: bool,
}

/// How many pages the memory of a device has.
const PAGES: usize = 8;

#[pin_data]
struct Device {
    #[pin]
    way: Mutex<Way>,
    #[pin]
    synced: Mutex<Option<Synced>>,
    /// The position, the length and the mode of the last call of a splice operation.
    #[pin]
    spliced: Mutex<(i64, usize, bool)>,
}

impl Device {
    fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                way <- new_mutex!(Way::Copy(0, 0)),
                synced <- new_mutex!(None),
                spliced <- new_mutex!((0, 0, false)),
            }),
            GFP_KERNEL,
        )
    }

    fn read(&self, iov: &mut IovIterDest<'_>) -> Result<usize> {
        match *self.way.lock() {
            Way::Copy(len, result) => {
                for _ in 0..len {
                    iov.copy_to_iter(b"d");
                }
                Ok(result)
            }
            Way::Advance(len, result) => {
                iov.advance(len);
                Ok(result)
            }
            Way::Fail(err) => Err(err),
        }
    }

    fn write(&self, iov: &mut IovIterSource<'_>) -> Result<usize> {
        match *self.way.lock() {
            Way::Copy(len, result) => {
                for _ in 0..len {
                    iov.copy_from_iter(&mut [0]);
                }
                Ok(result)
            }
            Way::Advance(len, result) => {
                iov.advance(len);
                Ok(result)
            }
            Way::Fail(err) => Err(err),
        }
    }

    fn splice_read<'a>(&self, mut request: SpliceRead<'a>) -> Result<Spliced<'a>> {
        if let Way::Fail(err) = *self.way.lock() {
            return Err(err);
        }
        *self.spliced.lock() = (request.position(), request.len(), request.is_nonblocking());
        request.truncate(0);
        request.by_read_iter()
    }

    fn splice_write<'a>(&self, mut request: SpliceWrite<'a>) -> Result<Spliced<'a>> {
        if let Way::Fail(err) = *self.way.lock() {
            return Err(err);
        }
        *self.spliced.lock() = (request.position(), request.len(), request.is_nonblocking());
        request.truncate(0);
        request.by_write_iter()
    }

    fn fsync(&self, request: &Fsync<'_>) -> Result {
        *self.synced.lock() = Some(Synced {
            bytes: request.bytes(),
            pages: request.pages(PAGES),
            datasync: request.is_datasync(),
        });
        match *self.way.lock() {
            Way::Fail(err) => Err(err),
            _ => Ok(()),
        }
    }
}

/// A file of an anonymous inode.
struct Object(Arc<Device>);

#[vtable]
impl FileOperations for Object {
    type Ptr = Arc<Self>;

    fn read_iter(kiocb: Kiocb<'_, Arc<Self>>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        kiocb.file().0.read(iov)
    }

    fn write_iter(kiocb: Kiocb<'_, Arc<Self>>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        kiocb.file().0.write(iov)
    }

    fn splice_read<'a>(
        object: ArcBorrow<'a, Self>,
        request: SpliceRead<'a>,
    ) -> Result<Spliced<'a>> {
        object.0.splice_read(request)
    }

    fn splice_write<'a>(
        object: ArcBorrow<'a, Self>,
        request: SpliceWrite<'a>,
    ) -> Result<Spliced<'a>> {
        object.0.splice_write(request)
    }

    fn fsync(object: ArcBorrow<'_, Self>, request: Fsync<'_>) -> Result {
        object.0.fsync(&request)
    }
}

/// A file of a misc device.
struct Misc(Arc<Device>);

#[vtable]
impl MiscDevice for Misc {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        Err(ENODEV)
    }

    fn read_iter(kiocb: Kiocb<'_, Arc<Self>>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        kiocb.file().0.read(iov)
    }

    fn write_iter(kiocb: Kiocb<'_, Arc<Self>>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        kiocb.file().0.write(iov)
    }

    fn splice_read<'a>(misc: ArcBorrow<'a, Self>, request: SpliceRead<'a>) -> Result<Spliced<'a>> {
        misc.0.splice_read(request)
    }

    fn splice_write<'a>(
        misc: ArcBorrow<'a, Self>,
        request: SpliceWrite<'a>,
    ) -> Result<Spliced<'a>> {
        misc.0.splice_write(request)
    }

    fn fsync(misc: ArcBorrow<'_, Self>, request: Fsync<'_>) -> Result {
        misc.0.fsync(&request)
    }
}

/// A misc device that does not sync.
struct Plain;

#[vtable]
impl MiscDevice for Plain {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }
}

/// Calls `case` with a file of each kind.
fn each_kind(case: fn(&Device, UserFile<'_>) -> Result) -> Result {
    let mm = UserMm::attach()?;
    let device = Device::new()?;
    let object = Arc::new(Object(device.clone()), GFP_KERNEL)?;
    let file = anon_inode::getfile::<Object>(c"[test]", object, O_RDWR)?;
    case(&device, mm.file(file))?;
    let misc = Arc::new(Misc(device.clone()), GFP_KERNEL)?;
    let file = mm.open::<Misc>(misc)?;
    case(&device, file)
}

/// Syncs as the kernel does for the system calls.
fn sync(file: &UserFile<'_>, start: i64, end: i64, datasync: bool) -> i32 {
    // SAFETY: The file is open.
    unsafe { bindings::vfs_fsync_range(file.as_ptr(), start, end, datasync.into()) }
}

/// Calls both splice operations, with a pipe that they do not use.
fn splice(file: &UserFile<'_>, len: usize, flags: u32) -> Result<[isize; 2]> {
    let (file, mut pos) = (file.as_ptr(), 7);
    let pipe = NonNull::dangling().as_ptr();
    // SAFETY: The file is open. Its operations do not use the pipe: they fail, or copy nothing.
    unsafe {
        let ops = (*file).f_op;
        let read = (*ops).splice_read.ok_or(EINVAL)?;
        let write = (*ops).splice_write.ok_or(EINVAL)?;
        Ok([
            read(file, &mut pos, pipe, len, flags),
            write(pipe, file, &mut pos, len, flags),
        ])
    }
}

/// `SIGUSR1` of most architectures.
const SIGNAL: c_int = 10;

/// Errors of a driver, and those that user space gets.
const INTERNAL: [(Error, Error); 9] = [
    (ENODEV, ENODEV),
    (EIOCBQUEUED, EIO),
    (ENOIOCTLCMD, EIO),
    (EPROBE_DEFER, EIO),
    (ENOTSUPP, EIO),
    // No signal is pending, so nothing restarts the system call.
    (ERESTARTSYS, EINTR),
    (ERESTARTNOINTR, EINTR),
    (ERESTARTNOHAND, EINTR),
    (ERESTART_RESTARTBLOCK, EINTR),
];

#[kunit_tests(rust_mm_file_ops)]
mod cases {
    use super::*;

    #[test]
    fn read_is_what_was_written() -> Result {
        each_kind(|device, file| {
            let read = |way: Way| {
                *device.way.lock() = way;
                let mut out = [b'-'; 4];
                (file.pread(&mut out, 0), out)
            };
            assert_eq!(read(Way::Copy(3, 3)), (Ok(3), *b"ddd-"));
            assert_eq!(read(Way::Copy(3, 2)), (Ok(2), *b"ddd-"));
            // The driver claims more than it has written.
            assert_eq!(read(Way::Copy(2, 4)), (Ok(2), *b"dd--"));
            assert_eq!(read(Way::Copy(0, 4)), (Ok(0), *b"----"));
            assert_eq!(read(Way::Copy(9, 9)), (Ok(4), *b"dddd"));
            assert_eq!(read(Way::Copy(4, usize::MAX)), (Ok(4), *b"dddd"));
            let queued = EIOCBQUEUED.to_errno() as usize;
            assert_eq!(read(Way::Copy(0, queued)), (Ok(0), *b"----"));
            // To skip bytes would leave in them what the memory had before.
            assert_eq!(read(Way::Advance(3, 3)), (Ok(3), *b"\0\0\0-"));
            assert_eq!(read(Way::Advance(9, 9)), (Ok(4), *b"\0\0\0\0"));
            Ok(())
        })
    }

    #[test]
    fn written_is_what_was_there() -> Result {
        each_kind(|device, file| {
            let write = |way: Way| {
                *device.way.lock() = way;
                file.pwrite(b"user", 0)
            };
            assert_eq!(write(Way::Copy(3, 3)), Ok(3));
            assert_eq!(write(Way::Copy(3, 2)), Ok(2));
            assert_eq!(write(Way::Advance(4, 4)), Ok(4));
            // As for /dev/null: the driver does not look at the bytes.
            assert_eq!(write(Way::Copy(0, 4)), Ok(4));
            assert_eq!(write(Way::Copy(0, 5)), Ok(4));
            assert_eq!(write(Way::Copy(0, usize::MAX)), Ok(4));
            let queued = EIOCBQUEUED.to_errno() as usize;
            assert_eq!(write(Way::Copy(0, queued)), Ok(4));
            Ok(())
        })
    }

    #[test]
    fn errors() -> Result {
        each_kind(|device, file| {
            for (returned, seen) in INTERNAL {
                *device.way.lock() = Way::Fail(returned);
                assert_eq!(file.pread(&mut [0], 0), Err(seen));
                assert_eq!(file.pwrite(b"x", 0), Err(seen));
                assert_eq!(sync(&file, 0, i64::MAX, false), seen.to_errno());
                assert_eq!(splice(&file, 1, 0)?, [seen.to_errno() as isize; 2]);
            }
            Ok(())
        })
    }

    #[test]
    fn restarts_while_a_signal_is_pending() -> Result {
        each_kind(|device, file| {
            while_pending(SIGNAL, || {
                assert!(crate::current!().signal_pending());
                for (returned, seen) in INTERNAL {
                    *device.way.lock() = Way::Fail(returned);
                    let seen = match returned {
                        ERESTARTSYS | ERESTARTNOINTR | ERESTARTNOHAND => returned,
                        _ => seen,
                    };
                    assert_eq!(file.pread(&mut [0], 0), Err(seen));
                    assert_eq!(sync(&file, 0, i64::MAX, false), seen.to_errno());
                }
                Ok(())
            })
        })
    }

    #[test]
    fn fsync() -> Result {
        const PAGE: u64 = PAGE_SIZE as u64;
        each_kind(|device, file| {
            let synced = |start: u64, end: u64, datasync: bool| {
                assert_eq!(sync(&file, start as i64, end as i64, datasync), 0);
                device.synced.lock().take().ok_or(EINVAL)
            };
            let check = |start: u64, end: u64, bytes: Range<u64>, pages: Range<usize>| {
                let synced = synced(start, end, true)?;
                assert_eq!((synced.bytes, synced.pages), (bytes, pages));
                Ok::<(), Error>(())
            };
            // fsync(2), fdatasync(2).
            let all = i64::MAX as u64;
            for datasync in [false, true] {
                let (bytes, pages) = (0..u64::MAX, 0..PAGES);
                let expected = Synced {
                    bytes,
                    pages,
                    datasync,
                };
                assert_eq!(synced(0, all, datasync)?, expected);
            }
            // msync(2): whole pages.
            check(PAGE, 3 * PAGE - 1, PAGE..3 * PAGE, 1..3)?;
            check(0, 8 * PAGE - 1, 0..8 * PAGE, 0..8)?;
            check(7 * PAGE, 9 * PAGE - 1, 7 * PAGE..9 * PAGE, 7..8)?;
            check(8 * PAGE, 9 * PAGE - 1, 8 * PAGE..9 * PAGE, 8..8)?;
            // The mapping of a device can have an offset that is negative as an `loff_t`.
            let high = 1 << 63;
            check(high, high + PAGE - 1, high..high + PAGE, 8..8)?;
            check(high - PAGE, high + PAGE - 1, high - PAGE..high + PAGE, 8..8)?;
            // io_uring: any range, and one byte more than user space has asked for.
            check(PAGE - 1, PAGE, PAGE - 1..PAGE + 1, 0..2)?;
            check(5, 5, 5..6, 0..1)?;
            check(3 * PAGE, all, 3 * PAGE..u64::MAX, 3..8)?;
            check(high, all, high..u64::MAX, 8..8)?;
            check(u64::MAX, 9, u64::MAX..u64::MAX, 8..8)?;
            check(2 * PAGE, PAGE, 2 * PAGE..2 * PAGE, 2..2)?;
            check(0, u64::MAX, 0..u64::MAX, 0..8)?;
            Ok(())
        })
    }

    #[test]
    fn splice_of_nothing() -> Result {
        each_kind(|device, file| {
            // The kernel's functions do not expect a length of 0.
            assert_eq!(splice(&file, 5, 0)?, [0; 2]);
            assert_eq!(*device.spliced.lock(), (7, 5, false));
            assert_eq!(splice(&file, 6, bindings::SPLICE_F_NONBLOCK)?, [0; 2]);
            assert_eq!(*device.spliced.lock(), (7, 6, true));
            Ok(())
        })
    }

    #[test]
    fn fsync_is_not_there() -> Result {
        let mm = UserMm::attach()?;
        let file = mm.open::<Plain>(KBox::new(Plain, GFP_KERNEL)?)?;
        assert_eq!(sync(&file, 0, i64::MAX, false), EINVAL.to_errno());
        Ok(())
    }

    #[test]
    fn too_early() -> Result {
        each_kind(|device, file| {
            // SAFETY: No other thread uses the file.
            unsafe { bindings::rust_mm_test_mark_opened(file.as_ptr(), false) };
            let result = sync(&file, 0, i64::MAX, false);
            let spliced = splice(&file, 5, 0);
            // SAFETY: No other thread uses the file.
            unsafe { bindings::rust_mm_test_mark_opened(file.as_ptr(), true) };
            assert_eq!(result, EBADF.to_errno());
            assert_eq!(spliced?, [EBADF.to_errno() as isize; 2]);
            assert_eq!(*device.synced.lock(), None);
            assert_eq!(*device.spliced.lock(), (0, 0, false));
            Ok(())
        })
    }
}
