// SPDX-License-Identifier: GPL-2.0

//! Reading the fields of a VMA that a lock keeps stable.

use super::VmaRange;
use crate::{
    bindings,
    fs::LocalFile,
    mm::{
        flags::{
            Protection,
            VmaFlag,
            VmaFlags, //
        },
        virt::VmaRef, //
    },
    str::{
        CStr,
        CStrExt, //
    }, //
};
use core::{
    ops::Deref,
    sync::atomic::{
        AtomicUsize,
        Ordering, //
    }, //
};

/// A VMA whose range, page offset and flags cannot change.
///
/// Either a lock keeps the VMA stable, or the VMA is not part of an mm, yet or any longer.
///
/// Unlike [`VmaRef`], it gives no access to the mm: taking the mmap lock under a VMA lock can
/// deadlock, and an mm that is being torn down cannot be used.
///
/// # Invariants
///
/// Those of [`VmaRange`]. Only the holder of the view changes the flags, except for
/// [`MAYBE_GUARD`](VmaFlag::MAYBE_GUARD).
#[repr(transparent)]
pub struct StableVma(VmaRange);

impl Deref for StableVma {
    type Target = VmaRange;

    #[inline]
    fn deref(&self) -> &VmaRange {
        &self.0
    }
}

/// Makes the getters of [`StableVma`] available on `VmaRef`.
///
/// `VmaRef` has a [`flags`](VmaRef::flags) of its own, which takes precedence and returns an
/// integer. Use [`stable`](VmaRef::stable) to call that of `StableVma`.
impl Deref for VmaRef {
    type Target = StableVma;

    #[inline]
    fn deref(&self) -> &StableVma {
        // SAFETY: Both types have the layout of a `vm_area_struct`. By the type invariants of
        // `VmaRef`, the mmap lock or the VMA lock is held, which keeps the VMA stable.
        unsafe { &*self.as_ptr().cast::<StableVma>() }
    }
}

impl VmaRef {
    /// Returns the view of this VMA that has all getters, and no other methods.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{flags::VmaFlag, testing::*}, page::PAGE_SIZE};
    ///
    /// let user = UserMm::attach()?;
    /// let file = user.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
    /// let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
    ///
    /// let guard = user.current().mmap_read_lock();
    /// let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    /// assert!(vma.stable().flags().contains(VmaFlag::MIXEDMAP));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn stable(&self) -> &StableVma {
        self
    }
}

/// Getters of the other fields.
///
/// # Examples
///
/// ```
/// use kernel::{mm::testing::*, page::PAGE_SIZE};
///
/// let user = UserMm::attach()?;
/// let file = user.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
/// let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
///
/// let vma = user.current().lock_vma(addr).ok_or(EFAULT)?;
/// assert!(vma.is_shared() && !vma.is_anonymous() && !vma.is_hugetlb());
/// assert!(vma.file().is_some() && vma.anon_name().is_none());
/// assert!(!vma.has_policy() && !vma.has_userfaultfd() && !vma.has_anon_vma());
/// assert!(!vma.page_prot_writable());
/// # Ok::<(), Error>(())
/// ```
impl StableVma {
    /// Returns the flags.
    ///
    /// Another thread may set [`MAYBE_GUARD`](VmaFlag::MAYBE_GUARD) at any time; the other flags do
    /// not change.
    #[inline]
    pub fn flags(&self) -> VmaFlags {
        // SAFETY: By the type invariants, the VMA is alive.
        let flags = unsafe { &raw const (*self.as_ptr()).__bindgen_anon_2.flags.__vma_flags };
        let mut words: bindings::vma_flags_t = pin_init::zeroed();
        for (i, word) in words.__vma_flags.iter_mut().enumerate() {
            // SAFETY: By the type invariants, the VMA is alive, and `i` is the index of a word of
            // its bitmap. `vma_set_atomic_flag` sets `MAYBE_GUARD` atomically, under a read lock,
            // so this must be an atomic load.
            let atomic = unsafe { AtomicUsize::from_ptr((&raw const (*flags)[i]).cast_mut()) };
            *word = atomic.load(Ordering::Relaxed);
        }
        VmaFlags::from_raw(words)
    }

    /// Returns whether user space may read: [`READ`](VmaFlag::READ) is set.
    #[inline]
    pub fn readable(&self) -> bool {
        self.flags().readable()
    }

    /// Returns whether user space may write: [`WRITE`](VmaFlag::WRITE) is set.
    #[inline]
    pub fn writable(&self) -> bool {
        self.flags().writable()
    }

    /// Returns whether user space may execute: [`EXEC`](VmaFlag::EXEC) is set.
    #[inline]
    pub fn executable(&self) -> bool {
        self.flags().executable()
    }

    /// Returns whether user space made the mapping with `MAP_SHARED`.
    #[inline]
    pub fn is_shared(&self) -> bool {
        self.flags().is_shared()
    }

    /// Returns the mapped file, or [`None`] if the VMA has no file.
    ///
    /// The VMA owns the reference. A caller that keeps the file for longer than the borrow makes an
    /// [`ARef`](crate::sync::aref::ARef).
    ///
    /// The result is not a [`File`](crate::fs::File), because a system call that does not take the
    /// lock of the file position may be running on the file, and nothing here can exclude that.
    #[inline]
    pub fn file(&self) -> Option<&LocalFile> {
        // SAFETY: By the type invariants, the VMA is alive. `vm_file` does not change after the VMA
        // was made.
        let file = unsafe { (*self.as_ptr()).vm_file };
        // SAFETY:
        // - The VMA, or the one from which the kernel is making it, holds a reference to the file,
        //   and is alive while `self` is borrowed.
        // - A running `fdget_pos` matters only to the file position, to which a `LocalFile` gives
        //   no access.
        (!file.is_null()).then(|| unsafe { LocalFile::from_raw_file(file) })
    }

    /// Returns whether the VMA is anonymous memory.
    ///
    /// A private mapping of a file is not, even if it contains copy-on-write pages.
    #[inline]
    pub fn is_anonymous(&self) -> bool {
        // SAFETY: By the type invariants, the VMA is alive. Its `vm_ops` have been set.
        unsafe { bindings::vma_is_anonymous(self.as_ptr()) }
    }

    /// Returns whether the VMA contains, or has contained, anonymous pages.
    ///
    /// The result can change from `false` to `true`, unless the VMA is write-locked.
    #[inline]
    pub fn has_anon_vma(&self) -> bool {
        // SAFETY: By the type invariants, the VMA is alive.
        unsafe { bindings::rust_mm_vma_has_anon_vma(self.as_ptr()) }
    }

    /// Returns the name that user space has given to anonymous memory (`PR_SET_VMA_ANON_NAME`).
    ///
    /// Always [`None`] without `CONFIG_ANON_VMA_NAME`.
    #[inline]
    pub fn anon_name(&self) -> Option<&CStr> {
        // SAFETY: By the type invariants, the VMA is alive.
        let name = unsafe { bindings::rust_mm_vma_anon_name(self.as_ptr()) };
        // SAFETY: `name` is a NUL-terminated string. The VMA keeps its reference to it while the
        // VMA is stable, and no view of a VMA changes the name.
        (!name.is_null()).then(|| unsafe { CStr::from_char_ptr(name) })
    }

    /// Returns whether the VMA has a NUMA policy of its own (`mbind`).
    ///
    /// Always `false` without `CONFIG_NUMA`.
    #[inline]
    pub fn has_policy(&self) -> bool {
        // SAFETY: By the type invariants, the VMA is alive.
        !unsafe { bindings::vma_policy(self.as_ptr()) }.is_null()
    }

    /// Returns whether the VMA is registered with a userfaultfd.
    ///
    /// The [`flags`](Self::flags) say for what: [`VmaFlag::UFFD_MISSING`], [`VmaFlag::UFFD_WP`].
    #[inline]
    pub fn has_userfaultfd(&self) -> bool {
        // SAFETY: By the type invariants, the VMA is alive.
        unsafe { bindings::rust_mm_vma_has_userfaultfd(self.as_ptr()) }
    }

    /// Returns the access that user space has at present.
    #[inline]
    pub fn protection(&self) -> Protection {
        let mut prot = Protection::NONE;
        if self.readable() {
            prot = prot | Protection::READ;
        }
        if self.writable() {
            prot = prot | Protection::WRITE;
        }
        if self.executable() {
            prot = prot | Protection::EXEC;
        }
        prot
    }

    /// Returns whether the VMA is hugetlbfs memory.
    #[inline]
    pub fn is_hugetlb(&self) -> bool {
        self.flags().contains(VmaFlag::HUGETLB)
    }

    /// Returns whether the kernel maps pages writable at once.
    ///
    /// For a shared VMA that is [writable](Self::writable), `false` means write-notify: the first
    /// write to each page is a fault.
    #[inline]
    pub fn page_prot_writable(&self) -> bool {
        // SAFETY: By the type invariants, the VMA is alive.
        unsafe { bindings::vma_page_prot_writable(self.as_ptr()) }
    }
}
