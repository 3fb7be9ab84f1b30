// SPDX-License-Identifier: GPL-2.0

//! Tests of files of an anonymous inode.

use crate::{
    bindings,
    fs::{
        anon_inode,
        area::{
            Area,
            AreaRequest, //
        },
        file::flags::{
            O_ACCMODE,
            O_CLOEXEC,
            O_NONBLOCK,
            O_RDONLY,
            O_RDWR,
            O_WRONLY, //
        },
        poll::{
            Events,
            Poll, //
        },
        seek::Seek,
        File,
        FileOf,
        FileOperations,
        Kiocb,
        ReleasedFile, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    mm::{
        current::MapFlags,
        desc::{
            Mapping,
            VmaDesc, //
        },
        flags::Protection,
        revoke::Revocation,
        rmap::AddressSpace,
        testing::{
            UserMm,
            PRIVATE,
            READ,
            SHARED,
            WRITE, //
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
        Arc,
        ArcBorrow, //
    }, //
};
use core::{
    mem::MaybeUninit,
    ptr, //
};

/// The device of a case, and what its hooks have seen.
#[pin_data]
struct Device {
    pages: KernelPages,
    #[pin]
    revocation: Revocation,
    /// The error of a mapping that `address_space` makes.
    early: Atomic<i32>,
    /// Whether the last operation had to be non-blocking.
    nonblocking: Atomic<bool>,
    /// Whether the last read was one of user space.
    user_backed: Atomic<bool>,
    released: Atomic<i32>,
}

impl Device {
    fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            try_pin_init!(Self {
                pages: KernelPages::new(4, GFP_KERNEL)?,
                revocation <- Revocation::new::<FileOf<Buffer>>(),
                early: Atomic::new(0),
                nonblocking: Atomic::new(false),
                user_backed: Atomic::new(true),
                released: Atomic::new(0),
            }? Error),
            GFP_KERNEL,
        )
    }

    /// Waits until as many files are released.
    fn wait_released(&self, count: i32) -> bool {
        for _ in 0..5000 {
            if self.released.load(Relaxed) == count {
                return true;
            }
            // SAFETY: This thread holds no lock, so it may sleep.
            unsafe { bindings::msleep(1) };
        }
        false
    }
}

struct Buffer(Arc<Device>);

impl Buffer {
    fn new(device: &Arc<Device>) -> Result<Arc<Self>> {
        Ok(Arc::new(Self(device.clone()), GFP_KERNEL)?)
    }
}

#[vtable]
impl FileOperations for Buffer {
    type Ptr = Arc<Self>;

    fn release(buffer: Arc<Self>, file: &ReleasedFile) {
        // The file still has its flags.
        if file.flags() & O_ACCMODE == O_RDWR {
            buffer.0.released.fetch_add(1, Relaxed);
        }
    }

    fn address_space<'a>(buffer: ArcBorrow<'a, Self>, file: &'a File) -> &'a AddressSpace {
        let device = &buffer.into_ref().0;
        // The file has no address space yet, so it cannot be mapped, although no `open` is called.
        let mapped = crate::current!().user_mm().map(|mut mm| {
            let (prot, flags) = (Protection::READ, MapFlags::SHARED);
            mm.vm_mmap(Some(file), 0, PAGE_SIZE, prot, flags, 0)
        });
        if let Some(Err(err)) = mapped {
            device.early.store(err.to_errno(), Relaxed);
        }
        device.revocation.address_space()
    }

    fn mmap_prepare<'f>(
        buffer: ArcBorrow<'f, Self>,
        mut desc: VmaDesc<'f, FileOf<Self>>,
    ) -> Result<Mapping<'f, FileOf<Self>>> {
        desc.deny_cow()?;
        desc.map_kernel_pages(&buffer.into_ref().0.pages)
    }

    fn get_unmapped_area<'a>(
        _buffer: ArcBorrow<'a, Self>,
        request: AreaRequest<'a>,
    ) -> Result<Area<'a>> {
        request.for_huge_pages()
    }

    fn llseek(buffer: ArcBorrow<'_, Self>, seek: Seek<'_>) -> Result<i64> {
        seek.fixed_size(buffer.0.pages.len())
    }

    fn read_iter(mut kiocb: Kiocb<'_, Arc<Self>>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let device = &kiocb.file().into_ref().0;
        device.nonblocking.store(kiocb.is_nonblocking(), Relaxed);
        device.user_backed.store(iov.is_user_backed(), Relaxed);
        let pos = usize::try_from(kiocb.ki_pos())?;
        let mut byte = [0];
        device.pages.read_at(pos, &mut byte)?;
        *kiocb.ki_pos_mut() += 1;
        Ok(iov.copy_to_iter(&byte))
    }

    fn write_iter(mut kiocb: Kiocb<'_, Arc<Self>>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        let device = &kiocb.file().into_ref().0;
        let pos = usize::try_from(kiocb.ki_pos())?;
        let mut byte = [0];
        let len = iov.copy_from_iter(&mut byte);
        device.pages.write_at(pos, &byte[..len])?;
        *kiocb.ki_pos_mut() += len as i64;
        Ok(len)
    }

    fn ioctl(_buffer: ArcBorrow<'_, Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        match cmd {
            1 => Ok(arg as isize + 1),
            _ => Err(ENOTTY),
        }
    }

    #[cfg(CONFIG_COMPAT)]
    fn compat_ioctl(_: ArcBorrow<'_, Self>, _file: &File, _cmd: u32, arg: usize) -> Result<isize> {
        Ok(arg as isize + 2)
    }

    fn poll<'a>(buffer: ArcBorrow<'a, Self>, _poll: &Poll<'a>) -> Events {
        if buffer.0.revocation.is_revoked() {
            Events::HANGUP | Events::PRIORITY
        } else {
            Events::WRITABLE
        }
    }

    fn flush(buffer: ArcBorrow<'_, Self>, _file: &File) -> Result {
        if buffer.0.revocation.is_revoked() {
            return Err(ENODEV);
        }
        Ok(())
    }

    fn show_fdinfo(_buffer: ArcBorrow<'_, Self>, _seq: &SeqFile, _file: &File) {}
}

/// A file without operations.
struct Bare;

#[vtable]
impl FileOperations for Bare {
    type Ptr = KBox<Self>;
}

#[kunit_tests(rust_mm_anon_inode)]
mod cases {
    use super::*;

    #[test]
    fn made_and_released() -> Result {
        let mm = UserMm::attach()?;
        let device = Device::new()?;
        device.pages.write_at(0, b"pages")?;
        let file = anon_inode::getfile::<Buffer>(c"[test]", Buffer::new(&device)?, O_RDWR)?;
        assert_eq!(device.early.load(Relaxed), EBADF.to_errno());
        assert_eq!(file.flags() & O_ACCMODE, O_RDWR);
        let file = mm.file(file);

        let addr = file.mmap(PAGE_SIZE, READ | WRITE, SHARED, 0)?;
        assert_eq!(mm.read(addr)?, *b"pages");
        assert_eq!(file.mmap(PAGE_SIZE, READ | WRITE, PRIVATE, 0), Err(EINVAL));
        device.revocation.revoke();
        assert_eq!(mm.read::<1>(addr), Err(EFAULT));
        assert_eq!(file.mmap(PAGE_SIZE, READ, SHARED, 0), Err(ENODEV));

        // The mapping keeps the file.
        drop(file);
        assert_eq!(device.released.load(Relaxed), 0);
        mm.munmap(addr, PAGE_SIZE)?;
        assert!(device.wait_released(1));
        Ok(())
    }

    #[test]
    fn flags() -> Result {
        let mm = UserMm::attach()?;
        let device = Device::new()?;
        for flags in [O_WRONLY | O_RDWR, O_RDWR | O_CLOEXEC, 1 << 30] {
            let file = anon_inode::getfile::<Buffer>(c"[test]", Buffer::new(&device)?, flags);
            assert_eq!(file.err(), Some(EINVAL));
        }
        let file = anon_inode::getfile::<Buffer>(c"[test]", Buffer::new(&device)?, O_RDONLY)?;
        let file = mm.file(file);
        assert_eq!(file.mmap(PAGE_SIZE, READ | WRITE, SHARED, 0), Err(EACCES));
        file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
        Ok(())
    }

    #[test]
    fn without_operations() -> Result {
        let mm = UserMm::attach()?;
        let file = anon_inode::getfile::<Bare>(c"[test]", KBox::new(Bare, GFP_KERNEL)?, O_RDWR)?;
        let file = mm.file(file);
        assert_eq!(file.mmap(PAGE_SIZE, READ, SHARED, 0), Err(ENODEV));
        assert_eq!(file.pread(&mut [0], 0), Err(EINVAL));
        Ok(())
    }

    #[test]
    fn operations() -> Result {
        let mm = UserMm::attach()?;
        let device = Device::new()?;
        for flags in [O_RDWR, O_RDWR | O_NONBLOCK] {
            let file = anon_inode::getfile::<Buffer>(c"[test]", Buffer::new(&device)?, flags)?;
            let file = mm.file(file);
            let mut byte = [0];
            assert_eq!(file.pwrite(b"x", 5)?, 1);
            assert_eq!(file.pread(&mut byte, 5)?, 1);
            assert_eq!(byte, *b"x");
            assert_eq!(device.nonblocking.load(Relaxed), flags & O_NONBLOCK != 0);
            assert!(!device.user_backed.load(Relaxed));
        }

        let file = anon_inode::getfile::<Buffer>(c"[test]", Buffer::new(&device)?, O_RDWR)?;
        let raw = file.as_ptr();
        // SAFETY: The file is open, so it has its operations.
        let ops = unsafe { &*(*raw).f_op };
        let ioctl = ops.unlocked_ioctl.ok_or(EINVAL)?;
        let llseek = ops.llseek.ok_or(EINVAL)?;
        let poll = ops.poll.ok_or(EINVAL)?;
        let flush = ops.flush.ok_or(EINVAL)?;
        // The results of `poll` and `flush`.
        //
        // SAFETY: The file is open. The table of `poll` can be null.
        let ready = || unsafe { (poll(raw, ptr::null_mut()), flush(raw, ptr::null_mut())) };

        // SAFETY: The file is open.
        let (known, unknown) = unsafe { (ioctl(raw, 1, 7), ioctl(raw, 2, 7)) };
        assert_eq!(known, 8);
        assert_eq!(unknown, ENOTTY.to_errno() as isize);
        #[cfg(CONFIG_COMPAT)]
        {
            let compat = ops.compat_ioctl.ok_or(EINVAL)?;
            // SAFETY: The file is open.
            let result = unsafe { compat(raw, 1, 7) };
            assert_eq!(result, 9);
        }
        // SAFETY: The file is open. 2 is `SEEK_END`.
        let end = unsafe { llseek(raw, 0, 2) };
        assert_eq!(end, 4 * PAGE_SIZE as i64);

        assert_eq!(ready(), (bindings::POLLOUT | bindings::POLLWRNORM, 0));
        device.revocation.revoke();
        let gone = bindings::POLLHUP | bindings::POLLPRI;
        assert_eq!(ready(), (gone, ENODEV.to_errno()));
        Ok(())
    }

    #[test]
    fn read_of_user_space() {
        for (kind, user_backed) in [
            (bindings::iter_type_ITER_UBUF, true),
            (bindings::iter_type_ITER_IOVEC, true),
            (bindings::iter_type_ITER_KVEC, false),
            (bindings::iter_type_ITER_BVEC, false),
        ] {
            let mut iov = MaybeUninit::<bindings::iov_iter>::zeroed();
            let raw = iov.as_mut_ptr();
            // SAFETY: `raw` points to the local variable.
            unsafe { (*raw).iter_type = kind as u8 };
            // SAFETY: The iterator has no data: all zeroes is `ITER_DEST`, and a length of zero.
            let iov = unsafe { IovIterDest::from_raw(raw) };
            assert_eq!(iov.is_user_backed(), user_backed);
        }
    }

    #[test]
    fn too_early() -> Result {
        let mm = UserMm::attach()?;
        let device = Device::new()?;
        let file = anon_inode::getfile::<Buffer>(c"[test]", Buffer::new(&device)?, O_RDWR)?;
        let file = mm.file(file);
        device.nonblocking.store(true, Relaxed);
        // SAFETY: No other thread uses the file.
        unsafe { bindings::rust_mm_test_mark_opened(file.as_ptr(), false) };
        let read = file.pread(&mut [0], 0);
        let written = file.pwrite(b"x", 0);
        // SAFETY: No other thread uses the file.
        unsafe { bindings::rust_mm_test_mark_opened(file.as_ptr(), true) };
        assert_eq!(read, Err(EBADF));
        assert_eq!(written, Err(EBADF));
        // The driver was not called.
        assert!(device.nonblocking.load(Relaxed));
        Ok(())
    }

    #[test]
    #[cfg(all(CONFIG_TRANSPARENT_HUGEPAGE, CONFIG_64BIT))]
    fn address_for_huge_pages() -> Result {
        let mm = UserMm::attach()?;
        let device = Device::new()?;
        let file = anon_inode::getfile::<Buffer>(c"[test]", Buffer::new(&device)?, O_RDWR)?;
        // The file is smaller than a PMD: the hook refuses the mapping only after the address has
        // been chosen.
        let huge = crate::mm::ops::HugeOrder::Pmd.len();
        let area = |addr: usize, len: usize, pgoff: usize, flags: usize| {
            let _guard = mm.current().mmap_write_lock();
            // SAFETY: The file is open, and the mmap lock of the current mm is held.
            unsafe {
                let get = (*(*file.as_ptr()).f_op).get_unmapped_area;
                get.map(|get| get(file.as_ptr(), addr, len, pgoff, flags))
            }
        };
        let nr_pages = crate::mm::ops::HugeOrder::Pmd.nr_pages();
        assert_eq!(area(0, 2 * huge, 0, SHARED).ok_or(EINVAL)? % huge, 0);
        let skewed = area(0, 2 * huge, nr_pages - 1, SHARED).ok_or(EINVAL)?;
        assert_eq!(skewed % huge, huge - PAGE_SIZE);

        // User space decides.
        let fixed = SHARED | bindings::MAP_FIXED as usize;
        let taken = mm.mmap_anonymous(4 * huge)?;
        let odd = taken.next_multiple_of(huge) + PAGE_SIZE;
        assert_eq!(area(odd, 2 * huge, 0, fixed), Some(odd));
        // The proposed range is not free.
        let other = area(odd, 2 * huge, 0, SHARED).ok_or(EINVAL)?;
        assert_eq!(other % huge, 0);
        mm.munmap(taken, 4 * huge)?;
        assert_eq!(area(odd, 2 * huge, 0, SHARED), Some(odd));
        Ok(())
    }
}
