// SPDX-License-Identifier: GPL-2.0

//! C tables that are identified by their addresses.
//!
//! Each table must have a unique address. A promoted constant does not have one: the compiler may
//! merge constants of equal content, and may duplicate a constant. An immutable `static` may share
//! its address with a promoted constant. A `static` that contains an [`UnsafeCell`] has a unique
//! address: it cannot be promoted, and no two of them overlap.

use core::cell::UnsafeCell;

/// A table that is never written after its initialisation.
///
/// A `static` of this type has an address that no other object shares.
#[repr(transparent)]
pub(super) struct StaticTable<T>(UnsafeCell<T>);

// SAFETY: A shared reference gives out only the address of the table. Nothing writes the table
// after its initialisation, so any number of threads may read it.
unsafe impl<T> Sync for StaticTable<T> {}

impl<T> StaticTable<T> {
    pub(super) const fn new(table: T) -> Self {
        Self(UnsafeCell::new(table))
    }

    /// Returns the pointer to the table that C expects.
    #[inline]
    pub(super) fn as_ptr(&'static self) -> *const T {
        self.0.get()
    }
}
