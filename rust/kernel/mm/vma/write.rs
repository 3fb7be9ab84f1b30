// SPDX-License-Identifier: GPL-2.0

//! Views of a VMA under the mmap write lock.

use super::StableVma;
use crate::{
    bindings,
    error::to_result,
    ffi::c_ulong,
    mm::flags::{
        VmaFlag,
        VmaFlags, //
    },
    prelude::*, //
};
use core::ops::{
    BitOr,
    Deref, //
};

/// A VMA of an mm whose mmap lock is held for writing.
///
/// No other thread changes the VMA, but other threads may still read it under its VMA lock. So a
/// caller that writes to it takes the VMA lock, too: [`start_write`](Self::start_write). The view
/// gives no access to the mm, whose lock is held.
///
/// # Invariants
///
/// Those of [`StableVma`]. The VMA is part of an mm, and the current thread holds the mmap lock of
/// that mm for writing.
///
/// # Examples
///
/// ```
/// use kernel::{mm::{testing::*, vma::AdviceFlags, flags::VmaFlag}, page::PAGE_SIZE};
///
/// let user = UserMm::attach()?;
/// let file = user.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
/// let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
///
/// let guard = user.current().mmap_write_lock();
/// let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
/// assert_eq!(vma.start(), addr);
/// vma.start_write_killable()?.set_flags(AdviceFlags::RAND_READ);
/// assert!(vma.flags().contains(VmaFlag::RAND_READ));
/// # Ok::<(), Error>(())
/// ```
#[repr(transparent)]
pub struct VmaUnderWrite(StableVma);

impl Deref for VmaUnderWrite {
    type Target = StableVma;

    #[inline]
    fn deref(&self) -> &StableVma {
        &self.0
    }
}

impl VmaUnderWrite {
    /// Returns the VMA that a pointer from C points to.
    ///
    /// # Safety
    ///
    /// During `'a`, the VMA must be a part of an mm whose mmap lock the current thread holds for
    /// writing.
    #[inline]
    pub(in crate::mm) unsafe fn from_raw<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // SAFETY: The types have the same layout. By the safety requirements of this function, the
        // current thread holds the mmap lock for writing during `'a`.
        unsafe { &*vma.cast() }
    }

    /// Takes the write lock of the VMA, which is held until the mmap write lock is released or
    /// downgraded.
    ///
    /// Waits for the threads that hold the read lock of the VMA, for example to handle a page
    /// fault.
    ///
    /// # Context
    ///
    /// Sleeps. The current thread must not hold the read lock of the VMA: it would wait for itself.
    ///
    /// # Examples
    ///
    /// See [`VmaUnderWrite`].
    #[inline]
    pub fn start_write(&self) -> &VmaWriteRef {
        // SAFETY: By the type invariants, the mmap lock is held for writing.
        unsafe { bindings::vma_start_write(self.as_ptr()) };
        // SAFETY: The VMA was just write-locked, and remains so while the mmap lock is held, and so
        // while `self` is borrowed.
        unsafe { VmaWriteRef::from_raw(self) }
    }

    /// Takes the write lock of the VMA as [`start_write`](Self::start_write), but fails if a fatal
    /// signal is pending.
    ///
    /// # Context
    ///
    /// As [`start_write`](Self::start_write).
    ///
    /// # Errors
    ///
    /// [`EINTR`] if a fatal signal is pending while the function waits.
    ///
    /// # Examples
    ///
    /// See [`VmaUnderWrite`].
    #[inline]
    pub fn start_write_killable(&self) -> Result<&VmaWriteRef> {
        // SAFETY: By the type invariants, the mmap lock is held for writing.
        to_result(unsafe { bindings::vma_start_write_killable(self.as_ptr()) })?;
        // SAFETY: The VMA was just write-locked, and remains so while the mmap lock is held, and so
        // while `self` is borrowed.
        Ok(unsafe { VmaWriteRef::from_raw(self) })
    }
}

/// A VMA that can be changed, because the mmap lock and the VMA lock are held for writing.
///
/// There can be two views of one VMA. So the setters take `&self`, and no setter changes a field
/// that a view gives out by reference.
///
/// There are no setters for:
///
/// - the range and the page offset: only mm core changes them, when it splits, merges or moves a
///   VMA, and it also takes the locks of the reverse mapping;
/// - the file and the operations, which are written once;
/// - the name of anonymous memory: the kernel has no function for this that is called with the
///   locks held.
///
/// # Invariants
///
/// Those of [`VmaUnderWrite`]. The VMA is write-locked.
///
/// # Examples
///
/// See [`set_flags`](Self::set_flags).
#[repr(transparent)]
pub struct VmaWriteRef(VmaUnderWrite);

impl Deref for VmaWriteRef {
    type Target = VmaUnderWrite;

    #[inline]
    fn deref(&self) -> &VmaUnderWrite {
        &self.0
    }
}

impl VmaWriteRef {
    /// Returns a VMA as one that is write-locked.
    ///
    /// # Safety
    ///
    /// The VMA must be write-locked for as long as `vma` is borrowed.
    #[inline]
    unsafe fn from_raw(vma: &VmaUnderWrite) -> &Self {
        // SAFETY: The types have the same layout. By the safety requirements of this function, the
        // VMA is write-locked while it is borrowed.
        unsafe { &*core::ptr::from_ref(vma).cast() }
    }

    /// Sets flags, as `madvise` does for a whole VMA.
    ///
    /// Setting one of [`RAND_READ`](AdviceFlags::RAND_READ) and
    /// [`SEQ_READ`](AdviceFlags::SEQ_READ) clears the other.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{testing::*, vma::AdviceFlags, flags::VmaFlag}, page::PAGE_SIZE};
    ///
    /// let user = UserMm::attach()?;
    /// let file = user.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
    /// let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
    ///
    /// let guard = user.current().mmap_write_lock();
    /// let vma = guard.vma_lookup(addr).ok_or(EFAULT)?.start_write();
    /// vma.set_flags(AdviceFlags::SEQ_READ | AdviceFlags::DONTCOPY);
    /// assert!(vma.flags().contains(VmaFlag::SEQ_READ));
    ///
    /// // The two exclude each other.
    /// vma.set_flags(AdviceFlags::RAND_READ);
    /// assert!(!vma.flags().contains(VmaFlag::SEQ_READ));
    ///
    /// // The driver may rely on `DONTCOPY`.
    /// vma.clear_flags(AdviceFlags::RAND_READ)?;
    /// assert_eq!(vma.clear_flags(AdviceFlags::DONTCOPY), Err(EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn set_flags(&self, flags: AdviceFlags) {
        let mut clear = VmaFlags::EMPTY;
        if flags.0.contains(VmaFlag::RAND_READ) {
            clear = clear.with(VmaFlag::SEQ_READ);
        } else if flags.0.contains(VmaFlag::SEQ_READ) {
            clear = clear.with(VmaFlag::RAND_READ);
        }
        self.modify(flags.0.difference(clear), clear);
    }

    /// Clears flags, as `madvise` does for a whole VMA.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if `flags` has [`DONTCOPY`](AdviceFlags::DONTCOPY) or
    /// [`DONTDUMP`](AdviceFlags::DONTDUMP), and the VMA has [`IO`](VmaFlag::IO),
    /// [`DONTEXPAND`](VmaFlag::DONTEXPAND), [`PFNMAP`](VmaFlag::PFNMAP) or
    /// [`MIXEDMAP`](VmaFlag::MIXEDMAP), or is memory that the kernel may drop: the driver of such a
    /// mapping may rely on these flags. No flag is cleared in that case.
    ///
    /// # Examples
    ///
    /// See [`set_flags`](Self::set_flags).
    pub fn clear_flags(&self, flags: AdviceFlags) -> Result {
        let settled = VmaFlags::new([VmaFlag::DONTCOPY, VmaFlag::DONTDUMP]);
        // SAFETY: By the type invariants, the VMA is alive.
        let is_final = unsafe { bindings::rust_mm_vma_advice_is_final(self.as_ptr()) };
        if flags.0.intersects(settled) && is_final {
            return Err(EINVAL);
        }
        self.modify(VmaFlags::EMPTY, flags.0);
        Ok(())
    }

    fn modify(&self, set: VmaFlags, clear: VmaFlags) {
        // All `AdviceFlags` are in the first word: `AdviceFlags::one` asserts that.
        let word = |flags: VmaFlags| -> c_ulong { flags.into_raw().__vma_flags[0] };
        // SAFETY: By the type invariants, the VMA is write-locked, so no other thread writes the
        // flags, or reads them under a lock that keeps the VMA stable. The flags are advice, which
        // may change at any time.
        unsafe {
            bindings::vm_flags_clear(self.as_ptr(), word(clear));
            bindings::vm_flags_set(self.as_ptr(), word(set));
        }
    }

    /// Recomputes the protection with which the kernel maps pages from now on.
    ///
    /// The protection follows from the flags, and from whether the driver or another user of
    /// write-notify needs the first write to each page to fault.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::testing::*, page::PAGE_SIZE};
    ///
    /// let user = UserMm::attach()?;
    /// let file = user.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
    /// let addr = file.mmap(PAGE_SIZE, READ | WRITE, SHARED, 0)?;
    ///
    /// let guard = user.current().mmap_write_lock();
    /// let vma = guard.vma_lookup(addr).ok_or(EFAULT)?.start_write();
    /// vma.set_page_prot();
    /// assert!(vma.page_prot_writable());
    /// # Ok::<(), Error>(())
    /// ```
    // Not inlined: `vma_set_page_prot` is not exported to modules.
    #[inline(never)]
    pub fn set_page_prot(&self) {
        // SAFETY: By the type invariants, the VMA is write-locked.
        unsafe { bindings::vma_set_page_prot(self.as_ptr()) };
    }
}

/// Flags that can be changed while a mapping exists.
///
/// Each of them is advice, or keeps the mapping out of forks or core dumps. The other flags decide
/// about access, accounting, the contents of the page tables, or the place of the VMA in lists of
/// the kernel.
///
/// # Examples
///
/// See [`VmaWriteRef::set_flags`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AdviceFlags(VmaFlags);

impl AdviceFlags {
    /// A forked child does not inherit the mapping.
    pub const DONTCOPY: Self = Self::one(VmaFlag::DONTCOPY);
    /// Core dumps leave the mapping out.
    pub const DONTDUMP: Self = Self::one(VmaFlag::DONTDUMP);
    /// Advice to read ahead aggressively.
    ///
    /// Replaces a [`RAND_READ`](Self::RAND_READ) that is already set.
    pub const SEQ_READ: Self = Self::one(VmaFlag::SEQ_READ);
    /// Advice not to read ahead.
    ///
    /// Takes precedence over [`SEQ_READ`](Self::SEQ_READ).
    pub const RAND_READ: Self = Self::one(VmaFlag::RAND_READ);

    const fn one(flag: VmaFlag) -> Self {
        assert!(flag.bit() < c_ulong::BITS as usize);
        Self(VmaFlags::EMPTY.with(flag))
    }

    /// Returns the flags as a [`VmaFlags`] bitmap.
    #[inline]
    pub const fn flags(self) -> VmaFlags {
        self.0
    }
}

impl BitOr for AdviceFlags {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0.union(other.0))
    }
}
