// SPDX-License-Identifier: GPL-2.0

//! Step 5 of the tutorial: the memory of a PCI device (QEMU's ivshmem-plain).

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
            Fault,
            FaultAnswer,
            FaultError,
            PerFile,
            Pfn,
            VmOperations, //
        },
        revoke::{
            RevocableMemory,
            Revocation, //
        },
        rmap::AddressSpace,
        Cache, //
    },
    pci,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow,
        Publication,
        Published, //
    }, //
};

kernel::module_pci_driver! {
    type: Driver,
    name: "step5_device",
    authors: ["Rust mm developers"],
    description: "Rust mm tutorial, step 5: the memory of a PCI device",
    license: "GPL",
}

kernel::pci_device_table!(
    PCI_TABLE,
    <Driver as pci::Driver>::IdInfo,
    [(
        pci::DeviceId::from_id(pci::Vendor::REDHAT_QUMRANET, 0x1110),
        ()
    )]
);

/// The memory of the device that the driver is bound to, where `open` finds it.
static MEMORY: Published<Memory> = Published::new();

/// The BAR that has the memory.
const MEMORY_BAR: u32 = 2;

struct Driver;

/// What exists while the driver is bound; dropped from top to bottom.
#[pin_data]
struct DriverData {
    #[pin]
    _device: MiscDeviceRegistration<Memory>,
    _memory: Publication<Memory>,
}

impl pci::Driver for Driver {
    type IdInfo = ();
    type Data<'bound> = DriverData;

    const ID_TABLE: pci::IdTable<Self::IdInfo> = &PCI_TABLE;

    fn probe<'bound>(
        pdev: &'bound pci::Device<Core<'_>>,
        _info: pci::ProbeInfo<'bound, Self>,
    ) -> impl PinInit<DriverData, Error> + 'bound {
        pin_init::pin_init_scope(move || {
            pdev.enable_device_mem()?;
            let revocation = Arc::pin_init(Revocation::new::<Memory>(), GFP_KERNEL)?;
            let bar = pdev.map_bar(MEMORY_BAR, c"step5_device", &revocation)?;
            dev_info!(pdev, "{} pages of memory\n", bar.nr_pages());

            let memory = Arc::new(Memory { bar }, GFP_KERNEL)?;
            Ok(try_pin_init!(DriverData {
                // Before the device: user space can open that as soon as it is registered.
                _memory: MEMORY.publish(memory)?,
                _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                    name: c"step5_device",
                }),
            }? Error))
        })
    }
}

/// The device, shared by all open files.
struct Memory {
    bar: RevocableMemory,
}

#[vtable]
impl MiscDevice for Memory {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        MEMORY.get().ok_or(ENODEV)
    }

    fn address_space<'a>(memory: ArcBorrow<'a, Self>, _file: &'a File) -> &'a AddressSpace {
        memory.into_ref().bar.revocation().address_space()
    }

    fn mmap_prepare<'f>(
        memory: ArcBorrow<'f, Self>,
        mut desc: VmaDesc<'f, Self>,
    ) -> Result<Mapping<'f, Self>> {
        desc.deny_cow()?;
        // Refuses a mapping that extends past the end of the memory.
        memory.bar.slice(desc.pgoff(), desc.nr_pages())?;
        Ok(desc.with_ops::<MemoryOps>()?.on_io_fault(Cache::NonCached))
    }
}

/// The callbacks of the mappings.
struct MemoryOps;

#[vtable]
impl VmOperations for MemoryOps {
    type File = Memory;
    type Data = PerFile;
    type Memory = Pfn;

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        Ok(vmf.insert_pfn(vmf.data().bar.all(), vmf.pgoff())?.into())
    }
}

kernel::vm_operations!(MemoryOps);
