// SPDX-License-Identifier: GPL-2.0

//! Tables of C's that are told from each other by their addresses.
//!
//! So an address has to be unique. A promoted constant is not: the compiler may give one address
//! to several of equal content, and several to one. Nor is an immutable `static`, which may share
//! its address with a promoted constant. A `static` that contains an [`UnsafeCell`] is: it cannot
//! be promoted, and no two of them overlap.

use core::cell::UnsafeCell;

/// A table that is never written after it was initialised. As a `static`, it has an address of its own.
#[repr(transparent)]
pub(super) struct StaticTable<T>(UnsafeCell<T>);

// SAFETY: All that can be had of a table is its address, and whoever reads there does so in a way that is
// right for what no one writes.
unsafe impl<T> Sync for StaticTable<T> {}

impl<T> StaticTable<T> {
    pub(super) const fn new(table: T) -> Self {
        Self(UnsafeCell::new(table))
    }

    /// Returns the table as C wants it.
    #[inline]
    pub(super) fn as_ptr(&'static self) -> *const T {
        self.0.get()
    }
}
