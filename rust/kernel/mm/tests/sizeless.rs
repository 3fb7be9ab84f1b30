// SPDX-License-Identifier: GPL-2.0

//! Tests of zero-sized devices and data in a `KBox`.
//!
//! The pointer of such a box dangles and may have bit 0 set, although `FOREIGN_ALIGN` says
//! otherwise. In `vm_private_data`, bit 0 means that the kernel has not called `mapped` yet, so the
//! layer refuses such devices and data.

use crate::{
    fs::File,
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    mm::{
        desc::{
            Mapping,
            VmaDesc, //
        },
        ops::{
            DeviceRef,
            HasVmOps,
            MappedArea,
            Ordinary,
            PerFile,
            PerVmaUnique,
            VmOperations, //
        },
        testing::{
            UserMm,
            READ,
            SHARED, //
        }, //
    },
    page::PAGE_SIZE,
    prelude::*,
    types::ForeignOwnable, //
};

macro_rules! sizeless {
    ($file:ident, $size:ty, $ops:ident, $data:ty, $make:expr) => {
        struct $file($size);

        #[vtable]
        impl MiscDevice for $file {
            type Ptr = KBox<Self>;

            fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
                Err(ENODEV)
            }

            fn mmap_prepare<'f>(
                file: &'f Self,
                desc: VmaDesc<'f, Self>,
            ) -> Result<Mapping<'f, Self>> {
                let _ = &file.0;
                Ok(desc.with_ops::<$ops>()?.map_nothing())
            }
        }

        struct $ops;

        #[vtable]
        impl VmOperations for $ops {
            type File = $file;
            type Data = $data;
            type Memory = Ordinary;

            fn mapped(_: DeviceRef<'_, Self>, _: &MappedArea) -> Result<$data> {
                $make
            }
        }

        crate::vm_operations!($ops);
    };
}

sizeless!(NoFile, (), NoFileOps, PerFile, Ok(PerFile));
sizeless!(
    NoDataFile,
    u32,
    NoDataOps,
    PerVmaUnique<KBox<()>>,
    Ok(PerVmaUnique(KBox::new((), GFP_KERNEL)?))
);

#[kunit_tests(rust_mm_sizeless)]
mod cases {
    use super::*;

    #[test]
    fn device_without_size() -> Result {
        let mm = UserMm::attach()?;
        let file = mm.open::<NoFile>(KBox::new(NoFile(()), GFP_KERNEL)?)?;
        assert_eq!(file.mmap(PAGE_SIZE, READ, SHARED, 0), Err(EINVAL));
        Ok(())
    }

    #[test]
    fn data_without_size() -> Result {
        let mm = UserMm::attach()?;
        let file = mm.open::<NoDataFile>(KBox::new(NoDataFile(1), GFP_KERNEL)?)?;
        assert_eq!(file.mmap(PAGE_SIZE, READ, SHARED, 0), Err(EINVAL));
        Ok(())
    }

    /// The pointer of a zero-sized box violates `FOREIGN_ALIGN`.
    ///
    /// If this case fails, the kernel is fixed, and the two cases above are no longer needed.
    #[test]
    fn pointer_of_a_box_of_nothing() -> Result {
        let word = KBox::new((), GFP_KERNEL)?.into_foreign();
        // SAFETY: The pointer comes from `into_foreign`, and is passed to `from_foreign` once.
        drop(unsafe { KBox::<()>::from_foreign(word) });
        assert!(word.addr() % 2 == 1);
        assert!(<KBox<()> as ForeignOwnable>::FOREIGN_ALIGN >= 2);
        assert!(!NoFileOps::MERGEABLE);
        Ok(())
    }
}
