// SPDX-License-Identifier: GPL-2.0

//! `mmap_prepare` for misc devices.
//!
//! C header: [`include/linux/miscdevice.h`](srctree/include/linux/miscdevice.h)

use super::MiscDevice;
use crate::{
    bindings,
    fs::{
        is_opened,
        File, //
    },
    mm::{
        desc::VmaDesc,
        file::{
            sealed::Sealed,
            MapFile, //
        }, //
    },
    prelude::*,
    types::ForeignOwnable, //
};
use core::ptr::NonNull;

impl<T: MiscDevice + 'static> Sealed for T where T::Ptr: 'static {}

impl<T: MiscDevice + 'static> MapFile for T
where
    T::Ptr: 'static,
{
    type Ptr = T::Ptr;
    const HAS_ADDRESS_SPACE: bool = T::HAS_ADDRESS_SPACE;
}

/// `file_operations::mmap_prepare` of a misc device.
///
/// # Safety
///
/// `desc` must be the descriptor that the kernel passes to an `mmap_prepare` hook, and its `file`
/// must be associated with a `MiscDeviceRegistration<T>`.
pub(crate) unsafe extern "C" fn mmap_prepare<T: MiscDevice>(
    desc: *mut bindings::vm_area_desc,
) -> c_int {
    // SAFETY: By the safety requirements of this function, the descriptor is valid. Its `file` is
    // the one with this hook, even if a stacked file system calls the hook.
    let file = unsafe { (*desc).file };
    // SAFETY: The file of a descriptor is valid.
    if !unsafe { is_opened(file) } {
        return EBADF.to_errno();
    }
    // SAFETY: The file is valid, and its private data does not change after it has been opened.
    let private = unsafe { (*file).private_data };
    // SAFETY: The private data of an opened file with these operations comes from `into_foreign`.
    // `release` passes it to `from_foreign`, which happens after this call: the task that maps the
    // file, or the file system that is stacked on it, holds the file open meanwhile.
    let device = unsafe { <T::Ptr as ForeignOwnable>::borrow(private) };
    // SAFETY:
    // - The descriptor is that of the hook call, so it is not null, and the kernel does not access
    //   it before this function returns. Only the `VmaDesc`, and the `Mapping` made from it, access
    //   it.
    // - `'f` is the lifetime of `device`, which was just made for this call alone. It ends before
    //   the file is closed. The file is of the type `T`.
    // - The private data is that of the file.
    let desc = unsafe { VmaDesc::from_raw(NonNull::new_unchecked(desc), private) };

    let prepared = T::mmap_prepare(device, desc).and_then(|mapping| {
        // This comes after the hook, which may have revoked the memory.
        let mapping = if T::HAS_ADDRESS_SPACE {
            mapping.in_reach()?
        } else {
            mapping
        };
        mapping.lower()
    });
    match prepared {
        Ok(()) => 0,
        Err(err) => err.to_errno(),
    }
}

/// Makes a file that is being opened use the address space of its device, if the device has one.
///
/// A thread that sees that the file has been opened also sees the address space and the private
/// data.
///
/// # Safety
///
/// `file` must be in its `open`, be associated with a `MiscDeviceRegistration<T>`, and have its
/// private data already.
pub(crate) unsafe fn set_address_space<T: MiscDevice>(file: *mut bindings::file) {
    let space = if T::HAS_ADDRESS_SPACE {
        // SAFETY: By the safety requirements of this function, the file is in its `open`, so it is
        // valid.
        let private = unsafe { (*file).private_data };
        // SAFETY: By the safety requirements of this function, the private data is that of a
        // `MiscDeviceRegistration<T>`, so it comes from `into_foreign`. It goes back to
        // `from_foreign` in `release`, after all other operations.
        let device = unsafe { <T::Ptr as ForeignOwnable>::borrow(private) };
        // SAFETY: The file remains open for as long as the device is borrowed, and this thread has
        // no active `fdget_pos` region on it.
        T::address_space(device, unsafe { File::from_raw_file(file) }).as_ptr()
    } else {
        core::ptr::null_mut()
    };
    // SAFETY:
    // - By the safety requirements of this function, the file is in its `open`, so nothing is
    //   mapped: `mmap_prepare`, and the functions of `File` that lock its mappings, refuse a file
    //   until it has been opened.
    // - The address space is borrowed for as long as the device is, until the file is released.
    //   `reset_address_space` takes it out of the file then.
    unsafe { bindings::file_set_mapping(file, space) };
}

/// Makes a file that is being released use the address space of its inode again.
///
/// This happens before the private data, which may own the file's address space, is dropped.
///
/// # Safety
///
/// `file` must be in its `release`.
pub(crate) unsafe fn reset_address_space(file: *mut bindings::file) {
    // SAFETY: By the safety requirements of this function, the file is in its `release`. No thread
    // has a reference to it, and nothing of it is mapped. The inode exists until the file is freed.
    unsafe { (*file).f_mapping = (*(*file).f_inode).i_mapping };
}
