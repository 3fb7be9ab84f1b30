// SPDX-License-Identifier: GPL-2.0

//! Step 6 of the tutorial: memory that one fault maps with one PMD mapping.

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
        flags::SetFlags,
        ops::{
            Fault,
            FaultAnswer,
            FaultError,
            HugeAnswer,
            HugeFault,
            HugeOrder,
            Ordinary,
            PerFile,
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
        }, //
    }, //
};

module! {
    type: Step6,
    name: "step6_huge",
    authors: ["Rust mm developers"],
    description: "Rust mm tutorial, step 6: a huge page",
    license: "GPL",
}

/// The module: the device exists for as long as the module is loaded.
#[pin_data]
struct Step6 {
    #[pin]
    _device: MiscDeviceRegistration<Memory>,
}

impl kernel::InPlaceModule for Step6 {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"step6_huge",
            }),
        })
    }
}

/// What belongs to an open file.
struct Memory {
    folio: ARef<Folio>,
    /// Faults that were answered with a page.
    faults: Atomic<i64>,
    /// Faults that were answered with a PMD mapping.
    huge_faults: Atomic<i64>,
}

#[vtable]
impl MiscDevice for Memory {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        let order = HugeOrder::Pmd.nr_pages().ilog2();
        let memory = Self {
            folio: Folio::alloc(order, GFP_KERNEL_ACCOUNT)?,
            faults: Atomic::new(0),
            huge_faults: Atomic::new(0),
        };
        Ok(KBox::new(memory, GFP_KERNEL_ACCOUNT)?)
    }

    fn mmap_prepare<'f>(
        _memory: &'f Self,
        mut desc: VmaDesc<'f, Self>,
    ) -> Result<Mapping<'f, Self>> {
        desc.deny_cow()?;
        desc.set(SetFlags::HUGEPAGE);
        Ok(desc.with_ops::<MemoryOps>()?.on_fault())
    }

    fn show_fdinfo(memory: &Self, m: &SeqFile, _file: &File) {
        seq_print!(m, "faults:\t{}\n", memory.faults.load(Relaxed));
        seq_print!(m, "huge_faults:\t{}\n", memory.huge_faults.load(Relaxed));
    }
}

/// The callbacks of the mappings.
struct MemoryOps;

#[vtable]
impl VmOperations for MemoryOps {
    type File = Memory;
    type Data = PerFile;
    type Memory = Ordinary;

    fn huge_fault(vmf: &HugeFault<Self>) -> Result<HugeAnswer<'_>, FaultError> {
        let memory = vmf.data();
        // The folio starts at page offset 0, so the leaf has to start there as well.
        if vmf.pgoff_range().is_none_or(|pgoffs| pgoffs.start != 0) {
            return Ok(HugeAnswer::Fallback);
        }
        let answer = vmf.insert_folio(&memory.folio)?;
        if let HugeAnswer::Inserted(_) = answer {
            memory.huge_faults.fetch_add(1, Relaxed);
        }
        Ok(answer)
    }

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        let memory = vmf.data();
        memory.faults.fetch_add(1, Relaxed);
        vmf.return_page(memory.folio.clone(), vmf.pgoff())
    }
}

kernel::vm_operations!(MemoryOps);
