// SPDX-License-Identifier: GPL-2.0

//! The operations that misc devices have in common with other files.
//!
//! C header: [`include/linux/miscdevice.h`](srctree/include/linux/miscdevice.h)

use super::MiscDevice;
use crate::{
    fs::{
        fsync::Fsync,
        hooks::FileHooks,
        poll::{
            Events,
            Poll, //
        },
        seek::Seek,
        splice::{
            SpliceRead,
            SpliceWrite,
            Spliced, //
        },
        File, //
    },
    prelude::*,
    types::ForeignOwnable, //
};

impl<T: MiscDevice> FileHooks for T {
    type Ptr = T::Ptr;

    #[inline]
    fn llseek(device: <T::Ptr as ForeignOwnable>::Borrowed<'_>, seek: Seek<'_>) -> Result<i64> {
        <T as MiscDevice>::llseek(device, seek)
    }

    #[inline]
    fn poll<'a>(device: <T::Ptr as ForeignOwnable>::Borrowed<'a>, poll: &Poll<'a>) -> Events {
        <T as MiscDevice>::poll(device, poll)
    }

    #[inline]
    fn flush(device: <T::Ptr as ForeignOwnable>::Borrowed<'_>, file: &File) -> Result {
        <T as MiscDevice>::flush(device, file)
    }

    #[inline]
    fn fsync(device: <T::Ptr as ForeignOwnable>::Borrowed<'_>, request: Fsync<'_>) -> Result {
        <T as MiscDevice>::fsync(device, request)
    }

    #[inline]
    fn splice_read<'a>(
        device: <T::Ptr as ForeignOwnable>::Borrowed<'a>,
        request: SpliceRead<'a>,
    ) -> Result<Spliced<'a>> {
        <T as MiscDevice>::splice_read(device, request)
    }

    #[inline]
    fn splice_write<'a>(
        device: <T::Ptr as ForeignOwnable>::Borrowed<'a>,
        request: SpliceWrite<'a>,
    ) -> Result<Spliced<'a>> {
        <T as MiscDevice>::splice_write(device, request)
    }

    #[cfg(CONFIG_MMU)]
    #[inline]
    fn get_unmapped_area<'a>(
        device: <T::Ptr as ForeignOwnable>::Borrowed<'a>,
        request: crate::fs::area::AreaRequest<'a>,
    ) -> Result<crate::fs::area::Area<'a>> {
        <T as MiscDevice>::get_unmapped_area(device, request)
    }
}
