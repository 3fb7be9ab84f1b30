// SPDX-License-Identifier: GPL-2.0

//! Views of a VMA under one particular lock.
//!
//! A [`VmaRef`] stands for the mmap lock or the VMA lock. Some functions of the kernel check that
//! their caller holds one or the other, so each guard gives out a view that names its lock.

use crate::{
    bindings,
    mm::virt::VmaRef, //
};
use core::ops::Deref;

/// A VMA of an mm whose mmap lock is held, at least for reading.
///
/// # Invariants
///
/// Those of [`VmaRef`]. For as long as there is a reference, the current thread holds the mmap lock
/// of the mm.
#[repr(transparent)]
pub struct VmaUnderMmap(VmaRef);

/// A VMA whose VMA lock is held for reading.
///
/// # Invariants
///
/// Those of [`VmaRef`]. For as long as there is a reference, the current thread holds the VMA lock.
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
    /// Returns the VMA that a pointer from C points to.
    ///
    /// # Safety
    ///
    /// During `'a`, the VMA must be a part of an mm whose mmap lock the current thread holds, at
    /// least for reading.
    #[inline]
    pub(in crate::mm) unsafe fn from_raw<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // SAFETY: The types have the same layout. By the safety requirements of this function, the
        // current thread holds the mmap lock during `'a`.
        unsafe { &*vma.cast() }
    }
}

impl VmaUnderVmaLock {
    /// Returns the VMA that a pointer from C points to.
    ///
    /// # Safety
    ///
    /// During `'a`, the current thread must hold the read lock of the VMA.
    #[cfg(CONFIG_PER_VMA_LOCK)]
    #[inline]
    pub(in crate::mm) unsafe fn from_raw<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // SAFETY: The types have the same layout. By the safety requirements of this function, the
        // current thread holds the VMA lock during `'a`.
        unsafe { &*vma.cast() }
    }
}
