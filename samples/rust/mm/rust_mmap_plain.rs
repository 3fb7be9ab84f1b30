// SPDX-License-Identifier: GPL-2.0

//! Pages that are mapped like those of an ordinary file.
//!
//! `/dev/rust_mmap_plain` is a buffer whose pages are allocated when the module is loaded and
//! mapped when user space faults. Its mappings have no special VMA flags and no data of their own,
//! so user space can do with them what it can do with mappings of a file: they merge with their
//! neighbours, they grow with `mremap`, and guard regions and asynchronous userfaultfd write
//! protection work in them. `/proc/<pid>/fdinfo` shows how often the callbacks were called.
//!
//! The module parameter `read_only` makes the last pages read-only: the driver refuses a mapping of
//! these pages that can be written to. If a writable mapping grows over them with `mremap`,
//! accesses to these pages raise SIGBUS.
//!
//! With the module parameter `retry`, the driver has the kernel repeat each fault as often as the
//! kernel allows: see `Fault::may_retry`. A driver that has to wait for a page does so.
//!
//! A fault handler can either return a page, which is mapped afterwards, or insert the page itself.
//! To show both, this driver returns the even pages and inserts the odd ones.

use core::ops::Range;
use kernel::{
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
        FaultedPages, //
    },
    prelude::*,
    seq_file::SeqFile,
    sync::{
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
            description: "Number of pages at the end of the memory that are read-only",
        },
        retry: u8 {
            default: 0,
            description: "1 to have the kernel repeat each fault",
        },
    },
}

/// Upper bound of `pages` (4 GiB); anything larger is assumed to be a typo.
///
/// Without a bound, a typo would make the OOM killer kill processes.
const MOST_PAGES: u32 = 1 << 20;

/// The memory of the loaded module, where `open` finds it.
static MEMORY: Published<Memory> = Published::new();

/// The module.
///
/// Rust drops the fields from top to bottom: the device is deregistered before the memory is
/// withdrawn, so `open` finds the memory whenever it is called.
#[pin_data]
struct RustMmapPlain {
    #[pin]
    _device: MiscDeviceRegistration<Memory>,
    _memory: Publication<Memory>,
}

impl kernel::InPlaceModule for RustMmapPlain {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // Publish the memory first: user space can open the device as soon as it is registered.
            _memory: {
                let pages = *module_parameters::pages.value_ref();
                let read_only = *module_parameters::read_only.value_ref();
                MEMORY.publish(Arc::init(Memory::new(pages, read_only), GFP_KERNEL)?)?
            },
            _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"rust_mmap_plain",
            }),
        })
    }
}

/// The device: its memory, and counters of the calls of its callbacks.
struct Memory {
    pages: FaultedPages,
    /// The page offsets of the read-only pages.
    read_only: Range<usize>,
    /// How often `mapped` was called; the fields below count the other callbacks.
    ///
    /// These counters do not tell how many VMAs exist: `VmOperations` says when `mapped` and
    /// `close` do not balance. A driver that needs such a count keeps data per VMA, as
    /// `rust_mmap_demand` does. A mapping with data per VMA cannot be merged.
    mapped: Atomic<i64>,
    opened: Atomic<i64>,
    closed: Atomic<i64>,
    faults: Atomic<i64>,
    /// The number of faults that the kernel had to repeat.
    retries: Atomic<i64>,
}

impl Memory {
    fn new(nr_pages: u32, read_only: u32) -> impl Init<Self, Error> {
        try_init!(Self {
            read_only: {
                let first = nr_pages.checked_sub(read_only).ok_or(EINVAL)?;
                first as usize..nr_pages as usize
            },
            pages: {
                if nr_pages > MOST_PAGES {
                    return Err(ENOMEM);
                }
                let pages = FaultedPages::new(nr_pages as usize, GFP_KERNEL)?;
                for index in 0..nr_pages as usize {
                    pages.get_or_make(index)?;
                }
                pages
            },
            mapped: Atomic::new(0),
            opened: Atomic::new(0),
            closed: Atomic::new(0),
            faults: Atomic::new(0),
            retries: Atomic::new(0),
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
        // No check of the range here: `with_ops` asks `may_map`, and so does the layer before each
        // fault, since `mremap` can grow the mapping.
        Ok(desc.with_ops::<PlainOps>()?.on_fault())
    }

    fn show_fdinfo(memory: ArcBorrow<'_, Self>, m: &SeqFile, _file: &File) {
        m.field(c"size", memory.pages.len() as i64);
        m.field(c"mapped", memory.mapped.load(Relaxed));
        m.field(c"opened", memory.opened.load(Relaxed));
        m.field(c"closed", memory.closed.load(Relaxed));
        m.field(c"faults", memory.faults.load(Relaxed));
        m.field(c"retries", memory.retries.load(Relaxed));
    }
}

/// The callbacks of the mappings.
struct PlainOps;

#[vtable]
impl VmOperations for PlainOps {
    type File = Memory;
    type Data = PerFile;
    type Memory = Ordinary;

    fn may_map(memory: DeviceRef<'_, Self>, pgoffs: Range<usize>, writable: bool) -> Result {
        // As with a file, a mapping may extend past the end of the memory. An access to a page
        // there raises SIGBUS: see `fault`.
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
        if *module_parameters::retry.value_ref() != 0 {
            if let Some(permit) = vmf.may_retry() {
                memory.retries.fetch_add(1, Relaxed);
                return Ok(permit.into());
            }
        }
        memory.faults.fetch_add(1, Relaxed);
        if vmf.pgoff() % 2 == 0 {
            let page = memory.pages.get(vmf.pgoff()).ok_or(FaultError::SigBus)?;
            vmf.return_page(page, 0)
        } else {
            memory.pages.fault(vmf)
        }
    }
}

kernel::vm_operations!(PlainOps, mergeable: Memory);
