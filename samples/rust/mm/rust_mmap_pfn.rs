// SPDX-License-Identifier: GPL-2.0

//! Memory and registers of a PCI device, mapped to user space.
//!
//! `/dev/rust_mmap_pfn` has both BARs of QEMU's shared memory device:
//!
//! ```sh
//! qemu ... -object memory-backend-ram,size=16M,id=shm -device ivshmem-plain,memdev=shm
//! ```
//!
//! User space chooses by the offset what it maps, and how:
//!
//! - from offset 0: the memory. Each fault maps one PFN.
//! - from offset [`FILL_OFFSET`]: the memory. The first fault maps the PFNs of the whole VMA.
//! - from offset [`PIECES_OFFSET`]: pages of the memory in another order. They are page 3, a hole,
//!   pages 0 and 1, and the last page, which user space can only read there.
//! - from offset [`REGISTERS_OFFSET`]: the page with the registers, which the driver uses as well.
//! - from offset [`HUGE_OFFSET`]: the memory. A fault maps as much as one PMD can (2 MiB on
//!   x86-64), if the mapping has all of it. Children do not inherit such a mapping.
//!
//! Debuggers can access all of it, also before the process has. When the driver is unbound from the
//! device, the kernel revokes the memory: from then on, accesses through existing mappings raise
//! SIGBUS, forever. Files that are still open do not keep the driver from being bound again, but
//! cannot map the memory again: user space has to open the device anew.

use kernel::{
    device::Core,
    fs::{
        area::{
            Area,
            AreaRequest, //
        },
        File, //
    },
    io::Io,
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
        flags::SetFlags,
        ops::{
            Access,
            DriverVmaUnderMmap,
            Fault,
            FaultAnswer,
            FaultError,
            FrameSource,
            HugeAnswer,
            HugeFault,
            PerFile,
            Pfn,
            Pieces,
            VmOperations, //
        },
        revoke::{
            RevocableMemory,
            Revocation, //
        },
        rmap::AddressSpace, //
    },
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    pci::{
        self,
        DevresBarView, //
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

/// The file offset of the second view of the memory, past the end of any BAR.
const FILL_OFFSET: usize = 1 << 40;

/// The page offset of the second view.
const FILL_FIRST: usize = FILL_OFFSET / PAGE_SIZE;

/// The file offset of the view of pages in another order.
const PIECES_OFFSET: usize = 2 << 40;

/// The page offset of that view.
const PIECES_FIRST: usize = PIECES_OFFSET / PAGE_SIZE;

/// The file offset of the view with PMD mappings.
const HUGE_OFFSET: usize = 8 << 40;

/// The page offset of the view with PMD mappings.
const HUGE_FIRST: usize = HUGE_OFFSET / PAGE_SIZE;

/// The file offset of the registers.
const REGISTERS_OFFSET: usize = 4 << 40;

/// The page offset of the registers.
const REGISTERS_FIRST: usize = REGISTERS_OFFSET / PAGE_SIZE;

/// The number of the BAR with the registers, which is smaller than a page.
const REGISTERS_BAR: u32 = 0;

/// The size of the registers in bytes.
const REGISTERS_LEN: usize = 0x100;

/// The offset of the interrupt mask, a register that can be read and written.
const INTERRUPT_MASK: usize = 0;

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
            let registers = pdev.claim_bar(REGISTERS_BAR, c"rust_mmap_pfn")?;
            let memory = pdev.claim_bar(MEMORY_BAR, c"rust_mmap_pfn")?;
            let all = 0..memory.nr_pages();
            // Write-combined, as memory can be.
            let memory = memory
                .map_write_combined(all.clone(), &revocation)
                .or_else(|err| {
                    if err == EBUSY {
                        // Root may have mapped the BAR through sysfs, with another cache mode.
                        memory.map(all, &revocation)
                    } else {
                        Err(err)
                    }
                })?;
            let memory = Arc::new(memory, GFP_KERNEL)?;
            let memory = SharedMemory {
                // The driver and user space use the same registers.
                registers: registers.iomap_sized::<REGISTERS_LEN>(0)?.into_devres()?,
                register_page: registers.map(0..registers.nr_pages(), &revocation)?,
                pieces: SharedMemory::pieces(&memory)?,
                memory,
                faults: Atomic::new(0),
                huge_faults: Atomic::new(0),
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
    /// The driver's view of the registers.
    registers: DevresBarView<REGISTERS_LEN>,
    /// The registers, for user space.
    register_page: RevocableMemory,
    memory: Arc<RevocableMemory>,
    /// Pages of the memory in another order.
    pieces: Pieces<FrameSource>,
    faults: Atomic<i64>,
    huge_faults: Atomic<i64>,
}

/// What there is at a page offset.
struct Place<'a> {
    memory: &'a RevocableMemory,
    /// The index of the page in the memory.
    index: usize,
    /// Whether a fault maps the whole VMA.
    fill: bool,
}

impl SharedMemory {
    /// Returns the pages of the memory in another order.
    fn pieces(memory: &Arc<RevocableMemory>) -> Result<Pieces<FrameSource>> {
        let last = memory.nr_pages().checked_sub(1).ok_or(EINVAL)?;
        let memory = || FrameSource::revocable(memory.clone());
        let mut pieces = Pieces::new(5, 3, GFP_KERNEL)?;
        pieces.add(0, memory(), 3..4)?;
        pieces.add(2, memory(), 0..2)?;
        pieces.add_read_only(4, memory(), last..last + 1)?;
        Ok(pieces)
    }

    fn place(&self, pgoff: usize) -> Place<'_> {
        let (memory, first) = match pgoff {
            HUGE_FIRST.. => (&*self.memory, HUGE_FIRST),
            REGISTERS_FIRST.. => (&self.register_page, REGISTERS_FIRST),
            FILL_FIRST.. => (&*self.memory, FILL_FIRST),
            _ => (&*self.memory, 0),
        };
        Place {
            memory,
            index: pgoff - first,
            fill: first == FILL_FIRST,
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
        if (PIECES_FIRST..REGISTERS_FIRST).contains(&desc.pgoff()) {
            desc.set_pgoff(desc.pgoff() - PIECES_FIRST)?;
            return desc.map_pieces(&memory.into_ref().pieces);
        }
        // Refuse a mapping that extends past the end of the memory here; otherwise user space would
        // get SIGBUS when it accesses the missing pages.
        let place = memory.into_ref().place(desc.pgoff());
        place.memory.slice(place.index, desc.nr_pages())?;
        let cache = place.memory.cache();
        if desc.pgoff() >= HUGE_FIRST {
            // Otherwise, there are no PMD mappings of memory that can be revoked.
            desc.set(SetFlags::DONTCOPY);
            return Ok(desc.with_ops::<HugeOps>()?.on_io_fault(cache));
        }
        Ok(desc.with_ops::<PfnOps>()?.on_io_fault(cache))
    }

    fn get_unmapped_area<'a>(
        _memory: ArcBorrow<'a, Self>,
        request: AreaRequest<'a>,
    ) -> Result<Area<'a>> {
        if request.pgoff() >= HUGE_FIRST {
            return request.for_huge_pages();
        }
        request.anywhere()
    }

    fn show_fdinfo(memory: ArcBorrow<'_, Self>, m: &SeqFile, _file: &File) {
        m.field(c"size", (memory.memory.nr_pages() << PAGE_SHIFT) as i64);
        m.field(c"faults", memory.faults.load(Relaxed));
        m.field(c"huge_faults", memory.huge_faults.load(Relaxed));
        // Not after the driver is unbound.
        if let Some(registers) = memory.registers.try_access() {
            let mask = registers.read32(INTERRUPT_MASK);
            m.field(c"interrupt_mask", i64::from(mask));
        }
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
        let place = memory.place(vmf.pgoff());
        let answer = vmf.insert_pfn(place.memory.all(), place.index)?.into();
        if place.fill {
            // Map the rest as well, so that user space faults only once.
            let vma = vmf.vma();
            let first = memory.place(vma.pgoff()).index;
            vma.insert_pfns(vma.start(), place.memory.slice(first, vma.nr_pages())?)?;
        }
        Ok(answer)
    }

    fn access(vma: &DriverVmaUnderMmap<Self>, addr: usize, access: Access<'_>) -> Result<usize> {
        // Not `access_phys`: the process may not have accessed the page yet.
        let memory = vma.data();
        let place = memory.place(vma.pgoff_at(addr).ok_or(EINVAL)?);
        vma.access_pfn(addr, place.memory.all(), place.index, access)
    }
}

kernel::vm_operations!(PfnOps);

/// The callbacks of the mappings with PMDs.
struct HugeOps;

#[vtable]
impl VmOperations for HugeOps {
    type File = SharedMemory;
    type Data = PerFile;
    type Memory = Pfn;

    fn huge_fault(vmf: &HugeFault<Self>) -> Result<HugeAnswer<'_>, FaultError> {
        let memory = vmf.data();
        let Some(pgoffs) = vmf.pgoff_range() else {
            return Ok(HugeAnswer::Fallback);
        };
        let place = memory.place(pgoffs.start);
        let answer = vmf.insert_pfns(place.memory.all(), place.index)?;
        if let HugeAnswer::Inserted(_) = answer {
            memory.huge_faults.fetch_add(1, Relaxed);
        }
        Ok(answer)
    }

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        let memory = vmf.data();
        memory.faults.fetch_add(1, Relaxed);
        let place = memory.place(vmf.pgoff());
        Ok(vmf.insert_pfn(place.memory.all(), place.index)?.into())
    }

    fn access(vma: &DriverVmaUnderMmap<Self>, addr: usize, access: Access<'_>) -> Result<usize> {
        let memory = vma.data();
        let place = memory.place(vma.pgoff_at(addr).ok_or(EINVAL)?);
        vma.access_pfn(addr, place.memory.all(), place.index, access)
    }
}

kernel::vm_operations!(HugeOps);
