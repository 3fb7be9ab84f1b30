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
        iter::WalkItem,
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
    transmute::AsBytes,
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
/// The size of a VMA in an answer, in words.
const WORDS: usize = 32;
/// A VMA in an answer: `struct rust_vma`.
///
/// The ninth word has the two numbers of the device. The words that follow are the name.
type Vma = [u64; WORDS];
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
        let [pid, start, vmas]: [u64; 3] = reader.read()?;
        let [count, flags]: [u32; 2] = reader.read()?;
        let mut request = Request {
            pid,
            start,
            vmas,
            count,
            flags,
        };
        if request.flags & !PAGES != 0 {
            return Err(EINVAL);
        }

        let answer = inspect(&mut request)?;
        let answer = AsBytes::as_bytes(answer.as_slice());
        UserSlice::new(UserPtr::from_addr(request.vmas as usize), answer.len())
            .writer()
            .write_slice(answer)?;

        writer.write(&[request.pid, request.start, request.vmas])?;
        writer.write(&[request.count, request.flags])?;
        Ok(0)
    }
}

/// Lists up to `request.count` VMAs, and sets `count` and `start` for the reply.
fn inspect(request: &mut Request) -> Result<KVVec<Vma>> {
    let pid = Pid::try_from(request.pid).map_err(|_| ESRCH)?;
    let start = usize::try_from(request.start)? & PAGE_MASK;
    let count = (request.count as usize).min(MAX_COUNT);
    // Collect the answer in the kernel. Copying it to user space while a VMA is locked could
    // deadlock: the copy can fault, and the caller may be the process that is inspected.
    let mut answer = KVVec::with_capacity(count, GFP_KERNEL)?;
    // Only VMAs with a file need it.
    let mut path = KVec::new();

    let mm = MmWithUser::of_process(pid, PtraceMode::Read)?;
    let mut walk = mm.walk_locked(start..usize::MAX);
    request.start = 0;
    while let Some(vma) = walk.next_vma()? {
        if answer.len() == count {
            request.start = vma.range().start as u64;
            break;
        }
        let pages = match request.flags & PAGES {
            0 => PageCounts::default(),
            _ => PageCounts::of(&*vma, vma.range())?,
        };
        // Zeroes, which are the answer where nothing is written below.
        answer.push_within_capacity([0; WORDS])?;
        if let Some(entry) = answer.last_mut() {
            describe(&vma, &pages, entry, &mut path)?;
        }
    }
    request.count = answer.len() as u32;
    Ok(answer)
}

/// Fills in the entry of a VMA.
fn describe(
    vma: &WalkItem<'_>,
    pages: &PageCounts,
    entry: &mut Vma,
    path: &mut KVec<u8>,
) -> Result {
    let range = vma.range();
    let flags = vma.stable().flags();
    let [start, end, offset, access, present, rss, swap, ino, device, name @ ..] = entry;
    *start = range.start as u64;
    *end = range.end as u64;
    *access = u64::from(flags.readable())
        | u64::from(flags.writable()) << 1
        | u64::from(flags.executable()) << 2
        | u64::from(flags.is_shared()) << 3;
    *present = pages.present as u64;
    *rss = pages.normal as u64;
    *swap = pages.swap as u64;
    let Some(file) = vma.file() else {
        return Ok(());
    };
    *offset = (vma.pgoff_at(range.start).unwrap_or(0) as u64) << PAGE_SHIFT;
    if let Ok(id) = file.inode_id() {
        *ino = id.ino;
        AsBytes::as_bytes_mut(device).copy_from_slice(AsBytes::as_bytes(&[id.major, id.minor]));
    }

    if path.is_empty() {
        path.resize(PATH_MAX, 0, GFP_KERNEL)?;
    }
    // A path that does not fit is no error: the caller must still get the VMAs that follow.
    let from = file.path(path).map_or(&b"?"[..], |path| path.to_bytes());
    let to = AsBytes::as_bytes_mut(name);
    // Keep the end of a long path, and room for the terminating zero.
    let (_, from) = from.split_at(from.len().saturating_sub(to.len() - 1));
    if let Some(to) = to.get_mut(..from.len()) {
        to.copy_from_slice(from);
    }
    Ok(())
}
