// SPDX-License-Identifier: GPL-2.0

//! VMAs that are known to be a driver's own.
//!
//! Putting pages into somebody else's VMA, or taking them out, is how safe code once gained access
//! to foreign memory (CVE-2026-43434). Here, both need a view that proves whose the VMA is: that
//! its table of callbacks is the driver's.

use super::{
    data::{
        is_live,
        VmaData, //
    },
    insert,
    DataRef,
    HasVmOps,
    Mixed,
    Pfn,
    VmOperations, //
};
use crate::{
    bindings,
    mm::{
        flags::VmaFlag,
        lock::StableVmaGuard,
        memory::{
            pfn::Insertion,
            Cache,
            Folio,
            Frames,
            KernelPagesSlice, //
        },
        ops,
        revoke::RevocationGuard,
        vma::{
            evidence::{
                Held,
                Sealed,
                Token, //
            },
            StableVma,
            Traverse,
            VmaUnderMmap,
            VmaUnderVmaLock,
            VmaUnderWrite,
            VmaWriteRef, //
        },
        MmWithUser, //
    },
    page::PAGE_SIZE,
    prelude::*,
    task::might_sleep, //
};
use core::{
    ffi::c_void,
    marker::PhantomData,
    ops::Deref, //
};

/// A VMA of a driver: what callbacks that may neither change it nor sleep are told.
///
/// # Invariants
///
/// - As [`StableVma`].
/// - The VMA has the private data of a mapping with the operations `O`, and it is live.
#[repr(transparent)]
pub struct DriverVmaInfo<O> {
    vma: StableVma,
    _ops: PhantomData<fn(O) -> O>,
}

impl<O> Deref for DriverVmaInfo<O> {
    type Target = StableVma;

    #[inline]
    fn deref(&self) -> &StableVma {
        &self.vma
    }
}

impl<O: VmOperations> DriverVmaInfo<O> {
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
/// As [`DriverVmaInfo`]; and the mmap lock or the VMA lock is held, at least for reading, in a place
/// where sleeping is allowed.
#[repr(transparent)]
pub struct DriverVma<O> {
    vma: DriverVmaInfo<O>,
}

impl<O> Deref for DriverVma<O> {
    type Target = DriverVmaInfo<O>;

    #[inline]
    fn deref(&self) -> &DriverVmaInfo<O> {
        &self.vma
    }
}

impl<O: VmOperations> DriverVma<O> {
    /// # Safety
    ///
    /// As for [`DriverVmaInfo::from_raw`]; and the mmap lock or the VMA lock of the VMA must be held
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

    /// Enters the section that a revocation of the memory waits for.
    #[inline]
    fn enter(&self) -> Result<Option<RevocationGuard<'_>>> {
        // SAFETY: By the type invariants, the VMA is locked. It keeps its file open.
        unsafe { ops::enter::<O>((*self.as_ptr()).vm_file) }
    }

    /// Takes pages out of the mapping. The next access to them is a fault.
    ///
    /// Only out of this mapping: to take memory away from every mapping there is, use
    /// [`AddressSpace::unmap`](crate::mm::rmap::AddressSpace::unmap).
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

impl<O: VmOperations<Memory = Pfn>> DriverVma<O> {
    /// Maps a page frame, with the cache mode of the VMA. What is mapped there already stays.
    ///
    /// In a fault handler, to map what lies around the address of the fault; that itself is
    /// [`Fault::insert_pfn`](crate::mm::ops::Fault::insert_pfn)'s.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `addr` is not that of a page in the VMA, there is no frame with that index, the
    ///   architecture does not allow user space to have it, or it is
    ///   [revocable](crate::mm::revoke::RevocableMemory) and would be out of reach.
    /// - [`ENODEV`] if the memory is [revoked](crate::mm::revoke::Revocation).
    /// - [`ENOMEM`] if there is not enough memory for page tables.
    pub fn insert_pfn(&self, addr: usize, pfns: impl Frames, index: usize) -> Result {
        if !self.contains_pages(addr, PAGE_SIZE) {
            return Err(EINVAL);
        }
        let _guard = self.enter()?;
        might_sleep();
        // SAFETY: The address is that of a page in the VMA.
        unsafe { self.place_pfn(addr, pfns, index, None) }
    }

    /// Maps a page frame, with a cache mode of its own or with that of the VMA. What is mapped there
    /// already stays.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if there is no frame with that index, or as [`insert`] says.
    /// - As [`Frames::enter`].
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
    ) -> Result {
        let (pfns, _section) = pfns.enter(Insertion(()), self.mapping())?;
        if index >= pfns.nr_pages() {
            return Err(EINVAL);
        }
        let pfn = pfns.start_pfn() + index;
        // SAFETY: By the type invariants, a lock that allows installing is held. The caller promises
        // the address, which is in a PFNMAP VMA that is not copy-on-write: `with_ops` has seen to that.
        // User space may have the frame, as the type of `pfns` says, as long as the section lasts.
        unsafe { insert::pfn(self.as_ptr(), addr, pfn, cache, O::HAS_HUGE_FAULT) }
    }
}

impl<O: VmOperations<Memory = Mixed>> DriverVma<O> {
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
    /// - [`ENODEV`] if the memory is [revoked](crate::mm::revoke::Revocation).
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
        let _guard = self.enter()?;
        // SAFETY: By the type invariants, a lock that allows installing is held. The address is in
        // the VMA, which is a MIXEDMAP one; the page is one of a folio that has a reference.
        unsafe { insert::page(self.as_ptr(), addr, page) }
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
    /// use kernel::{mm::{ops::{Mixed, DriverVma, VmOperations}, KernelPages}, prelude::*};
    ///
    /// /// Fills a mapping from its beginning.
    /// fn fill<O>(vma: &DriverVma<O>, pages: &KernelPages) -> Result
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
        let _guard = self.enter()?;
        // SAFETY: By the type invariants, a lock that allows installing is held. The addresses are in
        // the VMA, which is a MIXEDMAP one; the pages have references.
        unsafe { insert::pages(self.as_ptr(), addr, pages) }
    }
}

/// A view of a VMA under the mmap lock or the VMA lock: page tables can be installed, if the VMA is
/// the driver's own.
///
/// Not implemented by what is found through the reverse mapping: it shows a VMA that is being
/// unmapped for a while after its entries were cleared, and an entry that is made then is lost
/// together with the table that it is in.
///
/// # Examples
///
/// ```
/// use kernel::mm::{ops::{HasVmOps, Install, Mixed}, Folio};
///
/// /// Maps the first page of a folio, where the VMA is one of `O`.
/// fn refill<O: HasVmOps<Memory = Mixed>>(vma: &impl Install, folio: &Folio) -> Result {
///     let vma = vma.as_driver_vma::<O>().ok_or(EINVAL)?;
///     vma.insert_page(vma.start(), folio, 0)
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "page tables must not be installed with `{Self}` as the evidence",
    label = "found through the reverse mapping?",
    note = "installing needs the mmap lock or the VMA lock (Documentation/mm/process_addrs.rst)"
)]
pub trait Install: Traverse {
    /// Returns the VMA as one of the driver's own, if that is what it is.
    ///
    /// Where a stacked file system has put a copy of our table into the VMA, it is not recognised.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{ops::{HasVmOps, Install}, vma::VmaUnderMmap};
    ///
    /// /// Zaps the first page of one of our mappings.
    /// fn drop_first<O: HasVmOps>(vma: &VmaUnderMmap) -> Result {
    ///     let vma = vma.as_driver_vma::<O>().ok_or(EINVAL)?;
    ///     vma.zap(vma.start(), kernel::page::PAGE_SIZE)
    /// }
    /// ```
    fn as_driver_vma<O: HasVmOps>(&self) -> Option<&DriverVma<O>> {
        let vma = self.vma(Token(()));
        // SAFETY: By what the supertraits ask for, the VMA is alive, and implementors hold the mmap
        // lock or the VMA lock. The fields are written before the VMA can be found, and when it is closed
        // (`vma_close()`): it is detached then, and whoever had a view of it was waited for. The word is
        // only looked at, not followed.
        let (ops, word) = unsafe { ((*vma).vm_ops, (*vma).vm_private_data) };
        if !core::ptr::eq(ops, O::table().as_ptr()) || !is_live(word) {
            return None;
        }
        // SAFETY: The lock is held for as long as `self` is borrowed; that it is ours was just
        // checked. Views under these locks exist only where sleeping is allowed.
        Some(unsafe { DriverVma::from_raw(vma) })
    }
}

impl Install for VmaUnderMmap {}
impl Install for VmaUnderVmaLock {}
impl Install for VmaUnderWrite {}
impl Install for VmaWriteRef {}
impl Install for StableVmaGuard<'_> {}

/// A VMA of a driver, in a callback that the kernel calls under the mmap lock.
///
/// It is evidence for traversing its page tables: see [`Traverse`].
///
/// # Invariants
///
/// As [`DriverVma`]; and it is the mmap lock that this thread holds, at least for reading.
#[repr(transparent)]
pub struct DriverVmaUnderMmap<O> {
    vma: DriverVma<O>,
}

impl<O> Deref for DriverVmaUnderMmap<O> {
    type Target = DriverVma<O>;

    #[inline]
    fn deref(&self) -> &DriverVma<O> {
        &self.vma
    }
}

impl<O: VmOperations> DriverVmaUnderMmap<O> {
    /// # Safety
    ///
    /// As for [`DriverVma::from_raw`]; and this thread must hold the mmap lock during `'a`.
    #[inline]
    pub(super) unsafe fn from_raw<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // SAFETY: The types have the same layout, and the rest is the caller's promise.
        unsafe { &*vma.cast() }
    }
}

// SAFETY: By the type invariants, this thread holds the mmap lock of a VMA that is alive and stable.
unsafe impl<O> Sealed for DriverVmaUnderMmap<O> {
    #[inline]
    fn vma(&self, _: Token) -> *mut bindings::vm_area_struct {
        self.as_ptr()
    }

    #[inline]
    fn held(&self, _: Token) -> Held {
        Held::Mmap
    }
}

impl<O> Traverse for DriverVmaUnderMmap<O> {}

/// A VMA of the driver's own, and the lock that keeps it.
///
/// The guard is evidence for traversing its page tables: see [`Traverse`].
///
/// # Invariants
///
/// The VMA has the operations `O`, and live data.
#[must_use = "the lock is given up when this is dropped"]
pub struct DriverVmaGuard<'a, O> {
    guard: StableVmaGuard<'a>,
    _ops: PhantomData<fn(O) -> O>,
}

impl<O: VmOperations> Deref for DriverVmaGuard<'_, O> {
    type Target = DriverVma<O>;

    #[inline]
    fn deref(&self) -> &DriverVma<O> {
        // SAFETY: By the type invariants. The guard's lock is held for as long as `self` is borrowed.
        unsafe { DriverVma::from_raw(self.guard.as_ptr()) }
    }
}

// SAFETY: The guard holds the lock.
unsafe impl<O> Sealed for DriverVmaGuard<'_, O> {
    #[inline]
    fn vma(&self, token: Token) -> *mut bindings::vm_area_struct {
        self.guard.vma(token)
    }

    #[inline]
    fn held(&self, token: Token) -> Held {
        self.guard.held(token)
    }
}

impl<O> Traverse for DriverVmaGuard<'_, O> {}

impl MmWithUser {
    /// Finds the VMA at an address, if it is one with the operations `O`, and locks it.
    ///
    /// Locks as [`lock_vma`](Self::lock_vma) does.
    ///
    /// # Context
    ///
    /// Sleeps. No VMA lock and no mmap lock of the mm may be held, so two calls in one expression
    /// deadlock: the result of the first lives until the end of the statement. To ask only, use
    /// [`is_driver_vma_at`](Self::is_driver_vma_at).
    pub fn lock_driver_vma<O: HasVmOps>(&self, addr: usize) -> Option<DriverVmaGuard<'_, O>> {
        let guard = self.lock_vma(addr)?;
        guard.as_driver_vma::<O>()?;
        // INVARIANT: Just seen.
        Some(DriverVmaGuard {
            guard,
            _ops: PhantomData,
        })
    }

    /// Returns whether the VMA at an address is one with the operations `O`, at the moment.
    ///
    /// Holds no lock when it returns, so the answer may be stale already.
    ///
    /// # Context
    ///
    /// As [`lock_driver_vma`](Self::lock_driver_vma).
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{ops::HasVmOps, MmWithUser};
    ///
    /// /// Returns whether both addresses are in mappings of one kind.
    /// fn both<O: HasVmOps>(mm: &MmWithUser, a: usize, b: usize) -> bool {
    ///     mm.is_driver_vma_at::<O>(a) && mm.is_driver_vma_at::<O>(b)
    /// }
    /// ```
    pub fn is_driver_vma_at<O: HasVmOps>(&self, addr: usize) -> bool {
        self.lock_driver_vma::<O>(addr).is_some()
    }
}
