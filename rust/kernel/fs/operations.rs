// SPDX-License-Identifier: GPL-2.0

//! The operations of files that a driver makes.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use super::{
    is_opened,
    File,
    ReleasedFile, //
};
use crate::{
    bindings,
    error::VTABLE_DEFAULT_ERROR,
    prelude::*,
    types::ForeignOwnable, //
};
use core::marker::PhantomData;

#[cfg(CONFIG_MMU)]
use super::mmap;

/// The operations of a file, implemented by the data that the file has.
///
/// This is for every kind of file but those of a
/// [misc device](crate::miscdevice::MiscDevice):
///
/// - files with hand-written `file_operations`: see [`FileTable`](super::FileTable).
///
/// All operations are optional.
#[vtable]
pub trait FileOperations: Sized + 'static {
    /// The pointer type that owns the data of the file.
    type Ptr: ForeignOwnable + Send + Sync + 'static;

    /// Called when the last reference to the file is dropped.
    ///
    /// Nothing of the file is mapped then.
    ///
    /// # Context
    ///
    /// Process context. May sleep. The current process need not be one that had the file open.
    fn release(device: Self::Ptr, _file: &ReleasedFile) {
        drop(device);
    }

    /// Describes the mapping that user space asks for with `mmap(2)`.
    ///
    /// All that [`MiscDevice::mmap_prepare`](crate::miscdevice::MiscDevice::mmap_prepare) says
    /// holds for this hook.
    ///
    /// # Context
    ///
    /// The mmap lock of the current process is held for writing. May sleep. Must not access user
    /// memory.
    ///
    /// # Errors
    ///
    /// `mmap(2)` fails with the error.
    #[cfg(CONFIG_MMU)]
    fn mmap_prepare<'f>(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'f>,
        _desc: crate::mm::desc::VmaDesc<'f, FileOf<Self>>,
    ) -> Result<crate::mm::desc::Mapping<'f, FileOf<Self>>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Returns the driver's own [`AddressSpace`](crate::mm::rmap::AddressSpace), in which the
    /// kernel keeps the mappings of the file.
    ///
    /// All that [`MiscDevice::address_space`](crate::miscdevice::MiscDevice::address_space) says
    /// holds for this hook.
    ///
    /// # Context
    ///
    /// The layer calls this once for each file, when the file is opened or made. May sleep.
    #[cfg(CONFIG_MMU)]
    fn address_space<'a>(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'a>,
        _file: &'a File,
    ) -> &'a crate::mm::rmap::AddressSpace {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// The kind of file whose operations `T` implements.
///
/// This is a type without values, which tells the layer how to use the private data of a file.
/// [`VmaDesc`](crate::mm::desc::VmaDesc) and
/// [`VmOperations::File`](crate::mm::ops::VmOperations::File) name it.
///
/// # Invariants
///
/// Of each file of this kind:
///
/// - Once it is opened, its private data comes from `into_foreign` of `T::Ptr`, and does not change
///   until `release` passes it to `from_foreign`.
/// - If `T` implements [`address_space`](FileOperations::address_space), `f_mapping` is what that
///   returned, from before the file is opened until it is released.
/// - The module of `T` is not unloaded before the file is freed.
pub struct FileOf<T>(PhantomData<fn(T) -> T>, core::convert::Infallible);

#[cfg(CONFIG_MMU)]
mod map {
    use super::*;
    use crate::mm::{
        desc::{
            Mapping,
            VmaDesc, //
        },
        file::{
            sealed::Sealed,
            MapFile, //
        },
        rmap::AddressSpace, //
    };

    impl<T: FileOperations> Sealed for FileOf<T> {}

    impl<T: FileOperations> MapFile for FileOf<T> {
        type Ptr = T::Ptr;
        type Driver = T;
        const HAS_ADDRESS_SPACE: bool = T::HAS_ADDRESS_SPACE;
    }

    impl<T: FileOperations> mmap::MapHooks for FileOf<T> {
        type Ptr = T::Ptr;
        const HAS_ADDRESS_SPACE: bool = T::HAS_ADDRESS_SPACE;

        #[inline]
        fn mmap_prepare<'f>(
            device: <T::Ptr as ForeignOwnable>::Borrowed<'f>,
            desc: VmaDesc<'f, Self>,
        ) -> Result<Mapping<'f, Self>> {
            T::mmap_prepare(device, desc)
        }

        #[inline]
        fn address_space<'a>(
            device: <T::Ptr as ForeignOwnable>::Borrowed<'a>,
            file: &'a File,
        ) -> &'a AddressSpace {
            T::address_space(device, file)
        }
    }
}

impl<T: FileOperations> FileOf<T> {
    /// The operations that `T` implements, and `release`.
    ///
    /// There is no `open` and no owner.
    pub(super) const OPERATIONS: bindings::file_operations = bindings::file_operations {
        release: Some(Self::release),
        #[cfg(CONFIG_MMU)]
        mmap_prepare: if T::HAS_MMAP_PREPARE {
            Some(mmap::mmap_prepare::<Self>)
        } else {
            None
        },
        ..pin_init::zeroed()
    };

    /// Gives a file its private data, and the address space of the driver.
    ///
    /// # Safety
    ///
    /// `file` must be of this kind, and must not have its private data yet. It must be in its
    /// `open`, which succeeds after this, or no other thread may have it yet.
    pub(super) unsafe fn set_private_data(file: *mut bindings::file, device: T::Ptr) {
        // A file that was made without `open` counts as opened from the start. Until it has its
        // address space, it must not: `address_space` of the driver gets the file, and can make it
        // public and map it.
        //
        // SAFETY: By the safety requirements of this function, the file is valid.
        let made = unsafe { is_opened(file) };
        if made {
            // SAFETY: By the safety requirements of this function, no other thread has the file.
            unsafe { bindings::file_set_opened(file, false) };
        }
        // SAFETY: By the safety requirements of this function, the file is being opened or made, so
        // no operation uses its private data yet.
        unsafe { (*file).private_data = device.into_foreign() };

        #[cfg(CONFIG_MMU)]
        // SAFETY: By the safety requirements of this function, the file is being opened or made. It
        // has just got its private data.
        unsafe {
            mmap::set_address_space::<Self>(file)
        };

        #[cfg(not(CONFIG_MMU))]
        // SAFETY: By the safety requirements of this function, the file is being opened or made. It
        // has just got its private data, which other threads must see before the file is opened.
        unsafe {
            bindings::file_set_mapping(file, core::ptr::null_mut())
        };

        if made {
            // SAFETY: By the safety requirements of this function, the caller has made the file.
            // It has its private data and its address space now.
            unsafe { bindings::file_set_opened(file, true) };
        }
    }

    /// Takes the private data of a file, and the address space of the driver.
    ///
    /// # Safety
    ///
    /// `file` must be of this kind, and in its `release`, which calls this once. Nothing may use
    /// the private data of the file after this.
    pub(super) unsafe fn take_private_data(file: *mut bindings::file) -> T::Ptr {
        #[cfg(CONFIG_MMU)]
        // SAFETY: By the safety requirements of this function, the file is being released.
        unsafe {
            mmap::reset_address_space::<Self>(file)
        };
        // SAFETY: By the type invariants, the private data of the file comes from `into_foreign`.
        // By the safety requirements of this function, the file is being released, so all borrows
        // of the private data have ended, and this is the only call.
        unsafe { T::Ptr::from_foreign((*file).private_data) }
    }

    /// `file_operations::release`.
    ///
    /// # Safety
    ///
    /// C must be calling this for `file`, which must be of this kind.
    unsafe extern "C" fn release(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: By the safety requirements of this function, the file is of this kind and is
        // being released. The kernel calls `release` once.
        let device = unsafe { Self::take_private_data(file) };
        // SAFETY: The file is in its `release` on this thread, which has no active `fdget_pos`
        // region on it.
        T::release(device, unsafe { ReleasedFile::from_raw(file) });
        0
    }
}
