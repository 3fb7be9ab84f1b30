// SPDX-License-Identifier: GPL-2.0

//! The mappings of another process.
//!
//! `/dev/rust_vma_inspect` has an ioctl that lists the VMAs of a process, with their files and the
//! number of bytes that are present. The driver does not hold the mmap lock while it walks the mm:
//! it locks one VMA after the other, so the process can map and fault meanwhile.
//! `rust_vma_inspect.h` defines the interface, and `rust_vma_inspect_show.c` prints the result
//! beside `/proc/<pid>/smaps`.
//!
//! This sample shows how to get the mm of another process and how to walk its VMAs and its page
//! tables, without a line of `unsafe`.

use kernel::{
    fs::File,
    ioctl::_IOWR,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::{
        pgtable::PageCounts,
        remote::PtraceMode,
        MmWithUser, //
    },
    page::{
        PAGE_MASK,
        PAGE_SHIFT, //
    },
    prelude::*,
    task::Pid,
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

module! {
    type: RustVmaInspect,
    name: "rust_vma_inspect",
    authors: ["Rust mm developers"],
    description: "Rust sample: the mappings of another process",
    license: "GPL",
}

/// A request of user space: `struct rust_vma_inspect`.
struct Request {
    pid: u64,
    start: u64,
    vmas: u64,
    count: u32,
    flags: u32,
}

/// The size of a request.
const REQUEST_LEN: usize = 32;
/// The size of a VMA in an answer: `struct rust_vma`.
const VMA_LEN: usize = 256;
/// The size of `name`, the last field of `struct rust_vma`.
const NAME_LEN: usize = 184;
/// Zeroes to pad a name with.
static NO_NAME: [u8; NAME_LEN] = [0; NAME_LEN];
/// The most VMAs in an answer.
const MAX_COUNT: usize = 1024;
/// The size of the buffer for a path: the kernel's `PATH_MAX`.
const PATH_MAX: usize = 4096;

/// Flag of a request: count pages.
const PAGES: u32 = 1;

/// The ioctl that lists VMAs.
const INSPECT: u32 = _IOWR::<[u8; REQUEST_LEN]>('V' as u32, 0);

#[pin_data]
struct RustVmaInspect {
    #[pin]
    _device: MiscDeviceRegistration<Inspect>,
}

impl kernel::InPlaceModule for RustVmaInspect {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"rust_vma_inspect",
            }),
        })
    }
}

/// An open file, which has no state.
struct Inspect;

#[vtable]
impl MiscDevice for Inspect {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Ok(KBox::new(Inspect, GFP_KERNEL)?)
    }

    fn ioctl(_this: &Self, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        if cmd != INSPECT {
            return Err(ENOTTY);
        }
        let (mut reader, mut writer) =
            UserSlice::new(UserPtr::from_addr(arg), REQUEST_LEN).reader_writer();
        let mut request = Request {
            pid: reader.read()?,
            start: reader.read()?,
            vmas: reader.read()?,
            count: reader.read()?,
            flags: reader.read()?,
        };
        if request.flags & !PAGES != 0 {
            return Err(EINVAL);
        }

        let answer = inspect(&mut request)?;
        UserSlice::new(UserPtr::from_addr(request.vmas as usize), answer.len())
            .writer()
            .write_slice(&answer)?;

        writer.write(&request.pid)?;
        writer.write(&request.start)?;
        writer.write(&request.vmas)?;
        writer.write(&request.count)?;
        writer.write(&request.flags)?;
        Ok(0)
    }
}

/// Lists up to `request.count` VMAs, and sets `count` and `start` for the reply.
fn inspect(request: &mut Request) -> Result<KVVec<u8>> {
    let pid = Pid::try_from(request.pid).map_err(|_| ESRCH)?;
    let start = usize::try_from(request.start)? & PAGE_MASK;
    let count = (request.count as usize).min(MAX_COUNT);
    // Collect the answer in the kernel. Copying it to user space while a VMA is locked could
    // deadlock: the copy can fault, and the caller may be the process that is inspected.
    let mut answer = KVVec::with_capacity(count * VMA_LEN, GFP_KERNEL)?;
    let mut path = KVec::from_elem(0, PATH_MAX, GFP_KERNEL)?;

    let mm = MmWithUser::of_process(pid, PtraceMode::Read)?;
    let mut walk = mm.walk_locked(start..usize::MAX);
    request.count = 0;
    request.start = 0;
    while let Some(vma) = walk.next_vma()? {
        if request.count as usize == count {
            request.start = vma.range().start as u64;
            break;
        }
        let pages = match request.flags & PAGES {
            0 => PageCounts::default(),
            _ => PageCounts::of(&*vma, vma.range())?,
        };
        let file = vma.file();
        let offset = file.and(vma.pgoff_at(vma.range().start)).unwrap_or(0);
        let id = file.and_then(|file| file.inode_id().ok());
        let flags = [
            vma.readable(),
            vma.writable(),
            vma.executable(),
            vma.is_shared(),
        ];
        let flags = (0..).zip(flags).map(|(bit, is)| u64::from(is) << bit).sum();
        let numbers = [
            vma.range().start as u64,
            vma.range().end as u64,
            (offset as u64) << PAGE_SHIFT,
            flags,
            pages.present as u64,
            pages.normal as u64,
            pages.swap as u64,
            id.map_or(0, |id| id.ino),
        ];
        let device = [id.map_or(0, |id| id.major), id.map_or(0, |id| id.minor)];
        let numbers = numbers.map(u64::to_ne_bytes);
        let device = device.map(u32::to_ne_bytes);
        answer.extend_from_slice(numbers.as_flattened(), GFP_KERNEL)?;
        answer.extend_from_slice(device.as_flattened(), GFP_KERNEL)?;

        let name = match file {
            // A path that does not fit is no error: the caller must still get the VMAs that follow.
            Some(file) => file
                .path(&mut path)
                .map_or(&b"?"[..], |path| path.to_bytes()),
            None => b"",
        };
        // Keep the end of a long path, and room for the terminating zero.
        let (_, name) = name.split_at(name.len().saturating_sub(NAME_LEN - 1));
        answer.extend_from_slice(name, GFP_KERNEL)?;
        let (_, rest) = NO_NAME.split_at(name.len());
        answer.extend_from_slice(rest, GFP_KERNEL)?;
        request.count += 1;
    }
    Ok(answer)
}
