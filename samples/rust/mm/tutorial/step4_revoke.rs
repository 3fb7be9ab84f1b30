// SPDX-License-Identifier: GPL-2.0

//! Step 4 of the tutorial: memory that the driver revokes while user space has it mapped.

use kernel::{
    fs::File,
    ioctl::_IO,
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
        revoke::Revocation,
        rmap::AddressSpace,
        FaultedPages, //
    },
    new_mutex,
    prelude::*,
    sync::Mutex, //
};

module! {
    type: Step4,
    name: "step4_revoke",
    authors: ["Rust mm developers"],
    description: "Rust mm tutorial, step 4: memory that is revoked",
    license: "GPL",
}

/// Revokes and frees the memory: each access raises SIGBUS until [`STEP4_RESTORE`].
const STEP4_REVOKE: u32 = _IO('4' as u32, 0);
/// Restores the memory, with new pages, which are zeroed.
const STEP4_RESTORE: u32 = _IO('4' as u32, 1);

/// The module: the device exists for as long as the module is loaded.
#[pin_data]
struct Step4 {
    #[pin]
    _device: MiscDeviceRegistration<Memory>,
}

impl kernel::InPlaceModule for Step4 {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"step4_revoke",
            }),
        })
    }
}

/// What belongs to an open file.
#[pin_data]
struct Memory {
    #[pin]
    pages: FaultedPages<Revocation>,
    /// Held by an ioctl: only one runs at a time.
    #[pin]
    switching: Mutex<()>,
}

impl Memory {
    /// Revokes the memory and frees its pages.
    fn revoke(&self) {
        // Not with a lock held that `fault` takes: this waits for fault handlers.
        self.pages.mappings().revoke();
        self.pages.discard_all();
    }
}

#[vtable]
impl MiscDevice for Memory {
    type Ptr = Pin<KBox<Self>>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Pin<KBox<Self>>> {
        KBox::try_pin_init(
            try_pin_init!(Self {
                pages <- FaultedPages::unmapped_from(
                    Revocation::new::<Self>(),
                    4,
                    GFP_KERNEL_ACCOUNT,
                ),
                switching <- new_mutex!(()),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    fn address_space<'a>(memory: Pin<&'a Self>, _file: &'a File) -> &'a AddressSpace {
        memory.get_ref().pages.mappings().address_space()
    }

    fn mmap_prepare<'f>(
        _memory: Pin<&'f Self>,
        mut desc: VmaDesc<'f, Self>,
    ) -> Result<Mapping<'f, Self>> {
        desc.deny_cow()?;
        Ok(desc.with_ops::<MemoryOps>()?.on_fault())
    }

    fn ioctl(memory: Pin<&Self>, _file: &File, cmd: u32, _arg: usize) -> Result<isize> {
        // Do not restore the memory before `revoke` has freed its pages.
        let _switching = memory.switching.lock();
        match cmd {
            STEP4_REVOKE => memory.revoke(),
            STEP4_RESTORE => memory.pages.mappings().restore(),
            _ => return Err(ENOTTY),
        }
        Ok(0)
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
        vmf.data().get_ref().pages.fault(vmf)
    }
}

kernel::vm_operations!(MemoryOps);
