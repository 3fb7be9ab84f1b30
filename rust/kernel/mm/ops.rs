// SPDX-License-Identifier: GPL-2.0

//! The callbacks of a VMA.
//!
//! A driver implements [`VmOperations`], makes a table of callbacks from it with
//! [`vm_operations!`](crate::vm_operations), and gives the table to a mapping with
//! [`VmaDesc::with_ops`](super::desc::VmaDesc::with_ops).
//!
//! Each callback borrows a context, which offers what is allowed under the locks that the kernel
//! holds, and returns an answer of its own type. `Documentation/mm/rust-mmap/vm-operations.rst`
//! lists who calls each callback, and under which locks.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use crate::{
    bindings,
    error::VTABLE_DEFAULT_ERROR,
    mm::{
        file::MapFile,
        flags::{
            VmaFlag,
            VmaFlags, //
        },
        revoke::{
            self,
            RevocationGuard, //
        }, //
    },
    prelude::*,
    types::ForeignOwnable, //
};
use core::ops::Range;

mod access;
mod data;
mod desc;
mod fault;
mod insert;
mod pieces;
mod table;
mod trampoline;
mod vma;

pub use access::Access;
pub use data::{
    DupForeign,
    PerFile,
    PerVma,
    PerVmaUnique,
    VmaData, //
};
pub use desc::OpsDesc;
pub use fault::{
    CowPage,
    Fault,
    FaultAnswer,
    FaultAround,
    FaultError,
    HugeAnswer,
    HugeFault,
    HugeOrder,
    Inserted,
    LockedFaultFolio,
    MkwriteAnswer,
    MkwriteFault,
    PfnMkwriteFault,
    RetryPermit, //
};
pub use pieces::{
    FrameSource,
    PageSource,
    PieceSource,
    Pieces, //
};
#[doc(hidden)]
pub use table::is_mergeable;
pub use table::{
    HasVmOps,
    MergeableFile,
    VmOpsTable, //
};
pub use vma::{
    DriverVma,
    DriverVmaGuard,
    DriverVmaInfo,
    DriverVmaUnderMmap,
    Install, //
};

/// What the `mmap_prepare` hook and the callbacks borrow of the device.
pub type DeviceRef<'a, O> =
    <<<O as VmOperations>::File as MapFile>::Ptr as ForeignOwnable>::Borrowed<'a>;

/// What the callbacks of a VMA borrow: with [`PerFile`] data the device, else the data of the VMA.
pub type DataRef<'a, O> =
    <<O as VmOperations>::Data as VmaData>::Ref<'a, <O as VmOperations>::File>;

/// Returns the address of the trampoline of `fault`, which is instantiated in the driver's module.
fn fault_handler<O: VmOperations>() -> *const c_void {
    trampoline::fault::<O> as *const c_void
}

/// Enters the section that [`Revocation::revoke`](super::revoke::Revocation::revoke) waits for, if
/// the file has a revocation.
///
/// # Errors
///
/// [`ENODEV`] if the memory is revoked, or if the address space of the file is not an
/// [`AddressSpace`](super::rmap::AddressSpace), so that `revoke` would not find the mapping.
///
/// # Safety
///
/// `file` must be the file of a VMA with the operations `O`, or of one that is being made, and must
/// stay open during `'a`.
#[inline]
unsafe fn enter<'a, O: VmOperations>(
    file: *const bindings::file,
) -> Result<Option<RevocationGuard<'a>>> {
    if !O::File::HAS_ADDRESS_SPACE {
        return Ok(None);
    }
    // SAFETY: By the safety requirements of this function, `file` is open during `'a`, so
    // `f_mapping` is the address space of an open file during `'a`.
    unsafe { revoke::enter((*file).f_mapping) }
}

/// Checks that the memory of a file is not revoked, if the file has a revocation.
///
/// # Errors
///
/// As [`enter`].
///
/// # Safety
///
/// As [`enter`].
#[inline]
unsafe fn check<O: VmOperations>(file: *const bindings::file) -> Result {
    if O::File::HAS_ADDRESS_SPACE {
        // SAFETY: By the safety requirements of this function, `file` is open during the call, so
        // `f_mapping` is the address space of an open file.
        unsafe { revoke::check((*file).f_mapping) }?;
    }
    Ok(())
}

mod sealed {
    pub trait Sealed {}
}
use sealed::Sealed;

/// The kind of memory that a mapping holds: `VM_PFNMAP`, `VM_MIXEDMAP`, or neither.
///
/// It decides which actions a mapping may have and what a fault may insert.
pub trait Memory: Sealed + 'static {
    #[doc(hidden)]
    const FLAGS: VmaFlags;
}

/// Memory that consists of reference-counted folios.
pub trait Paged: Memory {}

/// Folios in a VMA without a special flag, like a file's.
///
/// This is the only kind of memory that works with userfaultfd and guard regions, and the only kind
/// that the kernel may merge.
pub enum Ordinary {}

/// PFNs without reference counts (`VM_PFNMAP`), for device memory.
///
/// `get_user_pages` fails on such a mapping.
pub enum Pfn {}

/// Folios, and PFNs among them, in a VMA with `VM_MIXEDMAP`.
///
/// An action can populate such a mapping at mmap time.
pub enum Mixed {}

impl Sealed for Ordinary {}
impl Sealed for Pfn {}
impl Sealed for Mixed {}
impl Memory for Ordinary {
    const FLAGS: VmaFlags = VmaFlags::EMPTY;
}
impl Memory for Pfn {
    const FLAGS: VmaFlags = VmaFlags::new([VmaFlag::PFNMAP]);
}
impl Memory for Mixed {
    const FLAGS: VmaFlags = VmaFlags::new([VmaFlag::MIXEDMAP]);
}
impl Paged for Ordinary {}
impl Paged for Mixed {}

/// The range of a VMA that `mmap` has just made.
#[derive(Clone, Debug)]
pub struct MappedArea {
    /// The addresses of the VMA.
    pub range: Range<usize>,
    /// The page offset of the first page.
    ///
    /// If the mapping is copy-on-write and populated by
    /// [`remap_pfn`](super::desc::VmaDesc::remap_pfn) or one of its variants, the kernel has
    /// replaced the offset by the first PFN.
    pub pgoff: usize,
}

/// The size of the pages by which a VMA is mapped, as the kernel reports it to user space and KVM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MmuPageSize {
    /// The smallest page size.
    Base,
    /// The size that one PMD maps.
    Pmd,
    /// The size that one PUD maps.
    Pud,
}

/// The callbacks of a driver's VMAs.
///
/// A driver implements this trait, makes a table of callbacks with
/// [`vm_operations!`](crate::vm_operations), and gives it to a mapping in `mmap_prepare`, with
/// [`VmaDesc::with_ops`](super::desc::VmaDesc::with_ops). It has to name the three types; each
/// constant and each callback is optional.
///
/// # Lifecycle
///
/// - The kernel calls [`mapped`](Self::mapped) once for a VMA that `mmap` makes.
/// - It calls [`open`](Self::open) once for each VMA that it makes from another VMA: for `fork`,
///   and when it splits or moves one.
/// - It calls [`close`](Self::close) once for each of these VMAs, when it removes the VMA.
///
/// The driver sees these calls balance, also when a step in between fails: the layer calls neither
/// `open` nor `close` for a VMA whose `mapped` has failed or has not been called.
///
/// There are two exceptions, which do not affect memory safety:
///
/// - If the kernel merges a new mapping into an adjacent VMA, it does not call the driver.
/// - If the `mmap` of a stacked driver fails after it has mapped our file, the kernel does not call
///   `close`, and the data of that VMA is leaked.
///
/// So put what has to balance into the data of the VMA ([`PerVma`]) and release it in its `drop`. A
/// count that goes up in `mapped` and `open` and down in `close` is the number of VMAs only where
/// neither exception is possible.
///
/// # Examples
///
/// A device with one page, which counts the VMAs and the faults of each mapping. The kernel does
/// not merge VMAs that have data.
///
/// ```
/// use kernel::mm::{
///     desc::{Mapping, VmaDesc},
///     ops::{
///         DeviceRef,
///         DriverVmaInfo,
///         Fault,
///         FaultAnswer,
///         FaultError,
///         MappedArea,
///         Ordinary,
///         PerVma,
///         VmOperations, //
///     },
///     testing::*,
///     Folio, //
/// };
/// use kernel::{
///     fs::File,
///     miscdevice::{MiscDevice, MiscDeviceRegistration},
///     page::PAGE_SIZE,
///     sync::{
///         aref::ARef,
///         atomic::{Atomic, Relaxed},
///         Arc, //
///     }, //
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
/// /// The data of a mapping, which its VMAs share.
/// struct PerMapping {
///     page: ARef<Folio>,
///     vmas: Atomic<i32>,
///     faults: Atomic<i32>,
/// }
///
/// struct DeviceOps;
///
/// #[vtable]
/// impl VmOperations for DeviceOps {
///     type File = Device;
///     type Data = PerVma<Arc<PerMapping>>;
///     type Memory = Ordinary;
///
///     fn mapped(device: DeviceRef<'_, Self>, _area: &MappedArea) -> Result<Self::Data> {
///         let mapping = PerMapping {
///             page: device.page.clone(),
///             vmas: Atomic::new(1),
///             faults: Atomic::new(0),
///         };
///         Ok(PerVma(Arc::new(mapping, GFP_KERNEL)?))
///     }
///
///     fn open(vma: &DriverVmaInfo<Self>) {
///         vma.data().vmas.fetch_add(1, Relaxed);
///     }
///
///     fn close(vma: &DriverVmaInfo<Self>) {
///         vma.data().vmas.fetch_sub(1, Relaxed);
///     }
///
///     fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
///         let mapping = vmf.data();
///         mapping.faults.fetch_add(1, Relaxed);
///         if vmf.pgoff() != 0 {
///             return Err(FaultError::SigBus);
///         }
///         Ok(vmf.insert_page(&mapping.page, 0)?.into())
///     }
/// }
/// kernel::vm_operations!(DeviceOps);
///
/// let page = Folio::alloc(0, GFP_KERNEL)?;
/// page.write_at(0, b"page 0")?;
///
/// let mm = UserMm::attach()?;
/// let file = mm.open::<Device>(KBox::new(Device { page }, GFP_KERNEL)?)?;
/// let addr = file.mmap(3 * PAGE_SIZE, READ, SHARED, 0)?;
/// assert_eq!(mm.read(addr)?, *b"page 0");
/// // The kernel splits the VMA: it makes one for each side of the hole.
/// mm.munmap(addr + PAGE_SIZE, PAGE_SIZE)?;
/// {
///     let vma = mm.current().lock_driver_vma::<DeviceOps>(addr).ok_or(ESRCH)?;
///     let mapping = vma.data();
///     assert_eq!(mapping.vmas.load(Relaxed), 2);
///     assert_eq!(mapping.faults.load(Relaxed), 1);
/// }
/// assert_eq!(mm.read::<1>(addr + 2 * PAGE_SIZE), Err(EFAULT));
/// mm.munmap(addr, 3 * PAGE_SIZE)?;
/// # Ok::<(), Error>(())
/// ```
#[vtable]
pub trait VmOperations: Sized + 'static {
    /// The type of the file that is mapped.
    type File: MapFile;

    /// The data of a VMA: [`PerFile`], [`PerVma`] or [`PerVmaUnique`].
    ///
    /// With `PerFile` there is none, and the callbacks borrow the device.
    type Data: VmaData;

    /// The kind of memory that the mapping holds: [`Ordinary`], [`Pfn`] or [`Mixed`].
    type Memory: Memory;

    /// The name of the VMA in core dumps and perf.
    ///
    /// `/proc/pid/maps` shows the file instead. A core dump always includes a VMA that has a name,
    /// even if [`IO`](super::flags::SetFlags::IO) is set.
    ///
    /// This is a constant because the kernel reads it under RCU, while it walks all VMAs, and code
    /// of the driver that slept there would break the walk. A driver that needs several names has
    /// several implementations, and chooses one in `mmap_prepare`.
    const NAME: Option<&'static CStr> = None;

    /// The size of the pages by which the VMA is mapped, as `smaps` and KVM see it.
    ///
    /// This is a constant for the same reason as [`NAME`](Self::NAME).
    const PAGESIZE: MmuPageSize = MmuPageSize::Base;

    /// Checks whether user space may map the pages `pgoffs` of the file.
    ///
    /// `writable` is set if user space can write to these pages through the mapping, now or after
    /// an `mprotect`:
    ///
    /// - It is not set for a private mapping, whose writes go to copy-on-write pages.
    /// - It is set for a shared mapping that is read-only at present, unless the file is not open
    ///   for writing or `mmap_prepare` has cleared
    ///   [`MAYWRITE`](super::flags::ClearFlags::MAYWRITE).
    ///
    /// A [mergeable](crate::vm_operations) table must have this callback. User space can grow such
    /// a mapping with `mremap`, and the kernel does not call the driver for that, so a check in
    /// `mmap_prepare` covers only the range that was mapped first. The layer calls `may_map`
    ///
    /// - for the whole range, in [`with_ops`](super::desc::VmaDesc::with_ops);
    /// - for each page before it can be mapped: before [`fault`](Self::fault),
    ///   [`huge_fault`](Self::huge_fault), [`map_pages`](Self::map_pages) and
    ///   [`access`](Self::access).
    ///
    /// It must return the same result each time, for a page and for each range that includes the
    /// page.
    ///
    /// # Context
    ///
    /// The mmap lock is held for writing, or the locks of the callback that follows. May sleep,
    /// unless the driver implements [`map_pages`](Self::map_pages): then it must not sleep.
    ///
    /// # Errors
    ///
    /// - When the mapping is made, `mmap(2)` fails with the error.
    /// - Before `fault`, the access ends as [`FaultError`] says: with SIGBUS, unless the error is
    ///   [`ENOMEM`] or [`EHWPOISON`].
    /// - Before `huge_fault`, the kernel falls back to smaller pages, and before `map_pages`, to
    ///   `fault`.
    /// - Before `access`, the access ends, without the error.
    fn may_map(_device: DeviceRef<'_, Self>, _pgoffs: Range<usize>, _writable: bool) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Returns the data of a VMA that `mmap` has just made.
    ///
    /// The layer does not call it if the memory is already [revoked](super::revoke::Revocation):
    /// `mmap(2)` fails with [`ENODEV`].
    ///
    /// # Context
    ///
    /// The mmap lock is held for writing. May sleep. Must not call
    /// [`AddressSpace::unmap`](super::rmap::AddressSpace::unmap).
    ///
    /// # Errors
    ///
    /// `mmap(2)` fails with the error, unless the hook has set another one with
    /// [`Mapping::error_override`](super::desc::Mapping::error_override). The kernel unmaps the VMA
    /// again, and the layer does not call [`close`](Self::close) for it.
    fn mapped(_device: DeviceRef<'_, Self>, _area: &MappedArea) -> Result<Self::Data> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called after the kernel has made `vma` from another VMA.
    ///
    /// The layer has duplicated the data of the other VMA before, if there is any.
    ///
    /// # Context
    ///
    /// The mmap lock is held for writing; in `fork`, that of the child. No other thread can find
    /// the VMA yet. May sleep.
    fn open(_vma: &DriverVmaInfo<Self>) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called before the kernel removes `vma`.
    ///
    /// The layer drops the data of the VMA afterwards, if there is any.
    ///
    /// # Context
    ///
    /// The mmap lock is held, for reading or for writing. The VMA is unmapped, and no other thread
    /// can find it. May sleep. The current process need not be the one that the mapping belongs to.
    fn close(_vma: &DriverVmaInfo<Self>) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Checks whether the kernel may split `vma` at the address `addr`.
    ///
    /// # Context
    ///
    /// The mmap lock is held for writing. May sleep.
    ///
    /// # Errors
    ///
    /// The system call that needs the split fails with the error, except that `madvise` replaces
    /// [`ENOMEM`] by [`EAGAIN`]. It can be `munmap`, `mprotect`, `madvise`, `mlock` or `mremap` of
    /// a part of the VMA, or `mmap` with `MAP_FIXED` over a part.
    fn may_split(_vma: &DriverVmaUnderMmap<Self>, _addr: usize) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called after `mremap` has moved memory to `vma`.
    ///
    /// `vma` can be larger than what was moved, if the kernel has merged it into an adjacent VMA.
    ///
    /// # Context
    ///
    /// The mmap lock is held for writing. May sleep.
    ///
    /// # Errors
    ///
    /// The kernel moves the memory back, and `mremap(2)` fails with the error.
    fn mremap(_vma: &DriverVmaUnderMmap<Self>) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Checks whether `mprotect` may give the flags `flags` to the addresses `range` of `vma`.
    ///
    /// # Context
    ///
    /// The mmap lock is held for writing. May sleep. The kernel has not checked yet whether the VMA
    /// is sealed.
    ///
    /// # Errors
    ///
    /// `mprotect(2)` fails with the error. What it has changed in the VMAs before this one remains
    /// changed.
    fn mprotect(_vma: &DriverVmaInfo<Self>, _range: Range<usize>, _flags: VmaFlags) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Handles an access to a page that is not mapped.
    ///
    /// Which page that is, user space decides: [`Fault::index_in`] checks that the memory has it.
    /// The handler must not panic, nor must another callback of a mapping. The thread dies with the
    /// lock of the VMA or of the mm held: its process can neither run nor exit, and the module
    /// remains in use until the machine is restarted.
    ///
    /// # Context
    ///
    /// The VMA lock or the mmap lock is held for reading. May sleep.
    ///
    /// # Errors
    ///
    /// The access ends as the [`FaultError`] says.
    fn fault(_vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Handles an access to a page that is not mapped, where a PMD or PUD mapping is possible.
    ///
    /// The kernel also calls this for a write to a leaf that is mapped read-only, in a shared
    /// mapping.
    ///
    /// The kernel calls [`fault`](Self::fault) if this returns [`HugeAnswer::Fallback`] for each
    /// size.
    ///
    /// # Context
    ///
    /// The VMA lock or the mmap lock is held for reading. May sleep.
    ///
    /// # Errors
    ///
    /// As for [`fault`](Self::fault): an error is not a fallback.
    fn huge_fault(_vmf: &HugeFault<Self>) -> Result<HugeAnswer<'_>, FaultError> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Maps pages around a page that is read and not mapped (fault-around).
    ///
    /// This saves faults for pages that the driver has already. The kernel calls it before
    /// [`fault`](Self::fault), and calls `fault` only if this has not mapped the page that is read.
    ///
    /// # Context
    ///
    /// The VMA lock or the mmap lock is held for reading, and the RCU read lock. Must not sleep: an
    /// implementation that does is the [one exception](super::lock#sleeping) to the rule that safe
    /// code cannot break memory.
    fn map_pages(_vmf: &FaultAround<Self>) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called before a page that is mapped read-only becomes writable, in a shared mapping.
    ///
    /// The kernel maps the pages of a shared mapping read-only at first (write-notify) if the
    /// driver implements this, so that it is called for the first write to each page.
    ///
    /// # Context
    ///
    /// The VMA lock or the mmap lock is held for reading. The folio has a reference and is not
    /// locked. May sleep.
    ///
    /// # Errors
    ///
    /// As for [`fault`](Self::fault). The page remains mapped read-only.
    fn page_mkwrite(_vmf: &MkwriteFault<Self>) -> Result<MkwriteAnswer<'_>, FaultError> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called before a PFN that is mapped read-only becomes writable, in a shared mapping.
    ///
    /// As with [`page_mkwrite`](Self::page_mkwrite), the kernel maps PFNs read-only at first if the
    /// driver implements this.
    ///
    /// # Context
    ///
    /// The VMA lock or the mmap lock is held for reading. May sleep.
    ///
    /// # Errors
    ///
    /// As for [`fault`](Self::fault). The PFN remains mapped read-only.
    fn pfn_mkwrite(_vmf: &PfnMkwriteFault<Self>) -> Result<(), FaultError> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Copies from or to the memory at `addr`, for a debugger or a user of `/proc/pid/mem`, and
    /// returns the number of bytes that it has copied.
    ///
    /// The kernel calls it where `get_user_pages` fails, as it always does in `VM_IO` and
    /// `VM_PFNMAP` mappings, and only on architectures with `CONFIG_HAVE_IOREMAP_PROT`. The layer
    /// passes on only requests that lie within the VMA and that the kernel would allow a debugger
    /// for memory of its own. It refuses to
    ///
    /// - read what the process cannot make readable,
    /// - write what the process cannot write at present,
    /// - write to a private mapping, where the write would change the shared memory.
    ///
    /// # Context
    ///
    /// The mmap lock of the VMA's mm, which need not be the current one, is held for reading. May
    /// sleep.
    ///
    /// # Errors
    ///
    /// The access ends, as it does if the result is 0: the caller gets the bytes that were copied
    /// before, and not the error.
    ///
    /// # Examples
    ///
    /// See [`Access`]. For memory of a device, `access_phys` of the VMA takes it as it is.
    fn access(_vma: &DriverVmaUnderMmap<Self>, _addr: usize, _access: Access<'_>) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}
