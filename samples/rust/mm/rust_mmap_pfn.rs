// SPDX-License-Identifier: GPL-2.0

//! Memory of a PCI device, mapped to user space.
//!
//! `/dev/rust_mmap_pfn` is the memory BAR of QEMU's shared memory device:
//!
//! ```sh
//! qemu ... -object memory-backend-ram,size=16M,id=shm -device ivshmem-plain,memdev=shm
//! ```
//!
//! User space can map it in three ways, and chooses by the offset:
//!
//! - from offset 0: each fault maps one PFN.
//! - from offset [`FILL_OFFSET`]: the first fault maps the PFNs of the whole VMA.
//! - from offset [`PIECES_OFFSET`]: pages of the memory in another order. They are page 3, a hole,
//!   pages 0 and 1, and the last page, which user space can only read there.
//!
//! Debuggers can access all of them. When the driver is unbound from the device, the kernel revokes
//! the memory: from then on, accesses through existing mappings raise SIGBUS, forever. Files that
//! are still open do not keep the driver from being bound again, but cannot map the memory again:
//! user space has to open the device anew.

use kernel::{
    device::Core,
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
            Access,
            DriverVmaUnderMmap,
            Fault,
            FaultAnswer,
            FaultError,
            FrameSource,
            PerFile,
            Pfn,
            Pieces,
            VmOperations, //
        },
        revoke::{
            RevocableMemory,
            Revocation, //
        },
        rmap::AddressSpace,
        Cache, //
    },
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    pci,
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

/// The file offset of the second view of the memory, past the end of any BAR.
const FILL_OFFSET: usize = 1 << 40;

/// The page offset of the second view.
const FILL_FIRST: usize = FILL_OFFSET / PAGE_SIZE;

/// The file offset of the view of pages in another order.
const PIECES_OFFSET: usize = 2 << 40;

/// The page offset of that view.
const PIECES_FIRST: usize = PIECES_OFFSET / PAGE_SIZE;

/// The number of the memory BAR.
const MEMORY_BAR: u32 = 2;

/// The device that the driver is bound to, where `open` finds it.
static DEVICE: Published<SharedMemory> = Published::new();

kernel::pci_device_table!(
    PCI_TABLE,
    <PfnDriver as pci::Driver>::IdInfo,
    [(
        pci::DeviceId::from_id(pci::Vendor::REDHAT_QUMRANET, 0x1110),
        ()
    )]
);

struct PfnDriver;

/// The driver's data while it is bound.
///
/// Rust drops the fields from top to bottom: the misc device is deregistered, so that user space
/// cannot open it, before the memory is withdrawn. After that, the driver core revokes the memory
/// from the files that are still open.
#[pin_data]
struct PfnDriverData {
    #[pin]
    _device: MiscDeviceRegistration<SharedMemory>,
    _memory: Publication<SharedMemory>,
}

impl pci::Driver for PfnDriver {
    type IdInfo = ();
    type Data<'bound> = PfnDriverData;

    const ID_TABLE: pci::IdTable<Self::IdInfo> = &PCI_TABLE;

    fn probe<'bound>(
        pdev: &'bound pci::Device<Core<'_>>,
        _info: pci::ProbeInfo<'bound, Self>,
    ) -> impl PinInit<PfnDriverData, Error> + 'bound {
        pin_init::pin_init_scope(move || {
            pdev.enable_device_mem()?;
            let revocation = Arc::pin_init(Revocation::new::<SharedMemory>(), GFP_KERNEL)?;
            let memory = pdev.map_bar(MEMORY_BAR, c"rust_mmap_pfn", &revocation)?;
            let memory = Arc::new(memory, GFP_KERNEL)?;
            let memory = SharedMemory {
                pieces: SharedMemory::pieces(&memory)?,
                memory,
                faults: Atomic::new(0),
            };
            let memory = Arc::new(memory, GFP_KERNEL)?;
            Ok(try_pin_init!(PfnDriverData {
                _memory: DEVICE.publish(memory)?,
                _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                    name: c"rust_mmap_pfn",
                }),
            }? Error))
        })
    }
}

kernel::module_pci_driver! {
    type: PfnDriver,
    name: "rust_mmap_pfn",
    authors: ["Rust mm developers"],
    description: "Rust sample: the memory of a PCI device in user space",
    license: "GPL",
}

/// The device.
struct SharedMemory {
    memory: Arc<RevocableMemory>,
    pieces: Pieces<FrameSource>,
    faults: Atomic<i64>,
}

impl SharedMemory {
    /// Returns the view of pages in another order.
    fn pieces(memory: &Arc<RevocableMemory>) -> Result<Pieces<FrameSource>> {
        let last = memory.nr_pages() - 1;
        let memory = || FrameSource::revocable(memory.clone(), Cache::NonCached);
        let mut pieces = Pieces::new(5, 3, GFP_KERNEL)?;
        pieces.add(0, memory(), 3..4)?;
        pieces.add(2, memory(), 0..2)?;
        pieces.add_read_only(4, memory(), last..last + 1)?;
        Ok(pieces)
    }

    /// Returns the index in the BAR of the page at a page offset, and whether the offset is in the
    /// second view, in which a fault maps the whole VMA.
    fn index(pgoff: usize) -> (usize, bool) {
        match pgoff.checked_sub(FILL_FIRST) {
            Some(index) => (index, true),
            None => (pgoff, false),
        }
    }
}

#[vtable]
impl MiscDevice for SharedMemory {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        DEVICE.get().ok_or(ENODEV)
    }

    fn address_space<'a>(memory: ArcBorrow<'a, Self>, _file: &'a File) -> &'a AddressSpace {
        memory.into_ref().memory.revocation().address_space()
    }

    fn mmap_prepare<'f>(
        memory: ArcBorrow<'f, Self>,
        mut desc: VmaDesc<'f, Self>,
    ) -> Result<Mapping<'f, Self>> {
        desc.deny_cow()?;
        if let Some(first) = desc.pgoff().checked_sub(PIECES_FIRST) {
            desc.set_pgoff(first)?;
            return desc.map_pieces(&memory.into_ref().pieces);
        }
        // Refuse a mapping that extends past the end of the memory here; otherwise user space would
        // get SIGBUS when it accesses the missing pages.
        let (first, _) = Self::index(desc.pgoff());
        memory.memory.slice(first, desc.nr_pages())?;
        Ok(desc.with_ops::<PfnOps>()?.on_io_fault(Cache::NonCached))
    }

    fn show_fdinfo(memory: ArcBorrow<'_, Self>, m: &SeqFile, _file: &File) {
        m.field(c"size", (memory.memory.nr_pages() << PAGE_SHIFT) as i64);
        m.field(c"faults", memory.faults.load(Relaxed));
    }
}

/// The callbacks of the mappings, which need no data per mapping.
struct PfnOps;

#[vtable]
impl VmOperations for PfnOps {
    type File = SharedMemory;
    type Data = PerFile;
    type Memory = Pfn;

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        let memory = vmf.data();
        memory.faults.fetch_add(1, Relaxed);
        let (index, fill) = SharedMemory::index(vmf.pgoff());
        let answer = vmf.insert_pfn(memory.memory.all(), index)?.into();
        if fill {
            // Map the rest as well, so that user space faults only once.
            let vma = vmf.vma();
            let (first, _) = SharedMemory::index(vma.pgoff());
            vma.insert_pfns(vma.start(), memory.memory.slice(first, vma.nr_pages())?)?;
        }
        Ok(answer)
    }

    fn access(vma: &DriverVmaUnderMmap<Self>, addr: usize, access: Access<'_>) -> Result<usize> {
        vma.access_phys(addr, access)
    }
}

kernel::vm_operations!(PfnOps);
