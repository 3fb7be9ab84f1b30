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
/// Nobody else changes the VMA, but others may still read it under its own lock, so it cannot be
/// written yet. It does not lead to the mm: its lock is held.
///
/// # Invariants
///
/// As [`StableVma`]; and the mmap lock of the mm, of which the VMA is a part, is held for
/// writing by the current thread.
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
    /// # Safety
    ///
    /// During `'a`, the VMA must be a part of an mm whose mmap lock is held for writing by
    /// the current thread.
    #[inline]
    pub(in crate::mm) unsafe fn from_raw<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // SAFETY: The types have the same layout, and the rest is the caller's promise.
        unsafe { &*vma.cast() }
    }

    /// Takes the write lock of the VMA, which ends with the mmap write lock.
    ///
    /// Waits for those who read the VMA under its own lock, page faults among them.
    ///
    /// # Context
    ///
    /// Sleeps. The current thread must not hold a read lock of the VMA: it would wait for itself.
    ///
    /// # Examples
    ///
    /// See [`VmaUnderWrite`].
    #[inline]
    pub fn start_write(&self) -> &VmaWriteRef {
        // SAFETY: By the type invariants, the mmap lock is held for writing.
        unsafe { bindings::vma_start_write(self.as_ptr()) };
        // SAFETY: Just locked, for at least as long as the mmap lock, and so the borrow.
        unsafe { VmaWriteRef::from_raw(self) }
    }

    /// As [`start_write`](Self::start_write), but gives up when the current task is to die.
    ///
    /// # Errors
    ///
    /// [`EINTR`] if a fatal signal has come.
    ///
    /// # Examples
    ///
    /// See [`VmaUnderWrite`].
    #[inline]
    pub fn start_write_killable(&self) -> Result<&VmaWriteRef> {
        // SAFETY: By the type invariants, the mmap lock is held for writing.
        to_result(unsafe { bindings::vma_start_write_killable(self.as_ptr()) })?;
        // SAFETY: Just locked, for at least as long as the mmap lock, and so the borrow.
        Ok(unsafe { VmaWriteRef::from_raw(self) })
    }
}

/// A VMA that can be changed: the mmap lock and the lock of the VMA are held for writing.
///
/// The views are shared, there can be two of one VMA. So what changes the VMA takes `&self`, and
/// nothing that a view gives out by reference can be changed by a view.
///
/// What is not here: the range and the page offset, which need the locks of the reverse mapping too
/// and are changed by the core alone, when it splits, merges or moves; the file and the operations,
/// which are written once; and the name of anonymous memory, for which the kernel has no function
/// that is called with the locks held.
///
/// # Invariants
///
/// As [`VmaUnderWrite`]; and the VMA is write-locked.
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
    /// # Safety
    ///
    /// The VMA must be write-locked.
    #[inline]
    unsafe fn from_raw(vma: &VmaUnderWrite) -> &Self {
        // SAFETY: The types have the same layout, and the rest is the caller's promise.
        unsafe { &*core::ptr::from_ref(vma).cast() }
    }

    /// Sets flags, as `madvise` would on the whole VMA.
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
    /// // One excludes the other.
    /// vma.set_flags(AdviceFlags::RAND_READ);
    /// assert!(!vma.flags().contains(VmaFlag::SEQ_READ));
    ///
    /// // The mapping of a driver stays as the driver wants it.
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

    /// Clears flags, as `madvise` would on the whole VMA.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if whether the VMA is copied and dumped is settled: that is so for a mapping with
    /// [`IO`](VmaFlag::IO), [`DONTEXPAND`](VmaFlag::DONTEXPAND), [`PFNMAP`](VmaFlag::PFNMAP) or
    /// [`MIXEDMAP`](VmaFlag::MIXEDMAP), and for memory that the kernel may drop. Its driver may rely
    /// on it. Nothing is cleared then.
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
        // All flags that there are for this are in the first word.
        let word = |flags: VmaFlags| -> c_ulong { flags.into_raw().__vma_flags[0] };
        // SAFETY: By the type invariants, the VMA is write-locked, so nobody else writes the flags or
        // reads them under a lock that keeps the VMA stable. What is set and cleared is advice, which
        // the kernel takes at any time.
        unsafe {
            bindings::vm_flags_clear(self.as_ptr(), word(clear));
            bindings::vm_flags_set(self.as_ptr(), word(set));
        }
    }

    /// Computes anew from the flags, and from what the driver and those who track writes need, what
    /// pages are mapped with from now on.
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
    // Not exported to modules.
    #[inline(never)]
    pub fn set_page_prot(&self) {
        // SAFETY: By the type invariants, the VMA is write-locked.
        unsafe { bindings::vma_set_page_prot(self.as_ptr()) };
    }
}

/// Flags that can be changed while a mapping exists.
///
/// All are advice, or keep the mapping out of something. The others decide about access, accounting,
/// what the page tables hold, or the place of the VMA in lists of the kernel's.
///
/// # Examples
///
/// See [`VmaWriteRef::set_flags`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AdviceFlags(VmaFlags);

impl AdviceFlags {
    /// A forked child does not get the mapping.
    pub const DONTCOPY: Self = Self::one(VmaFlag::DONTCOPY);
    /// Core dumps leave the mapping out.
    pub const DONTDUMP: Self = Self::one(VmaFlag::DONTDUMP);
    /// Read ahead a lot. Replaces [`RAND_READ`](Self::RAND_READ).
    pub const SEQ_READ: Self = Self::one(VmaFlag::SEQ_READ);
    /// Do not read ahead. Stronger than [`SEQ_READ`](Self::SEQ_READ).
    pub const RAND_READ: Self = Self::one(VmaFlag::RAND_READ);

    const fn one(flag: VmaFlag) -> Self {
        assert!(flag.bit() < c_ulong::BITS as usize);
        Self(VmaFlags::EMPTY.with(flag))
    }

    /// Returns them as plain flags.
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
