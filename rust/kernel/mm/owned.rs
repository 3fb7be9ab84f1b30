// SPDX-License-Identifier: GPL-2.0

//! VMAs that are known to be a driver's own.
//!
//! Putting pages into somebody else's VMA, or taking them out, is how safe code once gained access
//! to foreign memory (CVE-2026-43434). Here, both need a view that proves whose the VMA is: that
//! its table of callbacks is the driver's.

use super::{
    desc::Cache,
    fault::FaultError,
    flags::VmaFlag,
    folio::Folio,
    kernel_pages::KernelPagesSlice,
    ops::{
        self,
        DataRef,
        HasVmOps,
        Mixed,
        Pfn,
        VmOperations,
        VmaData, //
    },
    pfn::{
        Frames,
        Insertion,
        PfnSlice, //
    },
    virt::VmaRef,
    vma::StableVma,
    MmWithUser,
    MmapReadGuard, //
};
use crate::{
    bindings,
    error::to_result,
    page::PAGE_SIZE,
    prelude::*,
    task::might_sleep,
    types::NotThreadSafe, //
};
use core::{
    ffi::c_void,
    marker::PhantomData,
    ops::Deref,
    ptr::NonNull, //
};

#[cfg(CONFIG_PER_VMA_LOCK)]
use super::VmaReadGuard;

/// A VMA of a driver: what callbacks that may neither change it nor sleep are told.
///
/// # Invariants
///
/// - As [`StableVma`].
/// - The VMA has the private data of a mapping with the operations `O`, and it is live.
#[repr(transparent)]
pub struct DriverVma<O> {
    vma: StableVma,
    _ops: PhantomData<fn(O) -> O>,
}

impl<O> Deref for DriverVma<O> {
    type Target = StableVma;

    #[inline]
    fn deref(&self) -> &StableVma {
        &self.vma
    }
}

impl<O: VmOperations> DriverVma<O> {
    /// # Safety
    ///
    /// During `'a`, the VMA must be alive and stable, must have been set up with the operations
    /// `O`, and its private data must be live.
    #[inline]
    pub(super) unsafe fn from_raw<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // SAFETY: The types have the same layout, and the rest is the caller's promise.
        unsafe { &*vma.cast() }
    }

    #[inline]
    fn word(&self) -> *mut c_void {
        // SAFETY: By the type invariants, the VMA is alive, and its data live, which it stays until
        // the VMA is closed.
        unsafe { (*self.as_ptr()).vm_private_data }
    }

    /// Returns the data of the VMA; with [`PerFile`](ops::PerFile), the device.
    #[inline]
    pub fn data(&self) -> DataRef<'_, O> {
        // SAFETY: By the type invariants, the word is live and of this kind. The VMA is closed after
        // the last reference to it is gone.
        unsafe { O::Data::borrow::<O::File>(self.word()) }
    }
}

/// A VMA of a driver, of which it may change what is mapped.
///
/// # Invariants
///
/// As [`DriverVma`]; and the mmap lock or the VMA lock is held, at least for reading, in a place
/// where sleeping is allowed.
#[repr(transparent)]
pub struct OwnedVma<O> {
    vma: DriverVma<O>,
}

impl<O> Deref for OwnedVma<O> {
    type Target = DriverVma<O>;

    #[inline]
    fn deref(&self) -> &DriverVma<O> {
        &self.vma
    }
}

impl<O: VmOperations> OwnedVma<O> {
    /// # Safety
    ///
    /// As for [`DriverVma::from_raw`]; and the mmap lock or the VMA lock of the VMA must be held
    /// during `'a`, in a place where sleeping is allowed.
    #[inline]
    pub(super) unsafe fn from_raw<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // SAFETY: The types have the same layout, and the rest is the caller's promise.
        unsafe { &*vma.cast() }
    }

    /// Returns the address space with which the VMA is found as a mapping of its file.
    #[inline]
    pub(super) fn mapping(&self) -> *const bindings::address_space {
        // SAFETY: By the type invariants, the VMA is locked. It has a file, which it keeps open.
        unsafe { (*(*self.as_ptr()).vm_file).f_mapping }
    }

    /// Takes pages out of the mapping. The next access to them is a fault.
    ///
    /// Only out of this mapping: to take memory away from every mapping there is, use
    /// [`AddressSpace::unmap`](super::rmap::AddressSpace::unmap).
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is not whole pages, or none, or not all in the VMA.
    pub fn zap(&self, addr: usize, len: usize) -> Result {
        if !self.contains_pages(addr, len) {
            return Err(EINVAL);
        }
        might_sleep();
        // SAFETY: By the type invariants, a lock that allows zapping is held. The range consists of
        // whole pages of the VMA, and a driver's VMA is not hugetlb memory.
        unsafe { bindings::zap_vma_range(self.as_ptr(), addr, len) };
        Ok(())
    }
}

impl<O: VmOperations<Memory = Pfn>> OwnedVma<O> {
    /// Lets somebody else access device memory, for
    /// [`VmOperations::access`](super::ops::VmOperations::access).
    ///
    /// Accesses at most what is left of one page, through what is mapped there. The page has to be
    /// mapped: memory that comes by faults can be accessed only where it has been accessed before.
    ///
    /// # Context
    ///
    /// Sleeps. The mmap lock of the address space must be held, not only the VMA lock, as it is in
    /// that callback.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `addr` is not in the VMA, nothing is mapped there, or what is mapped must not
    ///   be written; also if it is another VMA than the one that the callback is for.
    /// - [`ENOMEM`] if there is not enough memory.
    #[cfg(CONFIG_HAVE_IOREMAP_PROT)]
    pub fn access_phys(&self, addr: usize, access: ops::Access<'_>) -> Result<usize> {
        if self.pgoff_at(addr).is_none() {
            return Err(EINVAL);
        }
        let room = (PAGE_SIZE - (addr & (PAGE_SIZE - 1))).min(access.len());
        let (buf, write, accessed) = match access {
            ops::Access::Read(buf, accessed) => (buf.as_mut_ptr(), 0, accessed),
            // C only reads it then.
            ops::Access::Write(buf, accessed) => (buf.as_ptr().cast_mut(), 1, accessed),
        };
        if !core::ptr::eq(accessed.0, self.as_ptr()) {
            return Err(EINVAL);
        }
        let room = c_int::try_from(room)?;
        // SAFETY: This is the VMA that the callback is for, so the mmap lock is held, on this thread, for
        // as long as there is the `Access`; `buf` is valid for `room` bytes.
        let done =
            unsafe { bindings::generic_access_phys(self.as_ptr(), addr, buf.cast(), room, write) };
        usize::try_from(done).map_err(|_| Error::from_errno(done))
    }

    /// Maps a page frame, with the cache mode of the VMA. What is mapped there already stays.
    ///
    /// In a fault handler, to map what lies around the address of the fault; that itself is
    /// [`Fault::insert_pfn`](super::fault::Fault::insert_pfn)'s.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `addr` is not that of a page in the VMA, there is no frame with that index, the
    ///   architecture does not allow user space to have it, or it is
    ///   [revocable](super::RevocableMemory) and would be out of reach.
    /// - [`ENODEV`] if the memory is [revoked](super::rmap::Revocation).
    /// - [`ENOMEM`] if there is not enough memory for page tables.
    pub fn insert_pfn(&self, addr: usize, pfns: impl Frames, index: usize) -> Result {
        if !self.contains_pages(addr, PAGE_SIZE) {
            return Err(EINVAL);
        }
        let data = self.data();
        let _guard = ops::enter::<O>(&data)?;
        might_sleep();
        // SAFETY: The address is that of a page in the VMA.
        match unsafe { self.place_pfn(addr, pfns, index, None) }? {
            Ok(()) => Ok(()),
            Err(FaultError::Oom) => Err(ENOMEM),
            Err(_) => Err(EINVAL),
        }
    }

    /// Maps a page frame, with a cache mode of its own or with that of the VMA. What is mapped there
    /// already stays.
    ///
    /// # Errors
    ///
    /// Inside:
    ///
    /// - [`FaultError::SigBus`] if there is no frame with that index, or the architecture does not
    ///   allow user space to have it.
    /// - [`FaultError::Oom`] if there is not enough memory for page tables.
    ///
    /// Outside: as [`Frames::insert`].
    ///
    /// # Safety
    ///
    /// `addr` must be that of a page in the VMA.
    #[inline]
    pub(super) unsafe fn place_pfn(
        &self,
        addr: usize,
        pfns: impl Frames,
        index: usize,
        cache: Option<Cache>,
    ) -> Result<Result<(), FaultError>> {
        let place = |pfns: PfnSlice<'_>| {
            if index >= pfns.nr_pages() {
                return Err(FaultError::SigBus);
            }
            // SAFETY: By the type invariants, a lock is held. The address is in the VMA, which is a
            // PFNMAP one.
            if O::HAS_HUGE_FAULT && unsafe { is_huge(self.as_ptr(), addr) }? {
                return Ok(());
            }
            let prot = match cache {
                // SAFETY: By the type invariants, the VMA is locked, so its protection does not change.
                None => unsafe { (*self.as_ptr()).vm_page_prot },
                Some(cache) => {
                    // SAFETY: As above, nor do its flags.
                    cache.apply(unsafe { bindings::vma_cached_page_prot(self.as_ptr()) })
                }
            };
            // SAFETY: By the type invariants, a lock that allows installing is held; there is no huge
            // entry. The address is in the VMA, which is a PFNMAP one that is not copy-on-write:
            // `with_ops` has seen to that. User space may have the frame, as the type of `pfns` says,
            // and the protection is the VMA's, but for the cache mode.
            FaultError::check(unsafe {
                bindings::vmf_insert_pfn_prot(self.as_ptr(), addr, pfns.start() + index, prot)
            })
        };
        pfns.insert(Insertion(()), self.mapping(), place)
    }
}

impl<O: VmOperations<Memory = Mixed>> OwnedVma<O> {
    /// Maps a page of a folio, read-write if the VMA is. The mapping takes a reference.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `addr` is not that of a page in the VMA, or the folio has no such page.
    /// - [`EBUSY`] if something is mapped there.
    /// - [`ENODEV`] if the memory is [revoked](super::rmap::Revocation).
    /// - [`ENOMEM`] if there is not enough memory for page tables, or the folio has
    ///   [too many references](Folio#references).
    pub fn insert_page(&self, addr: usize, folio: &Folio, index: usize) -> Result {
        if !self.contains_pages(addr, PAGE_SIZE) {
            return Err(EINVAL);
        }
        // Set with the operations, and never cleared. The kernel would set it otherwise, which takes
        // the write lock.
        if !self.flags().contains(VmaFlag::MIXEDMAP) {
            return Err(EINVAL);
        }
        let page = folio.page(index).ok_or(EINVAL)?;
        folio.mappable_order().ok_or(ENOMEM)?;
        might_sleep();
        let data = self.data();
        let _guard = ops::enter::<O>(&data)?;
        // SAFETY: By the type invariants, a lock that allows installing is held. The address is in
        // the VMA, which is a MIXEDMAP one; the page is one of a folio that has a reference.
        to_result(unsafe { bindings::vm_insert_page(self.as_ptr(), addr, page.as_ptr()) })
    }

    /// Maps pages, at consecutive addresses from `addr` on, as [`insert_page`](Self::insert_page) does
    /// one. Quicker than one by one.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// As [`insert_page`](Self::insert_page). Those before the one that could not be mapped stay: see
    /// [`zap`](Self::zap).
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{ops::{Mixed, VmOperations}, owned::OwnedVma, KernelPages}, prelude::*};
    ///
    /// /// Fills a mapping from its beginning.
    /// fn fill<O>(vma: &OwnedVma<O>, pages: &KernelPages) -> Result
    /// where
    ///     O: VmOperations<Memory = Mixed>,
    /// {
    ///     vma.insert_pages(vma.start(), pages.slice(0, pages.nr_pages())?)
    /// }
    /// ```
    pub fn insert_pages(&self, addr: usize, pages: KernelPagesSlice<'_>) -> Result {
        let len = pages.nr_pages().checked_mul(PAGE_SIZE).ok_or(EINVAL)?;
        if !self.contains_pages(addr, len) || !self.flags().contains(VmaFlag::MIXEDMAP) {
            return Err(EINVAL);
        }
        pages.check_mappable()?;
        might_sleep();
        let data = self.data();
        let _guard = ops::enter::<O>(&data)?;
        // C counts down how many there are left.
        let mut left = pages.nr_pages();
        // SAFETY: By the type invariants, a lock that allows installing is held. The addresses are in
        // the VMA, which is a MIXEDMAP one; the pages have references.
        let result = to_result(unsafe {
            bindings::vm_insert_pages(self.as_ptr(), addr, pages.as_page_array(), &mut left)
        });
        // The addresses are right, so what C could not have is a page table (`insert_pages()`).
        result.map_err(|err| if err == EFAULT { ENOMEM } else { err })
    }
}

/// Sees to it that there is a page table for an address, and says if there cannot be one, because a
/// huge entry maps it.
///
/// Not inlined: modules cannot call what this calls.
///
/// # Safety
///
/// The VMA lock or the mmap lock must be held, and the address be in the VMA, which must be a PFNMAP
/// one.
#[inline(never)]
unsafe fn is_huge(vma: *mut bindings::vm_area_struct, addr: usize) -> Result<bool, FaultError> {
    // SAFETY: The caller's promise.
    match unsafe { bindings::vma_alloc_pte_table(vma, addr) } {
        0 => Ok(false),
        err if err == EEXIST.to_errno() => Ok(true),
        _ => Err(FaultError::Oom),
    }
}

/// Finds out whether a VMA was set up with the operations `O`, and has its data.
///
/// # Safety
///
/// The VMA must be alive, and the mmap lock or the VMA lock be held at least for reading.
pub(super) unsafe fn is_owned<O: HasVmOps>(vma: *const bindings::vm_area_struct) -> bool {
    // SAFETY: The fields are written when the VMA is made and when it is closed (`vma_close()`), and
    // then nobody else can have either lock. The word is only looked at, not followed.
    let (ops, word) = unsafe { ((*vma).vm_ops, (*vma).vm_private_data) };
    core::ptr::eq(ops, O::table().as_ptr()) && ops::is_live(word)
}

impl VmaRef {
    /// Returns the VMA as one of the driver's own, if that is what it is.
    ///
    /// Where a stacked file system has put a copy of our table into the VMA, it is not recognised.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{ops::HasVmOps, virt::VmaRef};
    ///
    /// /// Takes the first page out of one of our mappings.
    /// fn drop_first<O: HasVmOps>(vma: &VmaRef) -> Result {
    ///     let vma = vma.as_owned::<O>().ok_or(EINVAL)?;
    ///     vma.zap(vma.start(), kernel::page::PAGE_SIZE)
    /// }
    /// ```
    pub fn as_owned<O: HasVmOps>(&self) -> Option<&OwnedVma<O>> {
        // SAFETY: By the type invariants of `VmaRef`, the VMA is alive, and a lock is held.
        if !unsafe { is_owned::<O>(self.as_ptr()) } {
            return None;
        }
        // SAFETY: As above, for as long as `self` is borrowed; that it is ours was just checked. A
        // `VmaRef` exists only where sleeping is allowed: its own methods sleep.
        Some(unsafe { OwnedVma::from_raw(self.as_ptr()) })
    }
}

/// The lock under which an [`OwnedVmaGuard`] has found its VMA.
enum Lock<'a> {
    #[cfg(CONFIG_PER_VMA_LOCK)]
    Vma(#[allow(dead_code)] VmaReadGuard<'a>),
    Mmap(#[allow(dead_code)] MmapReadGuard<'a>),
}

/// A VMA of the driver's own, and the lock that keeps it.
///
/// # Invariants
///
/// `vma` is a VMA of the operations `O`, which `_lock` keeps stable.
#[must_use = "the lock is given up when this is dropped"]
pub struct OwnedVmaGuard<'a, O> {
    vma: NonNull<bindings::vm_area_struct>,
    _lock: Lock<'a>,
    _ops: PhantomData<fn(O) -> O>,
    _not_send: NotThreadSafe,
}

impl<O: VmOperations> Deref for OwnedVmaGuard<'_, O> {
    type Target = OwnedVma<O>;

    #[inline]
    fn deref(&self) -> &OwnedVma<O> {
        // SAFETY: By the type invariants.
        unsafe { OwnedVma::from_raw(self.vma.as_ptr()) }
    }
}

impl MmWithUser {
    /// Finds the VMA at an address, if it is one with the operations `O`, and locks it.
    ///
    /// Takes the VMA lock if that is free, and the mmap lock for reading otherwise.
    ///
    /// # Context
    ///
    /// Sleeps. No VMA lock and no mmap lock of the address space may be held, so two calls in one expression
    /// deadlock: the result of the first lives until the end of the statement. To ask only, use
    /// [`is_owned_at`](Self::is_owned_at).
    pub fn lock_owned_vma<O: HasVmOps>(&self, addr: usize) -> Option<OwnedVmaGuard<'_, O>> {
        #[cfg(CONFIG_PER_VMA_LOCK)]
        if let Some(guard) = self.lock_vma_under_rcu(addr) {
            let vma = guard.as_owned::<O>()?.as_ptr();
            // INVARIANT: Just found, under the lock that goes with it.
            return Some(OwnedVmaGuard {
                vma: NonNull::new(vma)?,
                _lock: Lock::Vma(guard),
                _ops: PhantomData,
                _not_send: NotThreadSafe,
            });
        }

        let guard = self.mmap_read_lock();
        let vma = guard.vma_lookup(addr)?.as_owned::<O>()?.as_ptr();
        // INVARIANT: Just found, under the lock that goes with it.
        Some(OwnedVmaGuard {
            vma: NonNull::new(vma)?,
            _lock: Lock::Mmap(guard),
            _ops: PhantomData,
            _not_send: NotThreadSafe,
        })
    }

    /// Returns whether the VMA at an address is one with the operations `O`, at the moment.
    ///
    /// Holds no lock when it returns, so the answer may be stale already.
    ///
    /// # Context
    ///
    /// As [`lock_owned_vma`](Self::lock_owned_vma).
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{ops::HasVmOps, MmWithUser};
    ///
    /// /// Returns whether both addresses are in mappings of one kind.
    /// fn both<O: HasVmOps>(mm: &MmWithUser, a: usize, b: usize) -> bool {
    ///     mm.is_owned_at::<O>(a) && mm.is_owned_at::<O>(b)
    /// }
    /// ```
    pub fn is_owned_at<O: HasVmOps>(&self, addr: usize) -> bool {
        self.lock_owned_vma::<O>(addr).is_some()
    }
}
