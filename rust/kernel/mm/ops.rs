// SPDX-License-Identifier: GPL-2.0

//! The callbacks of a VMA.
//!
//! A driver that wants more than a mapping which is filled once implements [`VmOperations`], makes
//! a table of it with [`vm_operations!`](crate::vm_operations), and hands that to the mapping with
//! [`VmaDesc::with_ops`](super::desc::VmaDesc::with_ops).
//!
//! Every callback gets a context that offers what the locks which are held allow, and returns its
//! own type of answer. `Documentation/rust/mm/vm-operations.rst` says for each callback who calls
//! it, and with which locks.
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

/// What a device's hook and callbacks borrow of it.
pub type DeviceRef<'a, O> =
    <<<O as VmOperations>::File as MapFile>::Ptr as ForeignOwnable>::Borrowed<'a>;

/// What the callbacks of a VMA borrow: the device, or the data of the VMA.
pub type DataRef<'a, O> =
    <<O as VmOperations>::Data as VmaData>::Ref<'a, <O as VmOperations>::File>;

/// Returns where the code is that gives the kernel the answers to faults: the driver's.
fn fault_handler<O: VmOperations>() -> *const c_void {
    trampoline::fault::<O> as *const c_void
}

/// Enters the section that the revocation of a file's memory waits for, if it has one.
///
/// # Errors
///
/// [`ENODEV`] if the memory is revoked, or if the mappings are not kept where a revocation finds them.
///
/// # Safety
///
/// `file` must be what a VMA with the operations `O` maps, or is about to map, and must not be released
/// during `'a`.
#[inline]
unsafe fn enter<'a, O: VmOperations>(
    file: *const bindings::file,
) -> Result<Option<RevocationGuard<'a>>> {
    if !O::File::HAS_ADDRESS_SPACE {
        return Ok(None);
    }
    // SAFETY: The caller promises that the file is open, so it has an address space.
    unsafe { revoke::enter((*file).f_mapping) }
}

mod sealed {
    pub trait Sealed {}
}
use sealed::Sealed;

/// What kind of memory a mapping holds: `VM_PFNMAP`, `VM_MIXEDMAP`, or neither.
///
/// Decides which actions the mapping may have and what a fault may insert.
pub trait Memory: Sealed + 'static {
    #[doc(hidden)]
    const FLAGS: VmaFlags;
}

/// Memory that consists of folios, each of which is reference-counted.
pub trait Paged: Memory {}

/// Folios, like a file's. No special flag.
///
/// The only kind that userfaultfd, guard regions and `get_user_pages` know how to deal with, and
/// the only kind that may be merged.
pub enum Ordinary {}

/// Page frames without reference counts: `VM_PFNMAP`. For device memory.
pub enum Pfn {}

/// Folios in a VMA that is marked as special: `VM_MIXEDMAP`. May be filled by an action.
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

/// The range of a VMA that was just made.
#[derive(Clone, Debug)]
pub struct MappedArea {
    /// The addresses.
    pub range: Range<usize>,
    /// The page offset of the first page. With a copy-on-write mapping that was filled by
    /// [`remap_pfn`](super::desc::VmaDesc::remap_pfn) and alike, the number of the first frame.
    pub pgoff: usize,
}

/// The size of the pages by which a VMA is mapped, as user space gets to see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MmuPageSize {
    /// The smallest there is.
    Base,
    /// What one entry of a page middle directory maps.
    Pmd,
    /// What one entry of a page upper directory maps.
    Pud,
}

/// The callbacks of a driver's VMAs.
///
/// Everything but the types is optional.
///
/// # The lifecycle
///
/// [`mapped`](Self::mapped) is called once when a VMA comes about, [`open`](Self::open) once for
/// each VMA that is made from it later (by `fork`, or because it is split or moved), and
/// [`close`](Self::close) once for each of them when it goes away. These balance, whatever fails in
/// between: a VMA of which `mapped` did not succeed is never closed as far as the driver can see.
///
/// Exceptions, none of which breaks memory:
///
/// - A mapping that is merged into its neighbour is never announced, and needs no callback of its own.
/// - Where a stacked file system's `mmap` fails after ours succeeded, the kernel forgets to close.
///
/// So what has to balance belongs in the data of the VMA, and in its `drop`. A driver that counts up in
/// `mapped` and down in `close` does not know how many VMAs there are.
#[vtable]
pub trait VmOperations: Sized + 'static {
    /// The kind of file that is mapped.
    type File: MapFile;

    /// What belongs to a VMA: [`PerFile`], which is nothing, [`PerVma`] or [`PerVmaUnique`].
    type Data: VmaData;

    /// What kind of memory the mapping holds.
    type Memory: Memory;

    /// A name for core dumps and perf. `/proc/pid/maps` shows the file instead.
    ///
    /// A VMA with a name is always part of a core dump, also where
    /// [`IO`](super::flags::SetFlags::IO) is set.
    ///
    /// A constant, since the kernel asks for it in the RCU section of a walk through all VMAs: a function
    /// of the driver that slept there would break the walk. A driver that has several names has several
    /// implementations, and its `mmap_prepare` chooses one.
    const NAME: Option<&'static CStr> = None;

    /// The size of page by which the VMA is mapped, as `smaps` and KVM see it.
    ///
    /// A constant, for the reason that [`NAME`](Self::NAME) is one.
    const PAGESIZE: MmuPageSize = MmuPageSize::Base;

    /// Returns whether user space may map these pages of the file.
    ///
    /// `writable` tells that user space could write them through the mapping, now or after an
    /// `mprotect`. It is not set for a private mapping, whose writes go to copy-on-write pages. It is
    /// set for a shared mapping that only reads, unless the file is not open for writing, or
    /// `mmap_prepare` has cleared
    /// [`MAYWRITE`](super::flags::ClearFlags::MAYWRITE).
    ///
    /// A table that is [mergeable](crate::vm_operations) has this callback. User space grows such a
    /// mapping with `mremap`, and the kernel asks no driver about that, so a check in `mmap_prepare`
    /// covers only the range that was asked for there. The layer calls this for all of that range, in
    /// [`with_ops`](super::desc::VmaDesc::with_ops), and again for each page before it can be mapped:
    /// before [`fault`](Self::fault), [`huge_fault`](Self::huge_fault), [`map_pages`](Self::map_pages)
    /// and [`access`](Self::access). It must give the same answer each time, for a page and for a range
    /// that has the page.
    ///
    /// # Errors
    ///
    /// An error makes `mmap` fail with it, and a fault end as [`FaultError`] says: with SIGBUS, unless it
    /// is [`ENOMEM`] or [`EHWPOISON`].
    ///
    /// # Context
    ///
    /// mmap lock held for writing, or the locks of a fault. May sleep, unless there is a
    /// [`map_pages`](Self::map_pages): then as there.
    fn may_map(_device: DeviceRef<'_, Self>, _pgoffs: Range<usize>, _writable: bool) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// A VMA has been made.
    ///
    /// Returns the data of the VMA. If it fails, `mmap` fails with its error, and the memory is
    /// unmapped again.
    ///
    /// Not called if the memory is [revoked](super::revoke::Revocation) already.
    ///
    /// # Context
    ///
    /// mmap lock held for writing. May sleep.
    fn mapped(_device: DeviceRef<'_, Self>, _area: &MappedArea) -> Result<Self::Data> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// A VMA has been made from another one. Its data, if it has any, was duplicated before.
    ///
    /// # Context
    ///
    /// mmap lock held for writing; when forking, that of the child. The VMA cannot be found by
    /// others yet. May sleep.
    fn open(_vma: &DriverVmaInfo<Self>) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// A VMA is going away. Its data, if it has any, is dropped afterwards.
    ///
    /// # Context
    ///
    /// mmap lock held, for reading or for writing. The VMA is unmapped and cannot be found by
    /// others any more. May sleep. The current process need not be the one that had it mapped.
    fn close(_vma: &DriverVmaInfo<Self>) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// May the VMA be split at this address?
    ///
    /// An error makes the operation fail that needs the split: partial `munmap`, `mprotect`,
    /// `madvise`, `mlock`, `mremap`.
    ///
    /// # Context
    ///
    /// mmap lock held for writing. May sleep.
    fn may_split(_vma: &DriverVmaUnderMmap<Self>, _addr: usize) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The memory has been moved; this is the VMA where it is now.
    ///
    /// If it fails, the memory is moved back.
    ///
    /// # Context
    ///
    /// mmap lock held for writing. May sleep.
    fn mremap(_vma: &DriverVmaUnderMmap<Self>) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// May `mprotect` give these flags to a part of the VMA?
    ///
    /// # Context
    ///
    /// mmap lock held for writing. May sleep. Called before the kernel's own checks of sealing.
    fn mprotect(_vma: &DriverVmaInfo<Self>, _range: Range<usize>, _flags: VmaFlags) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// A page is accessed that is not there.
    ///
    /// # Context
    ///
    /// VMA lock or mmap lock held for reading. May sleep.
    fn fault(_vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// A page is accessed where a huge page could be.
    ///
    /// # Context
    ///
    /// VMA lock or mmap lock held for reading. May sleep.
    fn huge_fault(_vmf: &HugeFault<Self>) -> Result<HugeAnswer<'_>, FaultError> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// A page is read that is not there: what the driver has around it may be mapped along with it.
    ///
    /// Called before [`fault`](Self::fault), which is called only if the page itself was not mapped
    /// here. To save faults, by mapping pages that are there anyway.
    ///
    /// # Context
    ///
    /// VMA lock or mmap lock held for reading, and the RCU read lock: must not sleep. The promise that
    /// safe code cannot break memory [does not cover](super::lock#sleeping) an implementation that sleeps.
    fn map_pages(_vmf: &FaultAround<Self>) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// A page that can be read is about to become writable.
    ///
    /// With it, shared mappings are set up so that the first write to each page is seen.
    ///
    /// # Context
    ///
    /// VMA lock or mmap lock held for reading. The folio has a reference and is not locked. May
    /// sleep.
    fn page_mkwrite(_vmf: &MkwriteFault<Self>) -> Result<MkwriteAnswer<'_>, FaultError> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// A page frame that can be read is about to become writable.
    ///
    /// # Context
    ///
    /// VMA lock or mmap lock held for reading. May sleep.
    fn pfn_mkwrite(_vmf: &PfnMkwriteFault<Self>) -> Result<(), FaultError> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Somebody else accesses the memory: a debugger, or a reader of `/proc/pid/mem`.
    ///
    /// Called for mappings that `get_user_pages` refuses. Returns how many bytes it has copied; 0
    /// means that there is nothing. `access` never asks for more than what is in the VMA, nor for what
    /// a debugger could not do with memory of the kernel's own: to read what the process cannot make
    /// readable, to write what it cannot write at the moment, or to write for all what it has mapped
    /// privately.
    ///
    /// # Context
    ///
    /// mmap lock of the mm held for reading, which need not be the current one. May
    /// sleep.
    fn access(_vma: &DriverVmaUnderMmap<Self>, _addr: usize, _access: Access<'_>) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}
