// SPDX-License-Identifier: GPL-2.0

//! Mapping files of any kind: what the file operations of each kind have in common.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use super::{
    is_opened,
    File, //
};
use crate::{
    bindings,
    mm::{
        desc::{
            Mapping,
            VmaDesc, //
        },
        rmap::AddressSpace, //
    },
    prelude::*,
    types::ForeignOwnable, //
};
use core::ptr::NonNull;

/// A kind of file, with the hooks of the driver that are about mapping it.
///
/// The private data of each opened file of this kind comes from `into_foreign` of
/// [`Ptr`](Self::Ptr). It does not change until `release` passes it to `from_foreign`.
pub(crate) trait MapHooks: Sized {
    /// The pointer type that owns the private data of the file.
    type Ptr: ForeignOwnable;

    /// Whether the driver implements [`address_space`](Self::address_space).
    const HAS_ADDRESS_SPACE: bool;

    /// Describes the mapping that user space asks for.
    fn mmap_prepare<'f>(
        device: <Self::Ptr as ForeignOwnable>::Borrowed<'f>,
        desc: VmaDesc<'f, Self>,
    ) -> Result<Mapping<'f, Self>>;

    /// Returns the address space that the file uses.
    fn address_space<'a>(
        device: <Self::Ptr as ForeignOwnable>::Borrowed<'a>,
        file: &'a File,
    ) -> &'a AddressSpace;
}

/// `file_operations::mmap_prepare` of each kind of file.
///
/// # Safety
///
/// `desc` must be the descriptor that the kernel passes to an `mmap_prepare` hook, and its `file`
/// must be of the kind `F`.
pub(crate) unsafe extern "C" fn mmap_prepare<F: MapHooks>(
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
    let device = unsafe { <F::Ptr as ForeignOwnable>::borrow(private) };
    // SAFETY:
    // - The descriptor is that of the hook call, so it is not null, and the kernel does not access
    //   it before this function returns. Only the `VmaDesc`, and the `Mapping` made from it, access
    //   it.
    // - `'f` is the lifetime of `device`, which was just made for this call alone. It ends before
    //   the file is closed. The file is of the type `F`.
    // - `F::mmap_prepare` is generic in `'f`, so what it borrows is valid for a longer one as well,
    //   which lasts until `release` drops the device.
    // - The private data is that of the file.
    let desc = unsafe { VmaDesc::from_raw(NonNull::new_unchecked(desc), private) };

    let mut mapping = match F::mmap_prepare(device, desc) {
        Ok(mapping) => mapping,
        Err(err) => return err.to_errno(),
    };
    if F::HAS_ADDRESS_SPACE {
        // This comes after the hook, which may have revoked the memory.
        if let Err(err) = mapping.in_reach() {
            return err.to_errno();
        }
    }
    match mapping.finish() {
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
/// `file` must be of the kind `F` and have its private data already. It must be in its `open`, or
/// no other thread may have it yet.
pub(crate) unsafe fn set_address_space<F: MapHooks>(file: *mut bindings::file) {
    let space = if F::HAS_ADDRESS_SPACE {
        // SAFETY: By the safety requirements of this function, the file is being opened or made, so
        // it is valid.
        let private = unsafe { (*file).private_data };
        // SAFETY: By the safety requirements of this function, the private data is that of a file
        // of the kind `F`, so it comes from `into_foreign`. It goes back to `from_foreign` in
        // `release`, after all other operations.
        let device = unsafe { <F::Ptr as ForeignOwnable>::borrow(private) };
        // SAFETY: The file remains open for as long as the device is borrowed, and this thread has
        // no active `fdget_pos` region on it.
        F::address_space(device, unsafe { File::from_raw_file(file) }).as_ptr()
    } else {
        core::ptr::null_mut()
    };
    // SAFETY:
    // - By the safety requirements of this function, the file is in its `open`, or is not public.
    //   So nothing is mapped: `mmap_prepare`, and the functions of `File` that lock its mappings,
    //   refuse a file until it has been opened.
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
/// `file` must be of the kind `F`, and in its `release`.
pub(crate) unsafe fn reset_address_space<F: MapHooks>(file: *mut bindings::file) {
    if F::HAS_ADDRESS_SPACE {
        // SAFETY: By the safety requirements of this function, the file is in its `release`. No
        // thread has a reference to it, and nothing of it is mapped. The inode exists until the
        // file is freed.
        unsafe { (*file).f_mapping = (*(*file).f_inode).i_mapping };
    }
}
