// SPDX-License-Identifier: GPL-2.0

//! Step 3 of the tutorial: each mapping has memory of its own.

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
            Fault,
            FaultAnswer,
            FaultError,
            MappedArea,
            Ordinary,
            PerVma,
            VmOperations, //
        },
        Folio, //
    },
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
        ArcBorrow, //
    }, //
};

module! {
    type: Step3,
    name: "step3_per_mapping",
    authors: ["Rust mm developers"],
    description: "Rust mm tutorial, step 3: data that belongs to a mapping",
    license: "GPL",
}

/// The module: the device exists for as long as the module is loaded.
#[pin_data]
struct Step3 {
    #[pin]
    _device: MiscDeviceRegistration<Device>,
}

impl kernel::InPlaceModule for Step3 {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"step3_per_mapping",
            }),
        })
    }
}

/// What belongs to an open file.
struct Device {
    mappings: Atomic<i64>,
}

#[vtable]
impl MiscDevice for Device {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        let mappings = Atomic::new(0);
        Ok(Arc::new(Self { mappings }, GFP_KERNEL_ACCOUNT)?)
    }

    fn mmap_prepare<'f>(
        _device: ArcBorrow<'f, Self>,
        mut desc: VmaDesc<'f, Self>,
    ) -> Result<Mapping<'f, Self>> {
        desc.deny_cow()?;
        Ok(desc.with_ops::<OwnOps>()?.on_fault())
    }

    fn show_fdinfo(device: ArcBorrow<'_, Self>, m: &SeqFile, _file: &File) {
        seq_print!(m, "mappings:\t{}\n", device.mappings.load(Relaxed));
    }
}

/// The order of the folio of a mapping, which has four pages.
const ORDER: u32 = 2;

/// What belongs to a mapping.
struct OwnMemory {
    device: Arc<Device>,
    folio: ARef<Folio>,
}

impl Drop for OwnMemory {
    fn drop(&mut self) {
        self.device.mappings.fetch_sub(1, Relaxed);
    }
}

/// The callbacks of the mappings.
struct OwnOps;

#[vtable]
impl VmOperations for OwnOps {
    type File = Device;
    type Data = PerVma<Arc<OwnMemory>>;
    type Memory = Ordinary;

    fn mapped(device: DeviceRef<'_, Self>, _area: &MappedArea) -> Result<PerVma<Arc<OwnMemory>>> {
        let folio = Folio::alloc(ORDER, GFP_KERNEL_ACCOUNT)?;
        device.mappings.fetch_add(1, Relaxed);
        let memory = OwnMemory {
            device: device.into(),
            folio,
        };
        // If this fails, it drops `memory`, which corrects the count.
        Ok(PerVma(Arc::new(memory, GFP_KERNEL_ACCOUNT)?))
    }

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        // SIGBUS if the folio has no such page.
        vmf.return_page(vmf.data().folio.clone(), vmf.pgoff())
    }
}

kernel::vm_operations!(OwnOps);
