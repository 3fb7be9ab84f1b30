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

/// The `mmap_prepare` hook of a misc device.
///
/// # Safety
///
/// `desc` must be the descriptor that the kernel calls an `mmap_prepare` hook with, and its `file`
/// a file that is associated with a `MiscDeviceRegistration<T>`.
pub(crate) unsafe extern "C" fn mmap_prepare<T: MiscDevice>(
    desc: *mut bindings::vm_area_desc,
) -> c_int {
    // SAFETY: The caller promises a valid descriptor. Its `file` is the one whose hook this is, also
    // where a stacked file system calls it.
    let file = unsafe { (*desc).file };
    // SAFETY: As above.
    if !unsafe { is_opened(file) } {
        return EBADF.to_errno();
    }
    // SAFETY: As above.
    let private = unsafe { (*file).private_data };
    // SAFETY: The private data of a file with these operations that has been opened comes from
    // `into_foreign`. It goes back to `from_foreign` in `release`, which is after the mapping has
    // been made: whoever maps the file, or stacks on it, holds it open until then.
    let device = unsafe { <T::Ptr as ForeignOwnable>::borrow(private) };
    // SAFETY:
    // - The kernel's descriptors are not null, and it does not touch this one before we return.
    // - The lifetime is that of `device`, which was just made for this call alone, and ends no later
    //   than the file is closed.
    // - The private data is that of the file.
    let desc = unsafe { VmaDesc::from_raw(NonNull::new_unchecked(desc), private) };

    let prepared = T::mmap_prepare(device, desc).and_then(|mapping| {
        // After the hook, which may have revoked the memory.
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

/// Makes a file that is being opened use the address space of its device, if it has one. Who sees that the
/// file is open sees that, and the private data.
///
/// # Safety
///
/// `file` must be undergoing its `open`, be associated with a `MiscDeviceRegistration<T>`, and have
/// its private data already.
pub(crate) unsafe fn set_address_space<T: MiscDevice>(file: *mut bindings::file) {
    let space = if T::HAS_ADDRESS_SPACE {
        // SAFETY: The file is being opened, the caller promises.
        let private = unsafe { (*file).private_data };
        // SAFETY: The private data comes from `into_foreign`, and `release` comes after all else.
        let device = unsafe { <T::Ptr as ForeignOwnable>::borrow(private) };
        // SAFETY: The file stays open for as long as the device is borrowed, and has no active
        // `fdget_pos` region.
        T::address_space(device, unsafe { File::from_raw_file(file) }).as_ptr()
    } else {
        core::ptr::null_mut()
    };
    // SAFETY: Nothing is mapped: `mmap_prepare` refuses that as long as the file is being opened, and
    // so do the locks of `File`. The address space is borrowed for as long as the device is, hence
    // until the file is released: `reset_address_space`.
    unsafe { bindings::file_set_mapping(file, space) };
}

/// Makes a file that is being released use its inode's address space again, before the device goes.
///
/// # Safety
///
/// `file` must be undergoing its `release`.
pub(crate) unsafe fn reset_address_space(file: *mut bindings::file) {
    // SAFETY: Nobody else has the file any more, and nothing of it is mapped. It has its inode until
    // it is freed.
    unsafe { (*file).f_mapping = (*(*file).f_inode).i_mapping };
}
