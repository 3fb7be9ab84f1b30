// SPDX-License-Identifier: GPL-2.0

//! Step 2 of the tutorial: pages that the driver allocates when user space accesses them.

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
            Fault,
            FaultAnswer,
            FaultError,
            Ordinary,
            PerFile,
            VmOperations, //
        },
        FaultedPages, //
    },
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};

module! {
    type: Step2,
    name: "step2_faults",
    authors: ["Rust mm developers"],
    description: "Rust mm tutorial, step 2: pages that are faulted in",
    license: "GPL",
}

/// The module: the device exists for as long as the module is loaded.
#[pin_data]
struct Step2 {
    #[pin]
    _device: MiscDeviceRegistration<Memory>,
}

impl kernel::InPlaceModule for Step2 {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"step2_faults",
            }),
        })
    }
}

/// What belongs to an open file.
struct Memory {
    pages: FaultedPages,
    faults: Atomic<i64>,
}

#[vtable]
impl MiscDevice for Memory {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        let memory = Self {
            pages: FaultedPages::new(4, GFP_KERNEL_ACCOUNT)?,
            faults: Atomic::new(0),
        };
        Ok(KBox::new(memory, GFP_KERNEL_ACCOUNT)?)
    }

    fn mmap_prepare<'f>(
        _memory: &'f Self,
        mut desc: VmaDesc<'f, Self>,
    ) -> Result<Mapping<'f, Self>> {
        desc.deny_cow()?;
        Ok(desc.with_ops::<MemoryOps>()?.on_fault())
    }

    fn show_fdinfo(memory: &Self, m: &SeqFile, _file: &File) {
        seq_print!(m, "faults:\t{}\n", memory.faults.load(Relaxed));
    }
}

/// The callbacks of the mappings.
struct MemoryOps;

#[vtable]
impl VmOperations for MemoryOps {
    type File = Memory;
    type Data = PerFile;
    type Memory = Ordinary;

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        let memory = vmf.data();
        memory.faults.fetch_add(1, Relaxed);
        memory.pages.fault(vmf)
    }
}

kernel::vm_operations!(MemoryOps);
