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
        Folio, //
    },
    new_mutex,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Mutex, //
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

/// The pages of the memory; `None` before the first access.
type Pages = [Option<ARef<Folio>>; 4];

/// What belongs to an open file.
#[pin_data]
struct Memory {
    #[pin]
    pages: Mutex<Pages>,
    faults: Atomic<i64>,
}

#[vtable]
impl MiscDevice for Memory {
    type Ptr = Pin<KBox<Self>>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Pin<KBox<Self>>> {
        KBox::pin_init(
            pin_init!(Self {
                pages <- new_mutex!(Pages::default()),
                faults: Atomic::new(0),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    fn mmap_prepare<'f>(
        _memory: Pin<&'f Self>,
        mut desc: VmaDesc<'f, Self>,
    ) -> Result<Mapping<'f, Self>> {
        desc.deny_cow()?;
        Ok(desc.with_ops::<MemoryOps>()?.on_fault())
    }

    fn show_fdinfo(memory: Pin<&Self>, m: &SeqFile, _file: &File) {
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

        let mut pages = memory.pages.lock();
        let index = vmf.index_in(pages.len())?;
        let page = &mut pages[index];
        let folio = match page {
            Some(folio) => folio,
            None => page.insert(Folio::alloc(0, GFP_KERNEL_ACCOUNT)?),
        };
        vmf.return_page(folio.clone(), 0)
    }
}

kernel::vm_operations!(MemoryOps);
