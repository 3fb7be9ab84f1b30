// SPDX-License-Identifier: GPL-2.0

//! Memory files.
//!
//! `/dev/rust_memfile` has an ioctl that makes a memory file and returns its file descriptor, as
//! `memfd_create(2)` does. User space chooses which modes of userfaultfd the file allows, whether
//! it has huge pages, which seals it has from the start, and whether more can be added. Another
//! ioctl counts the files that exist. `rust_memfile.h` defines the interface.
//!
//! The module cannot be unloaded while one of the files is open or mapped.
//!
//! This sample implements [`UffdOps`] twice, without a line of `unsafe`. `Memfile` leaves all to
//! the layer. `Handled` has all callbacks, each of which does what the layer does without it: a
//! driver starts with them.

use kernel::{
    fs::{
        file::flags::O_CLOEXEC,
        memory_file::{
            MemoryFile,
            MemoryFileType,
            Options,
            Seals, //
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
    mm::{
        filemap::NewFolio,
        ops::FaultError,
        uffd::{
            AddFolio,
            AddedFolio,
            AllocFolio,
            FillFolio,
            FindFolio,
            FoundFolio,
            RemoveFolio,
            UffdAnswer,
            UffdFault,
            UffdModes,
            UffdOps,
            UffdVma, //
        }, //
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
const CREATE: u32 = _IOW::<[u64; 3]>('M' as u32, 0);
/// Counts the files: `struct rust_memfile_stats`.
const STATS: u32 = _IOR::<u64>('M' as u32, 1);

/// Flags of a request to make a file.
const HUGE: u32 = 1;
const EVICTABLE: u32 = 2;
const SEALABLE: u32 = 4;
const CLOEXEC: u32 = 8;
const HANDLED: u32 = 16;
const READ_ONLY: u32 = 32;
const FLAGS: u32 = HUGE | EVICTABLE | SEALABLE | CLOEXEC | HANDLED | READ_ONLY;

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

/// The type of the memory files that leave all to the layer.
struct Memfile;

#[vtable]
impl UffdOps for Memfile {
    type Data = Arc<Counted>;
}

kernel::memory_file_type!(Memfile);

/// The type of the memory files that this driver handles.
struct Handled;

#[vtable]
impl UffdOps for Handled {
    type Data = Arc<Counted>;

    fn can_userfault(_vma: &UffdVma<Self>, _modes: UffdModes) -> bool {
        // The modes of the file decide.
        true
    }

    fn alloc_folio(fill: &AllocFolio<Self>) -> Result<NewFolio> {
        fill.alloc()
    }

    fn filemap_add<'a>(fill: &'a AddFolio<Self>, folio: FillFolio<'a>) -> Result<AddedFolio<'a>> {
        fill.add(folio)
    }

    fn filemap_remove(_fill: &RemoveFolio<Self>, _folio: &AddedFolio<'_>) {
        // `filemap_add` has done nothing that the layer does not revert.
    }

    fn get_folio_noalloc(page: &FindFolio<Self>) -> Result<FoundFolio<'_>> {
        page.find()?.ok_or(ENOENT)
    }

    fn fault(fault: &UffdFault<Self>) -> Result<UffdAnswer<'_>, FaultError> {
        if let Some(raise) = fault.minor() {
            if fault.cache().get(fault.index()).is_some() {
                return Ok(raise.into());
            }
        }
        if let Some(folio) = fault.find()? {
            return Ok(folio.into());
        }
        if let Some(raise) = fault.missing() {
            return Ok(raise.into());
        }
        Ok(fault.find_or_add()?.into())
    }
}

kernel::memory_file_type!(Handled);

/// An open file of the device, which has no state.
struct Maker;

/// Makes a memory file as user space has asked for, and returns its file descriptor.
fn create(arg: UserSlice) -> Result<isize> {
    let mut reader = arg.reader();
    let size = reader.read::<u64>()?;
    let [modes, flags, seals, reserved]: [u32; 4] = reader.read()?;
    if flags & !FLAGS != 0 || reserved != 0 {
        return Err(EINVAL);
    }

    let modes = UffdModes::from_bits(modes).ok_or(EINVAL)?;
    let mut seals = Seals::from_bits(seals).ok_or(EINVAL)?;
    if flags & SEALABLE == 0 {
        seals = seals | Seals::SEAL;
    }
    let mut options = Options::new().userfault(modes).sealed(seals);
    if flags & HUGE != 0 {
        options = options.huge();
    }
    if flags & EVICTABLE != 0 {
        options = options.evictable();
    }
    if flags & READ_ONLY != 0 {
        options = options.read_only();
    }
    let cloexec = if flags & CLOEXEC != 0 { O_CLOEXEC } else { 0 };
    if flags & HANDLED != 0 {
        hand_out::<Handled>(size, options, cloexec)
    } else {
        hand_out::<Memfile>(size, options, cloexec)
    }
}

/// Makes a memory file of the type `T`, and returns its file descriptor.
fn hand_out<T: MemoryFileType<Data = Arc<Counted>>>(
    size: u64,
    options: Options,
    cloexec: u32,
) -> Result<isize> {
    let counted = Arc::new(Counted::new(), GFP_KERNEL_ACCOUNT)?;
    let file = MemoryFile::<T>::new(c"rust_memfile", size, options, counted)?;
    Ok(MemoryFile::reserve_fd(file, cloexec)?.install() as isize)
}

#[vtable]
impl MiscDevice for Maker {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        Ok(Arc::new(Self, GFP_KERNEL_ACCOUNT)?)
    }

    fn ioctl(_maker: ArcBorrow<'_, Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let arg = UserSlice::new(UserPtr::from_addr(arg), size_of::<[u64; 3]>());
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
