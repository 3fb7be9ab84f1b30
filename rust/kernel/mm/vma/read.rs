// SPDX-License-Identifier: GPL-2.0

//! What can be read of a VMA that some lock keeps stable.

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

/// A VMA whose range, page offset and flags cannot change: some lock keeps it stable, or it is not
/// part of an mm (yet, or any longer).
///
/// Unlike [`VmaRef`] it does not lead to the mm: under a VMA lock, taking the mmap lock can deadlock,
/// and an mm that is torn down cannot be used.
///
/// # Invariants
///
/// As [`VmaRange`]; and also nobody but the holder of the view changes the flags, except for
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

/// Every reader of a [`StableVma`].
///
/// `VmaRef` itself has one of them, which goes first: [`flags`](VmaRef::flags), which returns a
/// word. [`stable`](VmaRef::stable) leads past it.
impl Deref for VmaRef {
    type Target = StableVma;

    #[inline]
    fn deref(&self) -> &StableVma {
        // SAFETY: Both are a `vm_area_struct`. By the type invariants of `VmaRef`, the mmap lock or
        // the VMA lock is held, which keeps the VMA stable.
        unsafe { &*self.as_ptr().cast::<StableVma>() }
    }
}

impl VmaRef {
    /// Returns the view that has all readers and nothing else.
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

/// What is not a number.
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
    /// [`MAYBE_GUARD`](VmaFlag::MAYBE_GUARD) can be set by others meanwhile; the other
    /// flags stay.
    #[inline]
    pub fn flags(&self) -> VmaFlags {
        // SAFETY: By the type invariants, the VMA is alive.
        let flags = unsafe { &raw const (*self.as_ptr()).__bindgen_anon_2.flags.__vma_flags };
        let mut words = bindings::vma_flags_t::default();
        for (i, word) in words.__vma_flags.iter_mut().enumerate() {
            // SAFETY: As above, and the index is that of a word. `MAYBE_GUARD` is set atomically,
            // under a read lock only (`vma_set_atomic_flag`), so this has to be an atomic load.
            let atomic = unsafe { AtomicUsize::from_ptr((&raw const (*flags)[i]).cast_mut()) };
            *word = atomic.load(Ordering::Relaxed);
        }
        VmaFlags::from_raw(words)
    }

    /// May user space read?
    #[inline]
    pub fn readable(&self) -> bool {
        self.flags().readable()
    }

    /// May user space write?
    #[inline]
    pub fn writable(&self) -> bool {
        self.flags().writable()
    }

    /// May user space execute?
    #[inline]
    pub fn executable(&self) -> bool {
        self.flags().executable()
    }

    /// Was it mapped with `MAP_SHARED`?
    #[inline]
    pub fn is_shared(&self) -> bool {
        self.flags().is_shared()
    }

    /// Returns the file that is mapped.
    ///
    /// The reference is that of the VMA, and ends with the borrow; make an
    /// [`ARef`](crate::sync::aref::ARef) to keep the file.
    ///
    /// It is no [`File`](crate::fs::File), because nobody can tell whether some system call on the
    /// file goes without the lock of the file position right now.
    #[inline]
    pub fn file(&self) -> Option<&LocalFile> {
        // SAFETY: By the type invariants, the VMA is alive. The field is not changed after the VMA
        // was made.
        let file = unsafe { (*self.as_ptr()).vm_file };
        // SAFETY: The VMA, or the one that it is being made from, has a reference to its file, and is
        // alive as long as the borrow. Nothing here leads to the file position.
        (!file.is_null()).then(|| unsafe { LocalFile::from_raw_file(file) })
    }

    /// Is it anonymous memory?
    ///
    /// A private mapping of a file is not, even where its pages have become anonymous.
    #[inline]
    pub fn is_anonymous(&self) -> bool {
        // SAFETY: By the type invariants, the VMA is alive, and has its operations.
        unsafe { bindings::vma_is_anonymous(self.as_ptr()) }
    }

    /// Have there been anonymous pages in it?
    ///
    /// It can become true under any lock but the write lock of the VMA.
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
        // SAFETY: A string with its end. The VMA has a reference to it, which it keeps while it is
        // stable; no view of a VMA changes the name.
        (!name.is_null()).then(|| unsafe { CStr::from_char_ptr(name) })
    }

    /// Does it have a NUMA policy of its own (`mbind`)?
    ///
    /// Always false without `CONFIG_NUMA`.
    #[inline]
    pub fn has_policy(&self) -> bool {
        // SAFETY: By the type invariants, the VMA is alive.
        !unsafe { bindings::vma_policy(self.as_ptr()) }.is_null()
    }

    /// Is it registered with a userfaultfd?
    ///
    /// For what is among the [`flags`](Self::flags): [`VmaFlag::UFFD_MISSING`],
    /// [`VmaFlag::UFFD_WP`].
    #[inline]
    pub fn has_userfaultfd(&self) -> bool {
        // SAFETY: By the type invariants, the VMA is alive.
        unsafe { bindings::rust_mm_vma_has_userfaultfd(self.as_ptr()) }
    }

    /// What user space may do with it now.
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

    /// Is it memory of hugetlbfs?
    #[inline]
    pub fn is_hugetlb(&self) -> bool {
        self.flags().contains(VmaFlag::HUGETLB)
    }

    /// Are pages mapped writable right away?
    ///
    /// Not if the VMA is [writable](Self::writable), but the first write to each page is to be seen.
    #[inline]
    pub fn page_prot_writable(&self) -> bool {
        // SAFETY: By the type invariants, the VMA is alive.
        unsafe { bindings::vma_page_prot_writable(self.as_ptr()) }
    }
}
