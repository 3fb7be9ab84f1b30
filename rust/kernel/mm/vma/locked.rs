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
///
/// # Examples
///
/// ```
/// use kernel::{mm::{pgtable::PageCounts, testing::*, vma::VmaUnderMmap}, page::PAGE_SIZE};
///
/// /// Returns how many bytes of a VMA have no page mapped yet.
/// fn unmapped(vma: &VmaUnderMmap) -> Result<usize> {
///     Ok(vma.len() - PageCounts::of(vma, vma.start()..vma.end())?.present)
/// }
///
/// let user = UserMm::attach()?;
/// let addr = user.mmap_anonymous(2 * PAGE_SIZE)?;
/// user.write(addr, b"one of two pages")?;
///
/// let guard = user.current().mmap_read_lock();
/// let vma = guard.vma_lookup(addr + PAGE_SIZE).ok_or(EFAULT)?;
/// assert!(vma.is_anonymous() && vma.file().is_none());
/// assert!(unmapped(vma)? >= PAGE_SIZE);
/// # Ok::<(), Error>(())
/// ```
#[repr(transparent)]
pub struct VmaUnderMmap(VmaRef);

/// A VMA whose VMA lock is held for reading.
///
/// # Invariants
///
/// Those of [`VmaRef`]. For as long as there is a reference, the current thread holds the VMA lock.
///
/// # Examples
///
/// ```
/// use kernel::{mm::{testing::*, vma::VmaUnderVmaLock}, page::PAGE_SIZE};
///
/// /// Returns whether user space shares a file with other processes.
/// fn is_shared_file(vma: &VmaUnderVmaLock) -> bool {
///     vma.is_shared() && vma.file().is_some()
/// }
///
/// let user = UserMm::attach()?;
/// let file = user.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
/// let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
///
/// // Without the VMA lock, the caller would take the mmap lock.
/// if let Some(vma) = user.current().lock_vma_under_rcu(addr) {
///     assert!(is_shared_file(&vma));
/// }
/// # Ok::<(), Error>(())
/// ```
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
