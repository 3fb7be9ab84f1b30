// SPDX-License-Identifier: GPL-2.0

//! Views of a VMA that tell which read lock keeps it.
//!
//! [`VmaRef`] stands for one of two locks. What the kernel checks of its callers differs between
//! them, so the guards of upstream and of this layer give out one of these.

use crate::{
    bindings,
    mm::virt::VmaRef, //
};
use core::ops::Deref;

/// A VMA of an mm whose mmap lock is held, at least for reading.
///
/// # Invariants
///
/// As [`VmaRef`]; and the current thread holds the mmap lock of the mm for as long as there is a
/// reference.
#[repr(transparent)]
pub struct VmaUnderMmap(VmaRef);

/// A VMA whose own lock is held for reading.
///
/// # Invariants
///
/// As [`VmaRef`]; and the current thread holds the VMA lock for as long as there is a reference.
#[repr(transparent)]
pub struct VmaUnderVmaLock(VmaRef);

impl Deref for VmaUnderMmap {
    type Target = VmaRef;

    #[inline]
    fn deref(&self) -> &VmaRef {
        &self.0
    }
}

impl Deref for VmaUnderVmaLock {
    type Target = VmaRef;

    #[inline]
    fn deref(&self) -> &VmaRef {
        &self.0
    }
}

impl VmaUnderMmap {
    /// # Safety
    ///
    /// During `'a`, the VMA must be a part of an mm whose mmap lock the current thread holds, at least
    /// for reading.
    #[inline]
    pub(in crate::mm) unsafe fn from_raw<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // SAFETY: The types have the same layout, and the rest is the caller's promise.
        unsafe { &*vma.cast() }
    }
}

impl VmaUnderVmaLock {
    /// # Safety
    ///
    /// During `'a`, the current thread must hold the read lock of the VMA.
    #[cfg(CONFIG_PER_VMA_LOCK)]
    #[inline]
    pub(in crate::mm) unsafe fn from_raw<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // SAFETY: The types have the same layout, and the rest is the caller's promise.
        unsafe { &*vma.cast() }
    }
}
