// SPDX-License-Identifier: GPL-2.0

// What every case begins with: a module, and what drivers import.

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
            DriverVmaUnderMmap,
            DataRef,
            DeviceRef,
            DriverVma,
            DriverVmaInfo,
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

/// The device of most cases: something of each kind, and the functions that are given besides `open`.
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

/// What a thread has given away. One error where it must not, whatever the fields that it is for.
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
