// SPDX-License-Identifier: GPL-2.0

//! Memory files.
//!
//! `/dev/rust_memfile` has an ioctl that makes a memory file and returns its file descriptor, as
//! `memfd_create(2)` does. User space chooses which modes of userfaultfd the file allows, whether
//! it has huge pages, and whether it can be sealed. Another ioctl counts the files that exist.
//! `rust_memfile.h` defines the interface.
//!
//! The module cannot be unloaded while one of the files is open or mapped.
//!
//! This sample implements [`UffdOps`], without a line of `unsafe`: the layer implements all
//! that the files do.

use kernel::{
    fs::{
        file::flags::O_CLOEXEC,
        memory_file::{
            MemoryFile,
            Options, //
        },
        File, //
    },
    ioctl::{
        _IOR,
        _IOW, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::uffd::{
        UffdModes,
        UffdOps, //
    },
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

module! {
    type: RustMemfile,
    name: "rust_memfile",
    authors: ["Rust mm developers"],
    description: "Rust sample: memory files",
    license: "GPL",
}

/// Makes a memory file: `struct rust_memfile_create`.
const CREATE: u32 = _IOW::<[u64; 2]>('M' as u32, 0);
/// Counts the files: `struct rust_memfile_stats`.
const STATS: u32 = _IOR::<u64>('M' as u32, 1);

/// Flags of a request to make a file.
const HUGE: u32 = 1;
const EVICTABLE: u32 = 2;
const SEALABLE: u32 = 4;
const CLOEXEC: u32 = 8;
const FLAGS: u32 = HUGE | EVICTABLE | SEALABLE | CLOEXEC;

/// The number of files that exist, of all devices: the module exists for as long as one of them.
static FILES: Atomic<i64> = Atomic::new(0);

/// The module: the device exists for as long as the module is loaded.
#[pin_data]
struct RustMemfile {
    #[pin]
    _device: MiscDeviceRegistration<Maker>,
}

impl kernel::InPlaceModule for RustMemfile {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"rust_memfile",
            }),
        })
    }
}

/// A memory file of this driver, as [`FILES`] counts it.
struct Counted;

impl Counted {
    fn new() -> Self {
        FILES.fetch_add(1, Relaxed);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        FILES.fetch_sub(1, Relaxed);
    }
}

/// The type of the memory files.
struct Memfile;

#[vtable]
impl UffdOps for Memfile {
    type Data = Arc<Counted>;
}

/// An open file of the device, which has no state.
struct Maker;

/// Makes a memory file as user space has asked for, and returns its file descriptor.
fn create(arg: UserSlice) -> Result<isize> {
    let mut reader = arg.reader();
    let size = reader.read::<u64>()?;
    let [modes, flags]: [u32; 2] = reader.read()?;
    if flags & !FLAGS != 0 {
        return Err(EINVAL);
    }

    let modes = UffdModes::from_bits(modes).ok_or(EINVAL)?;
    let mut options = Options::new().userfault(modes);
    if flags & HUGE != 0 {
        options = options.huge();
    }
    if flags & EVICTABLE != 0 {
        options = options.evictable();
    }
    if flags & SEALABLE != 0 {
        options = options.sealable();
    }
    let counted = Arc::new(Counted::new(), GFP_KERNEL_ACCOUNT)?;
    let file = MemoryFile::<Memfile>::new(c"rust_memfile", size, options, counted)?;
    let cloexec = if flags & CLOEXEC != 0 { O_CLOEXEC } else { 0 };
    Ok(MemoryFile::reserve_fd(file, cloexec)?.install() as isize)
}

#[vtable]
impl MiscDevice for Maker {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        Ok(Arc::new(Self, GFP_KERNEL)?)
    }

    fn ioctl(_maker: ArcBorrow<'_, Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let arg = UserSlice::new(UserPtr::from_addr(arg), size_of::<[u64; 2]>());
        match cmd {
            CREATE => create(arg),
            STATS => {
                arg.writer().write(&(FILES.load(Relaxed) as u64))?;
                Ok(0)
            }
            _ => Err(ENOTTY),
        }
    }
}
