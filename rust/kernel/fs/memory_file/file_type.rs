// SPDX-License-Identifier: GPL-2.0

//! The table of a type of memory file.
//!
//! Inodes point to it for as long as they exist, and have a reference to the module of the type. So
//! the table must be part of that module. A constant of a generic implementation would be part of
//! the module that uses the type, which can be unloaded before.

use super::{
    owner,
    tables, //
};
use crate::{
    bindings,
    mm::uffd::{
        self,
        UffdOps, //
    },
    prelude::*,
    types::ForeignOwnable, //
};
use core::{
    cell::UnsafeCell,
    marker::PhantomData, //
};

/// The table of the memory files of the type `T`, which
/// [`memory_file_type!`](crate::memory_file_type) makes.
///
/// # Invariants
///
/// The table is not written after it was initialised. What it has is right for memory files of the
/// type `T`.
// With the `UnsafeCell`, each static of this type has an address that no other object shares.
#[repr(transparent)]
pub struct MemoryFileTable<T>(
    UnsafeCell<bindings::rust_memory_type>,
    PhantomData<fn(T) -> T>,
);

// SAFETY: A shared reference gives out only the address of the table. Nothing writes the table
// after its initialisation, so any number of threads may read it.
unsafe impl<T> Sync for MemoryFileTable<T> {}

impl<T: UffdOps> MemoryFileTable<T> {
    /// What userfaultfd calls for the mappings.
    #[cfg(CONFIG_USERFAULTFD)]
    const UFFD_OPS: bindings::vm_uffd_ops = {
        // SAFETY: The table is that of the mappings of files with this type. The data of such a
        // file is in the `i_private` of its inode, is of the type `T::Data`, and is dropped when
        // the inode is evicted. Until then, the inode has a reference to the module.
        unsafe { uffd::table::<T, super::fill::Layer>() }
    };

    /// The operations of the mappings.
    const VM_OPS: bindings::vm_operations_struct = bindings::vm_operations_struct {
        #[cfg(CONFIG_USERFAULTFD)]
        uffd_ops: &Self::UFFD_OPS,
        ..tables::VM_OPS
    };

    /// The type, as the inode has it.
    const TYPE: bindings::rust_memory_type = bindings::rust_memory_type {
        owner: owner::owner::<T>(),
        vm_ops: &Self::VM_OPS,
        decide: uffd::decide::<T>(),
        release: Some(release::<T>),
    };

    /// Makes a table.
    #[expect(clippy::new_without_default)]
    pub const fn new() -> Self {
        // INVARIANT: The callbacks are those of `T`, and the owner is its module.
        Self(UnsafeCell::new(Self::TYPE), PhantomData)
    }
}

impl<T> MemoryFileTable<T> {
    /// Returns a pointer to the C table, whose address identifies the type `T`.
    #[inline]
    pub(super) fn as_ptr(&'static self) -> *const bindings::rust_memory_type {
        self.0.get()
    }
}

/// Drops the data of a file.
///
/// # Safety
///
/// `data` must be from `into_foreign` of `T::Data`, and must not be used again.
unsafe extern "C" fn release<T: UffdOps>(data: *mut c_void) {
    // SAFETY: By the safety requirements of this function, the pointer is from `into_foreign`.
    drop(unsafe { T::Data::from_foreign(data) });
}

/// A type of memory file that has a table.
///
/// [`memory_file_type!`](crate::memory_file_type) implements this; drivers do not.
///
/// # Safety
///
/// `table` must return the same table each time. The table, and all code that it refers to, must
/// exist for as long as the module that has the implementation of [`UffdOps`] is
/// loaded.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no table of a memory file",
    note = "add `kernel::memory_file_type!({Self});` next to its `impl UffdOps`"
)]
pub unsafe trait MemoryFileType: UffdOps {
    /// Returns the table.
    fn table() -> &'static MemoryFileTable<Self>;
}

/// Makes the table of a type of memory file, an implementation of
/// [`UffdOps`](crate::mm::uffd::UffdOps).
///
/// A driver calls it once, next to the implementation; for a generic type, once for each instance.
///
/// The table is a static of the module that calls the macro. It must be the module that has the
/// type, whose reference count the files raise: the compiler refuses the macro for a type of
/// another crate.
#[macro_export]
macro_rules! memory_file_type {
    ($type:ty) => {
        const _: () = {
            #[link_section = ".data..ro_after_init"]
            static TABLE: $crate::fs::memory_file::MemoryFileTable<$type> =
                $crate::fs::memory_file::MemoryFileTable::new();

            // SAFETY: `table` always returns `TABLE`, a static of this module. So are the callbacks
            // that it refers to. This module has the implementation of `UffdOps`: the compiler
            // accepts implementations of both traits only in the crate of the type, or in `kernel`.
            unsafe impl $crate::fs::memory_file::MemoryFileType for $type {
                #[inline]
                fn table() -> &'static $crate::fs::memory_file::MemoryFileTable<Self> {
                    &TABLE
                }
            }
        };
    };
}
