// SPDX-License-Identifier: GPL-2.0

//! Views of a VMA that prove that the VMA is the driver's own.
//!
//! A driver needs such a view to insert pages into a VMA, or to zap them. It gets one only if the
//! VMA has its table of callbacks. Without this check, safe code once gained access to memory that
//! was not its own (CVE-2026-43434).

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

/// A view of a driver's VMA that gives its range, flags and data, and can neither change it nor
/// sleep.
///
/// The callbacks [`open`](VmOperations::open), [`close`](VmOperations::close) and
/// [`mprotect`](VmOperations::mprotect) get this view because they must not insert or zap pages,
/// and [`map_pages`](VmOperations::map_pages) because it must not sleep. The other callbacks get a
/// [`DriverVma`].
///
/// # Invariants
///
/// - The invariants of [`StableVma`] hold.
/// - The VMA has been set up with the operations `O`, and its `vm_private_data` is live.
///
/// # Examples
///
/// ```
/// use core::ops::Range;
/// use kernel::mm::{
///     flags::VmaFlags,
///     ops::{DriverVmaInfo, VmOperations}, //
/// };
///
/// /// The `mprotect` of a driver whose first page must remain read-only.
/// fn mprotect<O: VmOperations>(
///     vma: &DriverVmaInfo<O>,
///     range: Range<usize>,
///     flags: VmaFlags,
/// ) -> Result {
///     let first = vma.address_of(0);
///     if flags.writable() && first.is_some_and(|addr| range.contains(&addr)) {
///         return Err(EACCES);
///     }
///     Ok(())
/// }
/// ```
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
    /// `O`, and its `vm_private_data` must be live.
    #[inline]
    pub(super) unsafe fn from_raw<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // SAFETY: The types have the same layout, and by the safety requirements of this function
        // the type invariants hold during `'a`.
        unsafe { &*vma.cast() }
    }

    #[inline]
    fn word(&self) -> *mut c_void {
        // SAFETY: By the type invariants, the VMA is alive. The field is not written while it is
        // live, other than when the VMA is closed, after the last view of it is gone.
        unsafe { (*self.as_ptr()).vm_private_data }
    }

    /// Returns the data of the VMA; with [`PerFile`](ops::PerFile) data, the device.
    #[inline]
    pub fn data(&self) -> DataRef<'_, O> {
        // SAFETY: By the type invariants, the private data is live, and that of a VMA with this
        // kind of data and type of file. The VMA is closed after the last view of it is gone.
        unsafe { O::Data::borrow::<O::File>(self.word()) }
    }
}

/// A view of a driver's VMA under the mmap lock or the VMA lock, which can insert and zap pages.
///
/// The contexts of faults and some other callbacks have it. Elsewhere, a driver gets it with
/// [`MmWithUser::lock_driver_vma`] or [`Install::as_driver_vma`].
///
/// # Invariants
///
/// The invariants of [`DriverVmaInfo`] hold. The mmap lock or the VMA lock is held, at least for
/// reading, and the kernel code that has called the driver is not in an RCU read-side section. A
/// caller that holds a spinlock must not call the methods that sleep.
///
/// # Examples
///
/// ```
/// use kernel::mm::{
///     desc::{Mapping, VmaDesc},
///     ops::{Fault, FaultAnswer, FaultError, Ordinary, PerFile, VmOperations},
///     testing::*,
///     Folio, //
/// };
/// use kernel::{
///     fs::File,
///     miscdevice::{MiscDevice, MiscDeviceRegistration},
///     page::PAGE_SIZE,
///     sync::aref::ARef, //
/// };
///
/// struct Device {
///     page: ARef<Folio>,
/// }
///
/// #[vtable]
/// impl MiscDevice for Device {
///     type Ptr = KBox<Self>;
///
///     fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
///         Err(ENODEV)
///     }
///
///     fn mmap_prepare<'f>(_: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
///         Ok(desc.with_ops::<DeviceOps>()?.on_fault())
///     }
/// }
///
/// struct DeviceOps;
///
/// #[vtable]
/// impl VmOperations for DeviceOps {
///     type File = Device;
///     type Data = PerFile;
///     type Memory = Ordinary;
///
///     fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
///         Ok(vmf.insert_page(&vmf.data().page, 0)?.into())
///     }
/// }
/// kernel::vm_operations!(DeviceOps);
///
/// let page = Folio::alloc(0, GFP_KERNEL)?;
/// let mm = UserMm::attach()?;
/// let file = mm.open::<Device>(KBox::new(Device { page: page.clone() }, GFP_KERNEL)?)?;
/// let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
/// mm.read::<1>(addr)?;
/// // The variable, the device and the mapping have a reference each.
/// assert_eq!(page.ref_count(), 3);
/// {
///     let vma = mm.current().lock_driver_vma::<DeviceOps>(addr).ok_or(ESRCH)?;
///     assert_eq!(vma.zap(addr, 2 * PAGE_SIZE), Err(EINVAL));
///     vma.zap(addr, PAGE_SIZE)?;
/// }
/// assert_eq!(page.ref_count(), 2);
/// // The next access is a fault.
/// mm.read::<1>(addr)?;
/// assert_eq!(page.ref_count(), 3);
/// mm.munmap(addr, PAGE_SIZE)?;
/// # Ok::<(), Error>(())
/// ```
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
    /// The requirements of [`DriverVmaInfo::from_raw`] must be met. The mmap lock or the VMA lock
    /// must be held during `'a`, at least for reading. The kernel code that has called the driver
    /// must not be in an RCU read-side section.
    #[inline]
    pub(super) unsafe fn from_raw<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // SAFETY: The types have the same layout, and by the safety requirements of this function
        // the type invariants hold during `'a`.
        unsafe { &*vma.cast() }
    }

    /// Returns the address space (`f_mapping`) in which the kernel keeps the VMA as a mapping of
    /// its file.
    #[inline]
    pub(super) fn mapping(&self) -> *const bindings::address_space {
        // SAFETY: By the type invariants, the VMA is alive and locked. It keeps its file open.
        unsafe { (*(*self.as_ptr()).vm_file).f_mapping }
    }

    /// Enters the section that a revocation of the memory waits for.
    #[inline]
    fn enter(&self) -> Result<Option<RevocationGuard<'_>>> {
        // SAFETY: By the type invariants, the VMA has the operations `O` and is locked while `self`
        // is borrowed. It keeps its file open.
        unsafe { ops::enter::<O>((*self.as_ptr()).vm_file) }
    }

    /// Zaps pages, so that the next access to them is a fault.
    ///
    /// This affects only this mapping.
    /// [`AddressSpace::unmap`](crate::mm::rmap::AddressSpace::unmap) unmaps pages of the file from
    /// all of its mappings.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if `addr` or `len` is not page-aligned, `len` is 0, or the range extends past the
    /// VMA.
    pub fn zap(&self, addr: usize, len: usize) -> Result {
        if !self.contains_pages(addr, len) {
            return Err(EINVAL);
        }
        might_sleep();
        // SAFETY: By the type invariants, the mmap lock or the VMA lock is held, either of which
        // allows zapping. The range consists of whole pages of the VMA, and a driver's VMA is not
        // hugetlb memory.
        unsafe { bindings::zap_vma_range(self.as_ptr(), addr, len) };
        Ok(())
    }
}

impl<O: VmOperations<Memory = Pfn>> DriverVma<O> {
    /// Maps the PFN with index `index` in `pfns` at `addr`, with the cache mode of the VMA.
    ///
    /// If something is mapped at `addr` already, it remains mapped.
    ///
    /// A fault handler uses this to map PFNs around the address of the fault. The address itself is
    /// for [`Fault::insert_pfn`](crate::mm::ops::Fault::insert_pfn), which returns the answer to
    /// the fault.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `addr` is not the address of a page in the VMA, `pfns` has no such index,
    ///   the architecture does not allow user space to access the PFN, or the PFN is
    ///   [revocable](crate::mm::revoke::RevocableMemory) by a revocation that would not find this
    ///   mapping.
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

    /// Maps consecutive PFNs at consecutive addresses, the first one at `addr`.
    ///
    /// Does for each PFN what [`insert_pfn`](Self::insert_pfn) does, but much faster: it goes to
    /// each page table only once.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// As [`insert_pfn`](Self::insert_pfn), and [`EINVAL`] if `pfns` is empty. The PFNs before the
    /// one that could not be mapped may remain mapped, and the driver can [`zap`](Self::zap) them.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{
    ///     ops::{Fault, FaultAnswer, FaultError, Pfn, VmOperations},
    ///     DeviceMemory, //
    /// };
    ///
    /// /// The `fault` of a driver that maps the memory of a device, all of it at the first access.
    /// fn fault<'a, O>(
    ///     vmf: &'a Fault<O>,
    ///     memory: &DeviceMemory,
    /// ) -> Result<FaultAnswer<'a>, FaultError>
    /// where
    ///     O: VmOperations<Memory = Pfn>,
    /// {
    ///     let answer = vmf.insert_pfn(memory.pfns().all(), vmf.pgoff())?.into();
    ///     let vma = vmf.vma();
    ///     vma.insert_pfns(vma.start(), memory.pfns().slice(vma.pgoff(), vma.nr_pages())?)?;
    ///     Ok(answer)
    /// }
    /// ```
    pub fn insert_pfns(&self, addr: usize, pfns: impl Frames) -> Result {
        let _guard = self.enter()?;
        let ram_mode = pfns.ram_mode();
        let (pfns, _section) = pfns.enter(Insertion(()), self.mapping())?;
        let (pfn, nr_pages) = (pfns.start_pfn(), pfns.nr_pages());
        let len = nr_pages.checked_mul(PAGE_SIZE).ok_or(EINVAL)?;
        if !self.contains_pages(addr, len) {
            return Err(EINVAL);
        }
        might_sleep();
        // SAFETY:
        // - By the type invariants, the mmap lock or the VMA lock is held, either of which allows
        //   installing.
        // - The addresses are those of pages in the VMA. This is a PFNMAP one that is not
        //   copy-on-write: `with_ops` has checked that.
        // - By the type invariants of `pfns`, user space may access the PFNs until `_section` is
        //   dropped.
        unsafe { insert::pfns(self.as_ptr(), addr, pfn, nr_pages, ram_mode) }
    }

    /// Maps a PFN, with the cache mode `cache`, or with that of the VMA if this is [`None`].
    ///
    /// RAM is mapped as it must be. If something is mapped at `addr` already, it remains mapped.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `pfns` has no such index.
    /// - Those of [`Frames::enter`] and of [`insert::pfn`].
    ///
    /// # Safety
    ///
    /// `addr` must be the address of a page in the VMA.
    #[inline]
    pub(super) unsafe fn place_pfn(
        &self,
        addr: usize,
        pfns: impl Frames,
        index: usize,
        cache: Option<Cache>,
    ) -> Result {
        let mode = match (pfns.ram_mode(), cache) {
            (Some(ram), _) => insert::Mode::Ram(ram),
            (None, Some(cache)) => insert::Mode::Cache(cache),
            (None, None) => insert::Mode::Vma,
        };
        let (pfns, _section) = pfns.enter(Insertion(()), self.mapping())?;
        if index >= pfns.nr_pages() {
            return Err(EINVAL);
        }
        let pfn = pfns.start_pfn() + index;
        // SAFETY:
        // - By the type invariants, the mmap lock or the VMA lock is held, either of which allows
        //   installing.
        // - By the safety requirements of this function, `addr` is the address of a page in the
        //   VMA. This is a PFNMAP one that is not copy-on-write: `with_ops` has checked that.
        // - By the type invariants of `pfns`, user space may access the PFN until `_section` is
        //   dropped.
        unsafe { insert::pfn(self.as_ptr(), addr, pfn, mode, O::HAS_HUGE_FAULT) }
    }
}

impl<O: VmOperations<Memory = Mixed>> DriverVma<O> {
    /// Maps the page with index `index` of a folio at `addr`, with the protection of the VMA.
    ///
    /// The mapping takes a reference to the folio.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `addr` is not the address of a page in the VMA, or the folio has no such
    ///   page.
    /// - [`EBUSY`] if something is mapped at `addr`.
    /// - [`ENODEV`] if the memory is [revoked](crate::mm::revoke::Revocation).
    /// - [`ENOMEM`] if there is not enough memory for page tables, or the folio has
    ///   [too many references](Folio#references).
    pub fn insert_page(&self, addr: usize, folio: &Folio, index: usize) -> Result {
        if !self.contains_pages(addr, PAGE_SIZE) {
            return Err(EINVAL);
        }
        // The layer sets the flag when the mapping is made, and nothing clears it. Without it, C
        // would set it, for which the mmap lock must be held for writing.
        if !self.flags().contains(VmaFlag::MIXEDMAP) {
            return Err(EINVAL);
        }
        let page = folio.page(index).ok_or(EINVAL)?;
        folio.mappable_order().ok_or(ENOMEM)?;
        might_sleep();
        let _guard = self.enter()?;
        // SAFETY: By the type invariants, the mmap lock or the VMA lock is held, either of which
        // allows installing. `addr` is the address of a page in the VMA, which is a MIXEDMAP one.
        // `page` is a page of `folio`, which has a reference.
        unsafe { insert::page(self.as_ptr(), addr, page) }
    }

    /// Maps pages at consecutive addresses, the first one at `addr`.
    ///
    /// Does for each page what [`insert_page`](Self::insert_page) does, but faster.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// As [`insert_page`](Self::insert_page). The pages before the one that could not be mapped
    /// remain mapped, and the driver can [`zap`](Self::zap) them.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{ops::{Mixed, DriverVma, VmOperations}, KernelPages}, prelude::*};
    ///
    /// /// Fills a mapping from its start.
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
        // SAFETY: By the type invariants, the mmap lock or the VMA lock is held, either of which
        // allows installing. The addresses are those of pages in the VMA, which is a MIXEDMAP one.
        // The pages have references, which their owner keeps while it is borrowed.
        unsafe { insert::pages(self.as_ptr(), addr, pages) }
    }

    /// Maps the first pages of folios at consecutive addresses, that of the first folio at `addr`.
    ///
    /// Does for each folio what [`insert_page`](Self::insert_page) does with index 0, but faster.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// As [`insert_page`](Self::insert_page), and [`EINVAL`] if `folios` is empty. The pages before
    /// the one that could not be mapped remain mapped, and the driver can [`zap`](Self::zap) them.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{ops::{Mixed, DriverVma, VmOperations}, Folio}, prelude::*};
    ///
    /// /// Maps two pages at the start of a mapping.
    /// fn fill<O>(vma: &DriverVma<O>, header: &Folio, data: &Folio) -> Result
    /// where
    ///     O: VmOperations<Memory = Mixed>,
    /// {
    ///     vma.insert_folios(vma.start(), &[header, data])
    /// }
    /// ```
    pub fn insert_folios(&self, addr: usize, folios: &[&Folio]) -> Result {
        let len = folios.len().checked_mul(PAGE_SIZE).ok_or(EINVAL)?;
        if !self.contains_pages(addr, len) || !self.flags().contains(VmaFlag::MIXEDMAP) {
            return Err(EINVAL);
        }
        might_sleep();
        let _guard = self.enter()?;
        // SAFETY: By the type invariants, the mmap lock or the VMA lock is held, either of which
        // allows installing. The addresses are those of pages in the VMA, which is a MIXEDMAP one.
        unsafe { insert::folios(self.as_ptr(), addr, folios) }
    }
}

/// A view of a VMA under the mmap lock or the VMA lock, with which page tables can be installed if
/// the VMA is the driver's own.
///
/// The views that the reverse mapping gives do not implement it. While a VMA is unmapped, it is in
/// the reverse mapping for some time after its entries were cleared. An entry that was installed
/// then would be lost with its page table.
///
/// # Examples
///
/// ```
/// use kernel::mm::{ops::{HasVmOps, Install, Mixed}, Folio};
///
/// /// Maps the first page of a folio, if the VMA has the operations `O`.
/// fn refill<O: HasVmOps<Memory = Mixed>>(vma: &impl Install, folio: &Folio) -> Result {
///     let vma = vma.as_driver_vma::<O>().ok_or(EINVAL)?;
///     vma.insert_page(vma.start(), folio, 0)
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "page tables must not be installed with `{Self}` as the evidence",
    label = "neither the mmap lock nor the VMA lock keeps this VMA",
    note = "installing needs the mmap lock or the VMA lock (Documentation/mm/process_addrs.rst)"
)]
pub trait Install: Traverse {
    /// Returns the VMA as one of the driver's own, if it has the operations `O`.
    ///
    /// It does not recognise a VMA into which a stacked file system has put a copy of the table.
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
        // SAFETY:
        // - By the safety requirements of `Sealed`, the VMA is alive, and its implementors here
        //   hold the mmap lock or the VMA lock.
        // - No other thread writes the two fields: they are written before the VMA can be found,
        //   under both write locks (`call_vma_mapped()`), and when the VMA is closed
        //   (`vma_close()`), after it was detached and its readers were waited for.
        // - `vm_private_data` is compared and not dereferenced.
        let (ops, word) = unsafe { ((*vma).vm_ops, (*vma).vm_private_data) };
        if !core::ptr::eq(ops, O::table().as_ptr()) || !is_live(word) {
            return None;
        }
        // SAFETY: The lock is held while `self` is borrowed. The VMA has the operations `O`, and
        // its `vm_private_data` is live. A callback that runs in an RCU read-side section gets no
        // view under these locks. If it takes one and sleeps, that is the exception that `mm::lock`
        // names.
        Some(unsafe { DriverVma::from_raw(vma) })
    }
}

impl Install for VmaUnderMmap {}
impl Install for VmaUnderVmaLock {}
impl Install for VmaUnderWrite {}
impl Install for VmaWriteRef {}
impl Install for StableVmaGuard<'_> {}

/// A VMA of a driver in a callback that the kernel calls under the mmap lock.
///
/// The view is evidence for traversing the page tables of the VMA: see [`Traverse`].
///
/// # Invariants
///
/// The invariants of [`DriverVma`] hold, and this thread holds the mmap lock, at least for reading.
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
    /// The requirements of [`DriverVma::from_raw`] must be met, and this thread must hold the mmap
    /// lock during `'a`, at least for reading.
    #[inline]
    pub(super) unsafe fn from_raw<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // SAFETY: The types have the same layout, and by the safety requirements of this function
        // the type invariants hold during `'a`.
        unsafe { &*vma.cast() }
    }
}

// SAFETY: By the type invariants, this thread holds the mmap lock, and the VMA is alive and stable.
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

/// A VMA of the driver's own, and the lock that keeps it stable.
///
/// The guard is evidence for traversing the page tables of the VMA: see [`Traverse`].
///
/// # Invariants
///
/// The VMA has been set up with the operations `O`, and its `vm_private_data` is live.
#[must_use = "the lock is released when this is dropped"]
pub struct DriverVmaGuard<'a, O> {
    guard: StableVmaGuard<'a>,
    _ops: PhantomData<fn(O) -> O>,
}

impl<'a, O: HasVmOps> DriverVmaGuard<'a, O> {
    /// Returns [`None`] if the VMA does not have the operations `O`.
    #[inline]
    fn new(guard: StableVmaGuard<'a>) -> Option<Self> {
        guard.as_driver_vma::<O>()?;
        // INVARIANT: `as_driver_vma` has just checked the operations and the data.
        Some(Self {
            guard,
            _ops: PhantomData,
        })
    }
}

impl<O: VmOperations> Deref for DriverVmaGuard<'_, O> {
    type Target = DriverVma<O>;

    #[inline]
    fn deref(&self) -> &DriverVma<O> {
        // SAFETY: By the type invariants, the VMA has the operations `O` and live data. The guard
        // holds the mmap lock or the VMA lock while `self` is borrowed. The locks themselves allow
        // sleeping.
        unsafe { DriverVma::from_raw(self.guard.as_ptr()) }
    }
}

// SAFETY: `guard` holds the lock that it names, for as long as `self` exists, and returns the VMA
// that this lock keeps.
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
    /// Finds the VMA at `addr` and locks it, if it has the operations `O`.
    ///
    /// It locks the VMA as [`lock_vma`](Self::lock_vma) does.
    ///
    /// # Context
    ///
    /// Sleeps. The caller must hold neither the mmap lock of the mm nor any VMA lock. Two calls in
    /// one expression deadlock, because the guard from the first call lives until the end of the
    /// statement. To test a VMA without using it, call
    /// [`is_driver_vma_at`](Self::is_driver_vma_at).
    pub fn lock_driver_vma<O: HasVmOps>(&self, addr: usize) -> Option<DriverVmaGuard<'_, O>> {
        DriverVmaGuard::new(self.lock_vma(addr)?)
    }

    /// Finds the VMA at `addr` and locks it if that is possible without waiting, if it has the
    /// operations `O`.
    ///
    /// It locks the VMA as [`try_lock_vma`](Self::try_lock_vma) does. A shrinker uses it to zap
    /// pages of the driver's own mapping.
    ///
    /// # Context
    ///
    /// Does not sleep. The caller may hold other locks, also those of this mm and spinlocks: this
    /// does not wait, so it cannot deadlock. A guard that was taken under a spinlock can be used to
    /// [zap](DriverVma::zap) or insert pages after the spinlock was released.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{ops::HasVmOps, Mm, MmWithUser}, page::PAGE_SIZE};
    ///
    /// /// Zaps a page of a driver's mapping, from a shrinker.
    /// fn give_back<O: HasVmOps>(mm: &Mm, addr: usize) -> Result {
    ///     // The last reference to the mm must not be dropped here.
    ///     let mm = MmWithUser::into_mmput_async(mm.mmget_not_zero().ok_or(ESRCH)?);
    ///     let vma = mm.try_lock_driver_vma::<O>(addr).ok_or(EAGAIN)?;
    ///     vma.zap(addr, PAGE_SIZE)
    /// }
    /// ```
    pub fn try_lock_driver_vma<O: HasVmOps>(&self, addr: usize) -> Option<DriverVmaGuard<'_, O>> {
        DriverVmaGuard::new(self.try_lock_vma(addr)?)
    }

    /// Returns whether the VMA at `addr` has the operations `O`.
    ///
    /// No lock is held when this returns, so the result may be stale already.
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
    /// /// Returns whether both addresses are in mappings with the operations `O`.
    /// fn both<O: HasVmOps>(mm: &MmWithUser, a: usize, b: usize) -> bool {
    ///     mm.is_driver_vma_at::<O>(a) && mm.is_driver_vma_at::<O>(b)
    /// }
    /// ```
    pub fn is_driver_vma_at<O: HasVmOps>(&self, addr: usize) -> bool {
        self.lock_driver_vma::<O>(addr).is_some()
    }
}
