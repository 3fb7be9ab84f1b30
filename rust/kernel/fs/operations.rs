// SPDX-License-Identifier: GPL-2.0

//! The operations of files that a driver makes.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use super::{
    answer,
    fsync::Fsync,
    hooks::FileHooks,
    is_opened,
    opened::private_data,
    owner,
    poll::{
        Events,
        Poll, //
    },
    seek::Seek,
    splice::{
        SpliceRead,
        SpliceWrite,
        Spliced, //
    },
    File,
    Kiocb,
    ReleasedFile, //
};
use crate::{
    bindings,
    error::VTABLE_DEFAULT_ERROR,
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    prelude::*,
    seq_file::SeqFile,
    types::ForeignOwnable, //
};
use core::marker::PhantomData;

#[cfg(CONFIG_MMU)]
use super::mmap;

/// The operations of a file, implemented by the data that the file has.
///
/// This is for every kind of file but those of a
/// [misc device](crate::miscdevice::MiscDevice):
///
/// - files of an anonymous inode: see [`anon_inode`](super::anon_inode);
/// - files of a character device: see [`CharDevice`](crate::cdev::CharDevice);
/// - files with hand-written `file_operations`: see [`FileTable`](super::FileTable).
///
/// All operations are optional.
#[vtable]
pub trait FileOperations: Sized + 'static {
    /// The pointer type that owns the data of the file.
    type Ptr: ForeignOwnable + Send + Sync + 'static;

    /// Called when the last reference to the file is dropped.
    ///
    /// Nothing of the file is mapped then.
    ///
    /// # Context
    ///
    /// Process context. May sleep. The current process need not be one that had the file open.
    fn release(device: Self::Ptr, _file: &ReleasedFile) {
        drop(device);
    }

    /// Describes the mapping that user space asks for with `mmap(2)`.
    ///
    /// All that [`MiscDevice::mmap_prepare`](crate::miscdevice::MiscDevice::mmap_prepare) says
    /// holds for this hook.
    ///
    /// # Context
    ///
    /// The mmap lock of the current process is held for writing. May sleep. Must not access user
    /// memory.
    ///
    /// # Errors
    ///
    /// `mmap(2)` fails with the error.
    #[cfg(CONFIG_MMU)]
    fn mmap_prepare<'f>(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'f>,
        _desc: crate::mm::desc::VmaDesc<'f, FileOf<Self>>,
    ) -> Result<crate::mm::desc::Mapping<'f, FileOf<Self>>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Returns the driver's own [`AddressSpace`](crate::mm::rmap::AddressSpace), in which the
    /// kernel keeps the mappings of the file.
    ///
    /// All that [`MiscDevice::address_space`](crate::miscdevice::MiscDevice::address_space) says
    /// holds for this hook.
    ///
    /// # Context
    ///
    /// The layer calls this once for each file, when the file is opened or made. May sleep.
    #[cfg(CONFIG_MMU)]
    fn address_space<'a>(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'a>,
        _file: &'a File,
    ) -> &'a crate::mm::rmap::AddressSpace {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Chooses the address of a mapping that user space has not demanded an address for.
    ///
    /// A driver with huge pages implements it with
    /// [`for_huge_pages`](crate::fs::area::AreaRequest::for_huge_pages), which says what it
    /// guarantees. User space can map the file at any other address (`MAP_FIXED`), and move the
    /// mapping with `mremap`.
    ///
    /// # Context
    ///
    /// The mmap lock of the current process is held for writing. May sleep. Must not access user
    /// memory.
    ///
    /// # Errors
    ///
    /// `mmap(2)` fails with the error.
    #[cfg(CONFIG_MMU)]
    fn get_unmapped_area<'a>(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'a>,
        _request: super::area::AreaRequest<'a>,
    ) -> Result<super::area::Area<'a>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Returns what the file is ready for, and registers the condition variables that are notified
    /// when that changes.
    ///
    /// The hook registers first ([`Poll::register_wait`]), and then looks at the state, so that no
    /// change is missed.
    ///
    /// Without this operation, the file is always ready for reading and writing.
    ///
    /// # Context
    ///
    /// Process context. May sleep. The kernel calls it again after each notification.
    ///
    /// [`Poll::register_wait`]: crate::fs::poll::Poll::register_wait
    fn poll<'a>(_device: <Self::Ptr as ForeignOwnable>::Borrowed<'a>, _poll: &Poll<'a>) -> Events {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called each time a file descriptor of the file is closed, by `close(2)` or because a process
    /// exits.
    ///
    /// The file can remain open: it can have other descriptors, in other processes too, and
    /// mappings.
    ///
    /// # Context
    ///
    /// Process context, in the process that closes the descriptor. May sleep.
    ///
    /// # Errors
    ///
    /// `close(2)` fails with the error. The descriptor is closed all the same.
    fn flush(_device: <Self::Ptr as ForeignOwnable>::Borrowed<'_>, _file: &File) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Waits until what was written to a part of the file is where it belongs.
    ///
    /// The kernel calls this for `fsync(2)`, `fdatasync(2)` and `msync(2)` with `MS_SYNC`. What
    /// user space writes to memory that it has mapped is in the memory at once. A driver that
    /// copies the memory elsewhere does so here. A driver without anything to do returns `Ok(())`.
    ///
    /// Without this operation, the system calls fail with [`EINVAL`]. `msync` of a private mapping
    /// does not call it.
    ///
    /// # Context
    ///
    /// Process context, in any process that has the file or a mapping of it. May sleep. The mmap
    /// lock is not held.
    ///
    /// # Errors
    ///
    /// The system call fails with the error.
    fn fsync(_device: <Self::Ptr as ForeignOwnable>::Borrowed<'_>, _request: Fsync<'_>) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Sets the file position, and returns it.
    ///
    /// A file cannot seek if the driver does not implement this, and has no `pread(2)` and
    /// `pwrite(2)`.
    ///
    /// # Context
    ///
    /// Process context. May sleep.
    ///
    /// # Errors
    ///
    /// `lseek(2)` fails with the error.
    fn llseek(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _seek: Seek<'_>,
    ) -> Result<i64> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Reads from the file, and returns the number of bytes that were read.
    ///
    /// User space gets at most as many bytes as the hook has written to `iov`.
    ///
    /// # Context
    ///
    /// Process context. May sleep, unless the operation
    /// [must not wait](Kiocb::is_nonblocking).
    ///
    /// # Errors
    ///
    /// `read(2)` fails with the error.
    fn read_iter(_kiocb: Kiocb<'_, Self::Ptr>, _iov: &mut IovIterDest<'_>) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Writes to the file, and returns the number of bytes that were written.
    ///
    /// # Context
    ///
    /// As [`read_iter`](Self::read_iter).
    ///
    /// # Errors
    ///
    /// `write(2)` fails with the error.
    fn write_iter(_kiocb: Kiocb<'_, Self::Ptr>, _iov: &mut IovIterSource<'_>) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Reads from the file into a pipe, for `splice(2)` and `sendfile(2)`.
    ///
    /// A driver with [`read_iter`](Self::read_iter) implements it with
    /// [`SpliceRead::by_read_iter`](SpliceRead::by_read_iter). A driver that implements it
    /// without `read_iter` does not build.
    ///
    /// Without this operation, the system calls fail with [`EINVAL`]. `sendfile(2)` also does if
    /// the file cannot [seek](Self::llseek).
    ///
    /// # Context
    ///
    /// Process context, with the lock of the pipe held. May sleep, but each process that uses the
    /// pipe sleeps meanwhile, and cannot be killed: a driver that waits for data checks
    /// [`is_nonblocking`](SpliceRead::is_nonblocking) first.
    ///
    /// # Errors
    ///
    /// The system call fails with the error, unless it has copied something before.
    fn splice_read<'a>(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'a>,
        _request: SpliceRead<'a>,
    ) -> Result<Spliced<'a>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Writes to the file what is in a pipe, for `splice(2)` and `sendfile(2)`.
    ///
    /// A driver with [`write_iter`](Self::write_iter) implements it with
    /// [`SpliceWrite::by_write_iter`](SpliceWrite::by_write_iter). A driver that implements it
    /// without `write_iter` does not build.
    ///
    /// Without this operation, the system calls fail with [`EINVAL`].
    ///
    /// # Context
    ///
    /// Process context. May sleep.
    ///
    /// # Errors
    ///
    /// The system call fails with the error, unless it has copied something before.
    fn splice_write<'a>(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'a>,
        _request: SpliceWrite<'a>,
    ) -> Result<Spliced<'a>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Does what the command `cmd` means for this file.
    ///
    /// The module [`ioctl`](mod@crate::ioctl) has functions for commands.
    ///
    /// # Context
    ///
    /// Process context. May sleep.
    ///
    /// # Errors
    ///
    /// `ioctl(2)` fails with the error: [`ENOTTY`] is the one for an unknown command.
    fn ioctl(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _file: &File,
        _cmd: u32,
        _arg: usize,
    ) -> Result<isize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Does what the command `cmd` of a 32-bit process means for this file.
    ///
    /// Only for commands whose structures differ. Without it, a 32-bit process gets
    /// [`ioctl`](Self::ioctl), with its pointer converted.
    ///
    /// # Context
    ///
    /// As [`ioctl`](Self::ioctl).
    ///
    /// # Errors
    ///
    /// As [`ioctl`](Self::ioctl).
    #[cfg(CONFIG_COMPAT)]
    fn compat_ioctl(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _file: &File,
        _cmd: u32,
        _arg: usize,
    ) -> Result<isize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Writes lines about the file, which `/proc/<pid>/fdinfo/<fd>` shows.
    ///
    /// # Context
    ///
    /// Process context, in any process that may look at the descriptor. May sleep.
    fn show_fdinfo(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _seq: &SeqFile,
        _file: &File,
    ) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// The kind of file whose operations `T` implements.
///
/// There are no values of this type: it tells the layer how to use the private data of a file.
/// [`VmaDesc`](crate::mm::desc::VmaDesc) and
/// [`VmOperations::File`](crate::mm::ops::VmOperations::File) name it.
///
/// # Invariants
///
/// Of each file of this kind:
///
/// - Once it is opened, its private data comes from `into_foreign` of `T::Ptr`, and does not change
///   until `release` passes it to `from_foreign`.
/// - If `T` implements [`address_space`](FileOperations::address_space), `f_mapping` is what that
///   returned, from before the file is opened until it is released.
/// - The module of `T` is not unloaded before the file is freed.
pub struct FileOf<T>(PhantomData<fn(T) -> T>);

#[cfg(CONFIG_MMU)]
mod map {
    use super::*;
    use crate::mm::{
        desc::{
            Mapping,
            VmaDesc, //
        },
        file::{
            sealed::Sealed,
            MapFile, //
        },
        rmap::AddressSpace, //
    };

    impl<T: FileOperations> Sealed for FileOf<T> {}

    impl<T: FileOperations> MapFile for FileOf<T> {
        type Ptr = T::Ptr;
        type Driver = T;
        const HAS_ADDRESS_SPACE: bool = T::HAS_ADDRESS_SPACE;
    }

    impl<T: FileOperations> mmap::MapHooks for FileOf<T> {
        type Ptr = T::Ptr;
        const HAS_ADDRESS_SPACE: bool = T::HAS_ADDRESS_SPACE;

        #[inline]
        fn mmap_prepare<'f>(
            device: <T::Ptr as ForeignOwnable>::Borrowed<'f>,
            desc: VmaDesc<'f, Self>,
        ) -> Result<Mapping<'f, Self>> {
            T::mmap_prepare(device, desc)
        }

        #[inline]
        fn address_space<'a>(
            device: <T::Ptr as ForeignOwnable>::Borrowed<'a>,
            file: &'a File,
        ) -> &'a AddressSpace {
            T::address_space(device, file)
        }
    }
}

impl<T: FileOperations> FileHooks for FileOf<T> {
    type Ptr = T::Ptr;

    #[inline]
    fn llseek(device: <T::Ptr as ForeignOwnable>::Borrowed<'_>, seek: Seek<'_>) -> Result<i64> {
        T::llseek(device, seek)
    }

    #[inline]
    fn poll<'a>(device: <T::Ptr as ForeignOwnable>::Borrowed<'a>, poll: &Poll<'a>) -> Events {
        T::poll(device, poll)
    }

    #[inline]
    fn flush(device: <T::Ptr as ForeignOwnable>::Borrowed<'_>, file: &File) -> Result {
        T::flush(device, file)
    }

    #[inline]
    fn fsync(device: <T::Ptr as ForeignOwnable>::Borrowed<'_>, request: Fsync<'_>) -> Result {
        T::fsync(device, request)
    }

    #[inline]
    fn splice_read<'a>(
        device: <T::Ptr as ForeignOwnable>::Borrowed<'a>,
        request: SpliceRead<'a>,
    ) -> Result<Spliced<'a>> {
        T::splice_read(device, request)
    }

    #[inline]
    fn splice_write<'a>(
        device: <T::Ptr as ForeignOwnable>::Borrowed<'a>,
        request: SpliceWrite<'a>,
    ) -> Result<Spliced<'a>> {
        T::splice_write(device, request)
    }

    #[cfg(CONFIG_MMU)]
    #[inline]
    fn get_unmapped_area<'a>(
        device: <T::Ptr as ForeignOwnable>::Borrowed<'a>,
        request: super::area::AreaRequest<'a>,
    ) -> Result<super::area::Area<'a>> {
        T::get_unmapped_area(device, request)
    }
}

impl<T: FileOperations> FileOf<T> {
    /// The operations that `T` implements, and `release`.
    ///
    /// There is no `open`. The owner is the module of `T`.
    pub(crate) const OPERATIONS: bindings::file_operations = bindings::file_operations {
        owner: owner::<T>(),
        release: Some(Self::release),
        #[cfg(CONFIG_MMU)]
        mmap_prepare: if T::HAS_MMAP_PREPARE {
            Some(mmap::mmap_prepare::<Self>)
        } else {
            None
        },
        #[cfg(CONFIG_MMU)]
        get_unmapped_area: if T::HAS_GET_UNMAPPED_AREA {
            Some(super::area::get_unmapped_area::<Self>)
        } else {
            None
        },
        poll: if T::HAS_POLL {
            Some(super::poll::poll::<Self>)
        } else {
            None
        },
        flush: if T::HAS_FLUSH {
            Some(super::hooks::flush::<Self>)
        } else {
            None
        },
        fsync: if T::HAS_FSYNC {
            Some(super::fsync::fsync::<Self>)
        } else {
            None
        },
        llseek: if T::HAS_LLSEEK {
            Some(super::seek::llseek::<Self>)
        } else {
            None
        },
        read_iter: if T::HAS_READ_ITER {
            Some(Self::read_iter)
        } else {
            None
        },
        write_iter: if T::HAS_WRITE_ITER {
            Some(Self::write_iter)
        } else {
            None
        },
        splice_read: {
            assert!(
                !T::HAS_SPLICE_READ || T::HAS_READ_ITER,
                "a driver with `splice_read` needs `read_iter`"
            );
            if T::HAS_SPLICE_READ {
                Some(super::splice::splice_read::<Self>)
            } else {
                None
            }
        },
        splice_write: {
            assert!(
                !T::HAS_SPLICE_WRITE || T::HAS_WRITE_ITER,
                "a driver with `splice_write` needs `write_iter`"
            );
            if T::HAS_SPLICE_WRITE {
                Some(super::splice::splice_write::<Self>)
            } else {
                None
            }
        },
        unlocked_ioctl: if T::HAS_IOCTL {
            Some(Self::ioctl)
        } else {
            None
        },
        #[cfg(CONFIG_COMPAT)]
        compat_ioctl: if T::HAS_COMPAT_IOCTL {
            Some(Self::compat_ioctl)
        } else if T::HAS_IOCTL {
            bindings::compat_ptr_ioctl
        } else {
            None
        },
        show_fdinfo: if T::HAS_SHOW_FDINFO {
            Some(Self::show_fdinfo)
        } else {
            None
        },
        ..pin_init::zeroed()
    };

    /// Gives a file its private data, and the address space of the driver.
    ///
    /// # Safety
    ///
    /// `file` must be of this kind, and must not have its private data yet. It must be in its
    /// `open`, which succeeds after this, or no other thread may have it yet.
    pub(crate) unsafe fn set_private_data(file: *mut bindings::file, device: T::Ptr) {
        // A file that was made without `open` counts as opened from the start. Until it has its
        // address space, it must not: `address_space` of the driver gets the file, and can make it
        // public and map it.
        //
        // SAFETY: By the safety requirements of this function, the file is valid.
        let made = unsafe { is_opened(file) };
        if made {
            // SAFETY: By the safety requirements of this function, no other thread has the file.
            unsafe { bindings::file_set_opened(file, false) };
        }
        // SAFETY: By the safety requirements of this function, the file is being opened or made, so
        // no operation uses its private data yet.
        unsafe { (*file).private_data = device.into_foreign() };

        #[cfg(CONFIG_MMU)]
        // SAFETY: By the safety requirements of this function, the file is being opened or made. It
        // has just got its private data.
        unsafe {
            mmap::set_address_space::<Self>(file)
        };

        #[cfg(not(CONFIG_MMU))]
        // SAFETY: By the safety requirements of this function, the file is being opened or made. It
        // has just got its private data, which other threads must see before the file is opened.
        unsafe {
            bindings::file_set_mapping(file, core::ptr::null_mut())
        };

        if made {
            // SAFETY: By the safety requirements of this function, the caller has made the file.
            // It has its private data and its address space now.
            unsafe { bindings::file_set_opened(file, true) };
        }
    }

    /// Takes the private data of a file, and the address space of the driver.
    ///
    /// # Safety
    ///
    /// `file` must be of this kind, and in its `release`, which calls this once. Nothing may use
    /// the private data of the file after this.
    pub(super) unsafe fn take_private_data(file: *mut bindings::file) -> T::Ptr {
        #[cfg(CONFIG_MMU)]
        // SAFETY: By the safety requirements of this function, the file is being released.
        unsafe {
            mmap::reset_address_space::<Self>(file)
        };
        // SAFETY: By the type invariants, the private data of the file comes from `into_foreign`.
        // By the safety requirements of this function, the file is being released, so all borrows
        // of the private data have ended, and this is the only call.
        unsafe { T::Ptr::from_foreign((*file).private_data) }
    }

    /// `file_operations::release`.
    ///
    /// # Safety
    ///
    /// C must be calling this for `file`, which must be of this kind.
    unsafe extern "C" fn release(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: By the safety requirements of this function, the file is of this kind and is
        // being released. The kernel calls `release` once.
        let device = unsafe { Self::take_private_data(file) };
        // SAFETY: The file is in its `release` on this thread, which has no active `fdget_pos`
        // region on it.
        T::release(device, unsafe { ReleasedFile::from_raw(file) });
        0
    }

    /// `file_operations::read_iter`.
    ///
    /// # Safety
    ///
    /// C must be calling this for `kiocb`, whose file must be of this kind.
    unsafe extern "C" fn read_iter(
        kiocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: By the safety requirements of this function, `kiocb` and its file are valid.
        if !unsafe { is_opened((*kiocb).ki_filp) } {
            return EBADF.to_errno() as isize;
        }
        // SAFETY: By the safety requirements of this function, `kiocb` is valid until this function
        // returns. By the type invariants, the private data of its file, which is opened, comes
        // from `T::Ptr`.
        let kiocb = unsafe { Kiocb::from_raw(kiocb) };
        // SAFETY: C passes a valid iterator to write to, which nothing else uses meanwhile.
        let iov = unsafe { IovIterDest::from_raw(iter) };
        let room = iov.len();
        let result = T::read_iter(kiocb, iov);
        answer::read(result, room.saturating_sub(iov.len()))
    }

    /// `file_operations::write_iter`.
    ///
    /// # Safety
    ///
    /// C must be calling this for `kiocb`, whose file must be of this kind.
    unsafe extern "C" fn write_iter(
        kiocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: By the safety requirements of this function, `kiocb` and its file are valid.
        if !unsafe { is_opened((*kiocb).ki_filp) } {
            return EBADF.to_errno() as isize;
        }
        // SAFETY: By the safety requirements of this function, `kiocb` is valid until this function
        // returns. By the type invariants, the private data of its file, which is opened, comes
        // from `T::Ptr`.
        let kiocb = unsafe { Kiocb::from_raw(kiocb) };
        // SAFETY: C passes a valid iterator to read from, which nothing else uses meanwhile.
        let iov = unsafe { IovIterSource::from_raw(iter) };
        let len = iov.len();
        answer::write(T::write_iter(kiocb, iov), len)
    }

    /// Calls one of the ioctl hooks.
    ///
    /// # Safety
    ///
    /// C must be calling the operation for `file`, which must be of this kind.
    #[inline]
    unsafe fn do_ioctl(
        file: *mut bindings::file,
        hook: impl FnOnce(<T::Ptr as ForeignOwnable>::Borrowed<'_>, &File) -> Result<isize>,
    ) -> c_long {
        // SAFETY: By the safety requirements of this function, the file is of this kind. It is not
        // released before this function returns.
        let result = unsafe { private_data::<T::Ptr>(file) }.and_then(|device| {
            // SAFETY: The file is not released before this function returns, and this thread has no
            // active `fdget_pos` region on it.
            hook(device, unsafe { File::from_raw_file(file) })
        });
        match result {
            Ok(value) => value as c_long,
            Err(err) => err.to_errno() as c_long,
        }
    }

    /// `file_operations::unlocked_ioctl`.
    ///
    /// # Safety
    ///
    /// C must be calling this for `file`, which must be of this kind.
    unsafe extern "C" fn ioctl(file: *mut bindings::file, cmd: c_uint, arg: c_ulong) -> c_long {
        // SAFETY: The safety requirements of this function are those of `do_ioctl`.
        unsafe { Self::do_ioctl(file, |device, file| T::ioctl(device, file, cmd, arg)) }
    }

    /// `file_operations::compat_ioctl`.
    ///
    /// # Safety
    ///
    /// C must be calling this for `file`, which must be of this kind.
    #[cfg(CONFIG_COMPAT)]
    unsafe extern "C" fn compat_ioctl(
        file: *mut bindings::file,
        cmd: c_uint,
        arg: c_ulong,
    ) -> c_long {
        // SAFETY: The safety requirements of this function are those of `do_ioctl`.
        unsafe { Self::do_ioctl(file, |device, file| T::compat_ioctl(device, file, cmd, arg)) }
    }

    /// `file_operations::show_fdinfo`.
    ///
    /// # Safety
    ///
    /// C must be calling this for `file`, which must be of this kind.
    unsafe extern "C" fn show_fdinfo(seq: *mut bindings::seq_file, file: *mut bindings::file) {
        // SAFETY: By the safety requirements of this function, the file is of this kind. It is not
        // released before this function returns.
        let Ok(device) = (unsafe { private_data::<T::Ptr>(file) }) else {
            return;
        };
        // SAFETY: C passes a valid `seq_file`, which nothing else uses meanwhile.
        let seq = unsafe { SeqFile::from_raw(seq) };
        // SAFETY: The file is not released before this function returns, and this thread has no
        // active `fdget_pos` region on it.
        T::show_fdinfo(device, seq, unsafe { File::from_raw_file(file) });
    }
}
