// SPDX-License-Identifier: GPL-2.0

//! The table of a driver's callbacks, and what it is good for besides calling them: its address
//! tells a driver's VMAs from all others.

use super::{
    data::VmaData,
    trampoline,
    Memory,
    MmuPageSize,
    VmOperations, //
};
use crate::{
    bindings,
    mm::{
        file::MapFile,
        flags::VmaFlag,
        static_table::StaticTable, //
    },
    types::ForeignOwnable, //
};
use core::marker::PhantomData;

/// The table of callbacks of `O`. Made by [`vm_operations!`](crate::vm_operations).
///
/// # Invariants
///
/// The table is never written after it was initialised, with callbacks that are right for a VMA
/// whose private data [`VmaData`] describes.
#[repr(transparent)]
pub struct VmOpsTable<O>(
    StaticTable<bindings::vm_operations_struct>,
    PhantomData<fn(O) -> O>,
);

impl<O: VmOperations> VmOpsTable<O> {
    /// Makes a table. Everything that can be known about it when compiling is checked here.
    #[expect(clippy::new_without_default)]
    pub const fn new() -> Self {
        assert!(
            !O::Data::PER_VMA || O::HAS_MAPPED,
            "the data of a VMA is made by `mapped`: implement it"
        );
        assert!(
            O::Data::ALIGN >= 2
                && <<O::File as MapFile>::Ptr as ForeignOwnable>::FOREIGN_ALIGN >= 2,
            "the pointers to the device and to the data of a VMA must leave bit 0 free"
        );
        assert!(
            !O::HAS_PAGE_MKWRITE || !O::Memory::FLAGS.contains(VmaFlag::PFNMAP),
            "there are no pages in a `Pfn` mapping: implement `pfn_mkwrite` instead of `page_mkwrite`"
        );
        assert!(
            !O::HAS_PFN_MKWRITE || !O::Memory::FLAGS.is_empty(),
            "there are only folios in this mapping: implement `page_mkwrite` instead of `pfn_mkwrite`"
        );
        assert!(
            !O::HAS_MAP_PAGES || O::HAS_FAULT && !O::Memory::FLAGS.contains(VmaFlag::PFNMAP),
            "`map_pages` maps pages of folios, as an addition to `fault`"
        );

        assert!(
            !O::Data::UNIQUE || !(O::HAS_OPEN || O::HAS_MAY_SPLIT || O::HAS_MREMAP),
            "there is never a second VMA with `PerVmaUnique` data: no `open`, `may_split`, `mremap`"
        );

        assert!(
            !O::HAS_MAY_MAP || may_merge::<O>(),
            "`may_map` is about growth, which takes `Ordinary` memory with `PerFile` data"
        );

        let mut ops: bindings::vm_operations_struct = pin_init::zeroed();
        // The lifecycle is needed by the layer, whatever the driver implements.
        ops.mapped = Some(trampoline::mapped::<O>);
        if O::Data::PER_VMA || O::HAS_OPEN || O::HAS_CLOSE {
            ops.open = Some(trampoline::open::<O>);
            ops.close = Some(trampoline::close::<O>);
        }
        if O::HAS_MAY_SPLIT || O::Data::UNIQUE {
            ops.may_split = Some(trampoline::may_split::<O>);
        }
        if O::HAS_MREMAP || O::Data::UNIQUE {
            ops.mremap = Some(trampoline::mremap::<O>);
        }
        if O::HAS_MPROTECT {
            ops.mprotect = Some(trampoline::mprotect::<O>);
        }
        if O::HAS_FAULT {
            ops.fault = Some(trampoline::fault::<O>);
        }
        if O::HAS_HUGE_FAULT {
            ops.huge_fault = Some(trampoline::huge_fault::<O>);
        }
        if O::HAS_MAP_PAGES {
            ops.map_pages = Some(trampoline::map_pages::<O>);
        } else if O::HAS_FAULT || O::HAS_PAGE_MKWRITE || O::HAS_PFN_MKWRITE {
            // Without it, the kernel does not call the others under the VMA lock
            // (`vmf_can_call_fault()` in mm/memory.c).
            ops.map_pages = Some(trampoline::map_no_pages);
        }
        if O::HAS_PAGE_MKWRITE {
            ops.page_mkwrite = Some(trampoline::page_mkwrite::<O>);
        }
        if O::HAS_PFN_MKWRITE {
            ops.pfn_mkwrite = Some(trampoline::pfn_mkwrite::<O>);
        }
        if O::HAS_ACCESS {
            ops.access = Some(trampoline::access::<O>);
        }
        if O::NAME.is_some() {
            ops.name = Some(trampoline::name::<O>);
        }
        if !matches!(O::PAGESIZE, MmuPageSize::Base) {
            ops.pagesize = Some(trampoline::pagesize::<O>);
        }
        // INVARIANT: The trampolines of `O`.
        Self(StaticTable::new(ops), PhantomData)
    }
}

impl<O> VmOpsTable<O> {
    /// Returns the table as the kernel wants it.
    #[inline]
    pub(super) fn as_ptr(&'static self) -> *const bindings::vm_operations_struct {
        self.0.as_ptr()
    }
}

/// Operations that have a table. Implemented by [`vm_operations!`](crate::vm_operations), and not by hand.
///
/// # Safety
///
/// - `table` must return the same table each time. The table must exist for as long as a file of the type
///   `Self::File` can be open.
/// - `MERGEABLE` must be true for at most one of the implementations that have the same `File`, and only
///   with [`PerFile`](super::PerFile) data, [`Ordinary`](super::Ordinary) memory and
///   [`may_map`](VmOperations::may_map). The kernel compares no
///   tables when it merges: it would give the VMAs of one table the callbacks and the revocation of the
///   other.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no table of callbacks",
    note = "add `kernel::vm_operations!({Self});` next to its `impl VmOperations`"
)]
pub unsafe trait HasVmOps: VmOperations {
    /// Whether mappings may be merged with their neighbours.
    const MERGEABLE: bool;

    /// Returns the one table.
    fn table() -> &'static VmOpsTable<Self>;
}

/// A file type of which one kind of mapping may be merged.
///
/// Merging does not compare tables: of two kinds that may be merged, one would get the callbacks of
/// the other. A type has at most one implementation, and so at most one kind.
pub trait MergeableFile: MapFile {
    /// The operations of that kind.
    type Ops: VmOperations<File = Self>;
}

/// Makes the table of callbacks of a [`VmOperations`] implementation.
///
/// To be used once, next to the implementation. For a generic type, once for each instance.
///
/// With `mergeable: File`, where that is the type of the file, the kernel may merge mappings with
/// their neighbours, and user space may grow them with `mremap`. That takes
/// [`PerFile`](crate::mm::ops::PerFile) data, [`Ordinary`](crate::mm::ops::Ordinary) memory, and no
/// second such table for the same type of file.
///
/// **Growth goes round the checks of `mmap_prepare`**: the kernel calls no driver about it. So a
/// mergeable table has [`may_map`](crate::mm::ops::VmOperations::may_map), which the layer calls about
/// what is mapped in the first place and about each page that is accessed later.
#[macro_export]
macro_rules! vm_operations {
    // One rule, without a helper that could be called with other arguments: it is by the implementation
    // of `MergeableFile` that a file cannot have two mergeable tables.
    ($ops:ty $(, mergeable: $file:ty)?) => {
        $(
            impl $crate::mm::ops::MergeableFile for $file {
                type Ops = $ops;
            }
        )?

        const _: () = {
            const MERGEABLE: bool = false $(
                || $crate::mm::ops::is_mergeable::<$ops, $file>()
            )?;

            #[link_section = ".data..ro_after_init"]
            static TABLE: $crate::mm::ops::VmOpsTable<$ops> =
                $crate::mm::ops::VmOpsTable::new();

            // SAFETY: The table is a static of the module that has the type. If it is mergeable, the
            // file has these operations as `MergeableFile::Ops`, of which it has one.
            unsafe impl $crate::mm::ops::HasVmOps for $ops {
                const MERGEABLE: bool = MERGEABLE;

                #[inline]
                fn table() -> &'static $crate::mm::ops::VmOpsTable<Self> {
                    &TABLE
                }
            }
        };
    };
    ($($other:tt)*) => {
        ::core::compile_error!(
            "`vm_operations!` takes the type, and `, mergeable:` with the type of its file"
        );
    };
}

/// Returns whether mappings with these operations could be merged.
pub(super) const fn may_merge<O: VmOperations>() -> bool {
    !O::Data::PER_VMA && O::Memory::FLAGS.is_empty()
}

/// Returns whether `O` is the one kind of mapping of its file that may be merged: always, or it does not
/// compile.
#[doc(hidden)]
pub const fn is_mergeable<O, F>() -> bool
where
    O: VmOperations<File = F>,
    F: MergeableFile<Ops = O>,
{
    assert!(
        may_merge::<O>(),
        "only `Ordinary` memory with `PerFile` data can be merged"
    );
    assert!(
        O::HAS_MAY_MAP,
        "a mergeable mapping grows without `mmap_prepare`: implement `may_map`"
    );
    true
}
