// SPDX-License-Identifier: GPL-2.0

//! The memory of a PCI device, in user space.
//!
//! `/dev/rust_mmap_pfn` is the memory BAR of QEMU's shared memory device:
//!
//! ```sh
//! qemu ... -object memory-backend-ram,size=16M,id=shm -device ivshmem-plain,memdev=shm
//! ```
//!
//! It can be mapped in two ways, which the offset tells apart:
//!
//! - from offset 0: page frames are inserted when they are accessed, by the megabytes where the
//!   alignment allows. When the device goes away, so does the memory: access ends with SIGBUS.
//! - from offset [`REMAP_OFFSET`]: the whole mapping is filled when it is made.
//!
//! Debuggers can look at both. An open file owns the memory: the device cannot be bound again (`EBUSY`)
//! before the last file is closed that was opened earlier.

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
            Cache,
            Mapping,
            VmaDesc, //
        },
        fault::{
            Fault,
            FaultAnswer,
            FaultError,
            HugeAnswer,
            HugeFault, //
        },
        ops::{
            Access,
            DataRef,
            PerFile,
            Pfn,
            VmOperations, //
        },
        owned::OwnedVma,
        rmap::{
            AddressSpace,
            Revocation, //
        },
        DeviceMemory, //
    },
    page::PAGE_SIZE,
    pci,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
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

/// Where the second view of the memory starts: beyond every BAR that there is.
const REMAP_OFFSET: usize = 1 << 40;

/// The BAR that is memory.
const MEMORY_BAR: u32 = 2;

/// Where `open` finds the device.
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

/// What the driver has while it is bound. The fields are dropped in this order: nobody can open the
/// device any more, then nobody can access the memory, then nobody finds it.
#[pin_data]
struct PfnDriverData {
    #[pin]
    _device: MiscDeviceRegistration<SharedMemory>,
    _revoked: RevokeOnDrop,
    _memory: Publication<SharedMemory>,
}

/// Takes the memory away from user space for good when the driver is unbound.
struct RevokeOnDrop(Arc<SharedMemory>);

impl Drop for RevokeOnDrop {
    fn drop(&mut self) {
        self.0.revocation.revoke();
    }
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
            let memory = pdev.map_bar(MEMORY_BAR, c"rust_mmap_pfn")?;
            let memory = Arc::pin_init(SharedMemory::new(memory), GFP_KERNEL)?;
            Ok(try_pin_init!(PfnDriverData {
                _memory: DEVICE.publish(memory.clone())?,
                _revoked: RevokeOnDrop(memory),
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
#[pin_data]
struct SharedMemory {
    memory: DeviceMemory,
    #[pin]
    revocation: Revocation,
    faults: Atomic<i64>,
    huge_faults: Atomic<i64>,
}

impl SharedMemory {
    fn new(memory: DeviceMemory) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            memory,
            revocation <- Revocation::new(),
            faults: Atomic::new(0),
            huge_faults: Atomic::new(0),
        })
    }
}

#[vtable]
impl MiscDevice for SharedMemory {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        DEVICE.get().ok_or(ENODEV)
    }

    fn address_space<'a>(memory: ArcBorrow<'a, Self>, _file: &'a File) -> &'a AddressSpace {
        memory.into_ref().revocation.address_space()
    }

    fn mmap_prepare<'f>(
        memory: ArcBorrow<'f, Self>,
        mut desc: VmaDesc<'f, Self>,
    ) -> Result<Mapping<'f, Self>> {
        let memory = memory.into_ref();
        desc.deny_cow()?;
        let first = REMAP_OFFSET / PAGE_SIZE;
        if desc.pgoff() >= first {
            let range = desc.range();
            let index = desc.pgoff() - first;
            return desc.with_ops::<PfnOps>()?.io_remap_range(
                range,
                &memory.memory,
                index,
                Cache::NonCached,
            );
        }
        // What is beyond the memory is found here, not by the access.
        memory.memory.pfns().slice(desc.pgoff(), desc.nr_pages())?;
        Ok(desc.with_ops::<PfnOps>()?.on_io_fault(Cache::NonCached))
    }

    fn show_fdinfo(memory: ArcBorrow<'_, Self>, m: &SeqFile, _file: &File) {
        let size = memory.memory.pfns().nr_pages() * PAGE_SIZE;
        seq_print!(m, "size:\t{}\n", size);
        seq_print!(m, "faults:\t{}\n", memory.faults.load(Relaxed));
        seq_print!(m, "huge_faults:\t{}\n", memory.huge_faults.load(Relaxed));
    }
}

/// The callbacks. What they need belongs to the device, not to a mapping.
struct PfnOps;

#[vtable]
impl VmOperations for PfnOps {
    type File = SharedMemory;
    type Data = PerFile;
    type Memory = Pfn;

    fn revocation<'a>(memory: &'a DataRef<'_, Self>) -> &'a Revocation {
        &memory.revocation
    }

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        let memory = vmf.data();
        memory.faults.fetch_add(1, Relaxed);
        let pfns = memory.memory.pfns();
        let all = pfns.slice(0, pfns.nr_pages())?;
        Ok(vmf.insert_pfn(all, vmf.pgoff())?.into())
    }

    fn huge_fault(vmf: &HugeFault<Self>) -> Result<HugeAnswer<'_>, FaultError> {
        let memory = vmf.data();
        let pfns = memory.memory.pfns();
        let all = pfns.slice(0, pfns.nr_pages())?;
        let Some(pages) = vmf.pgoff_range() else {
            return Ok(HugeAnswer::Fallback);
        };
        let answer = vmf.insert_pfns(all, pages.start)?;
        if let HugeAnswer::Inserted(_) = answer {
            memory.huge_faults.fetch_add(1, Relaxed);
        }
        Ok(answer)
    }

    fn access(vma: &OwnedVma<Self>, addr: usize, access: Access<'_>) -> Result<usize> {
        vma.access_phys(addr, access)
    }
}

kernel::vm_operations!(PfnOps);
