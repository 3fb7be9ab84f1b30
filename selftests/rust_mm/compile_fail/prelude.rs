// SPDX-License-Identifier: GPL-2.0

// The start of every case: a module, and the imports of a driver.

#[allow(unused_imports)]
use core::ops::Range;
#[allow(unused_imports)]
use kernel::{
    fs::File,
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    mm::{
        desc::{
            DescRange,
            Mapping,
            VmaDesc, //
        },
        flags::{
            ClearFlags,
            SetFlags,
            VmaFlag, //
        },
        ops::{
            Access,
            DataRef,
            DeviceRef,
            DriverVma,
            DriverVmaInfo,
            DriverVmaUnderMmap,
            Fault,
            FaultAnswer,
            FaultError,
            HasVmOps,
            HugeAnswer,
            HugeFault,
            Inserted,
            MappedArea,
            Mixed,
            MkwriteAnswer,
            MkwriteFault,
            Ordinary,
            PerFile,
            PerVma,
            PerVmaUnique,
            Pfn,
            VmOperations,
            VmOpsTable, //
        },
        revoke::RevocableMemory,
        rmap::AddressSpace,
        virt::VmaRef,
        Cache,
        DeviceMemory,
        Folio,
        Frames,
        KernelPages,
        KernelPagesSlice,
        LockedFolio,
        MmWithUser,
        PfnRange,
        PfnSlice, //
    },
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        ArcBorrow,
        Mutex,
        SetOnce, //
    },
    types::ForeignOwnable, //
};

struct Case;

impl kernel::Module for Case {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Case)
    }
}

module! {
    type: Case,
    name: "compile_fail",
    authors: ["Rust mm developers"],
    description: "A driver that must not compile, and its twin that must",
    license: "GPL",
}

/// Defines the device of most cases, with memory of each kind, `open` and the given functions.
#[allow(unused_macros)]
macro_rules! device {
    ($($function:tt)*) => {
        #[allow(dead_code)]
        struct Dev {
            folio: ARef<Folio>,
            pages: KernelPages,
            pfns: PfnRange,
        }

        #[vtable]
        impl MiscDevice for Dev {
            type Ptr = KBox<Self>;

            fn open(_: &File, _: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
                Err(ENODEV)
            }

            $($function)*
        }
    };
}

/// A value that is handed to another thread.
///
/// A type that is not `Send` gives one error here, however many of its fields are the reason.
#[allow(dead_code)]
struct Handed<T>(T);

#[allow(dead_code)]
impl<T> Handed<T> {
    fn to_this_thread(self) -> T {
        self.0
    }
}

#[allow(dead_code)]
impl<T: Send> Handed<T> {
    fn to_another_thread(self) -> T {
        self.0
    }
}
