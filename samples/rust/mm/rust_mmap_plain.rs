// SPDX-License-Identifier: GPL-2.0

//! Pages that are mapped like those of an ordinary file.
//!
//! `/dev/rust_mmap_plain` is a few pages that exist from the beginning and are mapped on fault. Its
//! mappings have no special flag and no data of their own, so user space can do with them what it
//! can do with a file's: they merge with their neighbours, grow with `mremap`, and userfaultfd and
//! guard regions take them. `/proc/<pid>/fdinfo` shows how often the callbacks were called.
//!
//! The last pages can be set aside for reading (`read_only`). No mapping through which they could be
//! written has them, even if it was made without them and grown later.
//!
//! Every second page is handed to the kernel, which maps it, the others the driver maps itself: the
//! two ways there are to answer a fault.

use core::ops::Range;
use kernel::{
    alloc::flags::__GFP_NOWARN,
    fs::File,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::{
        desc::{
            Mapping,
            VmaDesc, //
        },
        ops::{
            DeviceRef,
            DriverVmaInfo,
            Fault,
            FaultAnswer,
            FaultError,
            MappedArea,
            Ordinary,
            PerFile,
            VmOperations, //
        },
        Folio, //
    },
    page::PAGE_SIZE,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow,
        Publication,
        Published, //
    }, //
};

module! {
    type: RustMmapPlain,
    name: "rust_mmap_plain",
    authors: ["Rust mm developers"],
    description: "Rust sample: pages that are mapped like those of an ordinary file",
    license: "GPL",
    params: {
        pages: u32 {
            default: 16,
            description: "Size of the memory in pages, up to 1048576",
        },
        read_only: u32 {
            default: 0,
            description: "How many pages at the end of the memory can only be read",
        },
    },
}

/// What is more must be a mistake: 4 GiB. Without a limit, the OOM killer would look for room.
const MOST_PAGES: u32 = 1 << 20;

/// Where `open` finds the memory of the loaded module.
static MEMORY: Published<Memory> = Published::new();

/// The module. The fields are dropped in this order: the device goes before the memory.
#[pin_data]
struct RustMmapPlain {
    #[pin]
    _device: MiscDeviceRegistration<Memory>,
    _memory: Publication<Memory>,
}

impl kernel::InPlaceModule for RustMmapPlain {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // First, so that a device that can be opened has its memory.
            _memory: {
                let pages = *module_parameters::pages.value_ref();
                let memory = Memory::new(pages, *module_parameters::read_only.value_ref())?;
                MEMORY.publish(Arc::new(memory, GFP_KERNEL)?)?
            },
            _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"rust_mmap_plain",
            }),
        })
    }
}

/// The device.
struct Memory {
    pages: KVVec<ARef<Folio>>,
    /// The page offsets of the pages that can only be read.
    read_only: Range<usize>,
    /// Calls of the callbacks: events, not VMAs. How many VMAs there are does not follow from them; see
    /// `VmOperations` about when `mapped` and `close` do not balance. What has to balance belongs in data of
    /// the VMA, as in `rust_mmap_demand`, which a mapping that can be merged cannot have.
    mapped: Atomic<i64>,
    opened: Atomic<i64>,
    closed: Atomic<i64>,
    faults: Atomic<i64>,
}

impl Memory {
    fn new(nr_pages: u32, read_only: u32) -> Result<Self> {
        if nr_pages > MOST_PAGES {
            return Err(ENOMEM);
        }
        // If there is not even the memory for their list, nobody has to make room for the pages.
        let mut pages = KVVec::with_capacity(nr_pages as usize, GFP_KERNEL | __GFP_NOWARN)?;
        for _ in 0..nr_pages {
            pages.push(Folio::alloc(0, GFP_KERNEL)?, GFP_KERNEL)?;
        }
        let first = nr_pages.checked_sub(read_only).ok_or(EINVAL)?;
        Ok(Self {
            read_only: first as usize..pages.len(),
            pages,
            mapped: Atomic::new(0),
            opened: Atomic::new(0),
            closed: Atomic::new(0),
            faults: Atomic::new(0),
        })
    }
}

#[vtable]
impl MiscDevice for Memory {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        MEMORY.get().ok_or(ENODEV)
    }

    fn mmap_prepare<'f>(
        _memory: ArcBorrow<'f, Self>,
        mut desc: VmaDesc<'f, Self>,
    ) -> Result<Mapping<'f, Self>> {
        desc.deny_cow()?;
        // What can be mapped is for `may_map` to say.
        Ok(desc.with_ops::<PlainOps>()?.on_fault())
    }

    fn show_fdinfo(memory: ArcBorrow<'_, Self>, m: &SeqFile, _file: &File) {
        seq_print!(m, "size:\t{}\n", memory.pages.len() * PAGE_SIZE);
        seq_print!(m, "mapped:\t{}\n", memory.mapped.load(Relaxed));
        seq_print!(m, "opened:\t{}\n", memory.opened.load(Relaxed));
        seq_print!(m, "closed:\t{}\n", memory.closed.load(Relaxed));
        seq_print!(m, "faults:\t{}\n", memory.faults.load(Relaxed));
    }
}

/// The callbacks.
struct PlainOps;

#[vtable]
impl VmOperations for PlainOps {
    type File = Memory;
    type Data = PerFile;
    type Memory = Ordinary;

    fn may_map(memory: DeviceRef<'_, Self>, pgoffs: Range<usize>, writable: bool) -> Result {
        // Of any size, as with a file: an access past the end of the memory ends with SIGBUS.
        let start = pgoffs.start.max(memory.read_only.start);
        let end = pgoffs.end.min(memory.read_only.end);
        if writable && start < end {
            return Err(EACCES);
        }
        Ok(())
    }

    fn mapped(memory: DeviceRef<'_, Self>, _area: &MappedArea) -> Result<PerFile> {
        memory.mapped.fetch_add(1, Relaxed);
        Ok(PerFile)
    }

    fn open(vma: &DriverVmaInfo<Self>) {
        vma.data().opened.fetch_add(1, Relaxed);
    }

    fn close(vma: &DriverVmaInfo<Self>) {
        vma.data().closed.fetch_add(1, Relaxed);
    }

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        let memory = vmf.data();
        memory.faults.fetch_add(1, Relaxed);
        let page = memory.pages.get(vmf.pgoff()).ok_or(FaultError::SigBus)?;
        if vmf.pgoff() % 2 == 0 {
            vmf.return_page(page.clone(), 0)
        } else {
            Ok(vmf.insert_page(page, 0)?.into())
        }
    }
}

kernel::vm_operations!(PlainOps, mergeable: Memory);
