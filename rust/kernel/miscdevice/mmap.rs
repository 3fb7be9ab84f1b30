// SPDX-License-Identifier: GPL-2.0

//! `mmap_prepare` for misc devices.
//!
//! C header: [`include/linux/miscdevice.h`](srctree/include/linux/miscdevice.h)

use super::MiscDevice;
use crate::{
    fs::{
        mmap::MapHooks,
        File, //
    },
    mm::{
        desc::{
            Mapping,
            VmaDesc, //
        },
        file::{
            sealed::Sealed,
            MapFile, //
        },
        rmap::AddressSpace, //
    },
    prelude::*,
    types::ForeignOwnable, //
};

impl<T: MiscDevice + 'static> Sealed for T where T::Ptr: 'static {}

impl<T: MiscDevice + 'static> MapFile for T
where
    T::Ptr: 'static,
{
    type Ptr = T::Ptr;
    type Driver = T;
    const HAS_ADDRESS_SPACE: bool = T::HAS_ADDRESS_SPACE;
}

impl<T: MiscDevice> MapHooks for T {
    type Ptr = T::Ptr;
    const HAS_ADDRESS_SPACE: bool = T::HAS_ADDRESS_SPACE;

    #[inline]
    fn mmap_prepare<'f>(
        device: <T::Ptr as ForeignOwnable>::Borrowed<'f>,
        desc: VmaDesc<'f, Self>,
    ) -> Result<Mapping<'f, Self>> {
        <T as MiscDevice>::mmap_prepare(device, desc)
    }

    #[inline]
    fn address_space<'a>(
        device: <T::Ptr as ForeignOwnable>::Borrowed<'a>,
        file: &'a File,
    ) -> &'a AddressSpace {
        <T as MiscDevice>::address_space(device, file)
    }
}
