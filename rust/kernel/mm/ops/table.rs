// SPDX-License-Identifier: GPL-2.0

//! The tables of callbacks.
//!
//! The kernel calls a driver through its table, and the layer recognises the driver's VMAs by the
//! address of the table.

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

/// The table of callbacks of `O`, which [`vm_operations!`](crate::vm_operations) makes.
///
/// # Invariants
///
/// The table is not written after it was initialised. Its callbacks are right for a VMA with the
/// operations `O`, whose private data [`VmaData`] describes.
#[repr(transparent)]
pub struct VmOpsTable<O>(
    StaticTable<bindings::vm_operations_struct>,
    PhantomData<fn(O) -> O>,
);

impl<O: VmOperations> VmOpsTable<O> {
    /// Makes a table, and checks everything that is known about it at compile time.
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
            "a `Pfn` mapping has no pages: implement `pfn_mkwrite` instead of `page_mkwrite`"
        );
        assert!(
            !O::HAS_PFN_MKWRITE || !O::Memory::FLAGS.is_empty(),
            "this mapping has only folios: implement `page_mkwrite` instead of `pfn_mkwrite`"
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
        // The layer needs the lifecycle callbacks, also those that the driver does not implement.
        ops.mapped = Some(trampoline::mapped::<O>);
        if O::Data::PER_VMA || O::HAS_OPEN || O::HAS_CLOSE {
            ops.open = Some(trampoline::open::<O>);
            ops.close = Some(trampoline::close::<O>);
        }
        if has_pfn_leaves::<O>() {
            ops.open = Some(trampoline::open::<O>);
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
            // The kernel calls the others under the VMA lock only if the table has `map_pages`
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
        // INVARIANT: The callbacks are the trampolines of `O`.
        Self(StaticTable::new(ops), PhantomData)
    }
}

impl<O> VmOpsTable<O> {
    /// Returns a pointer to the C table, whose address identifies the operations `O`.
    #[inline]
    pub(super) fn as_ptr(&'static self) -> *const bindings::vm_operations_struct {
        self.0.as_ptr()
    }
}

/// Operations that have a table of callbacks.
///
/// [`vm_operations!`](crate::vm_operations) implements this; drivers do not.
///
/// # Safety
///
/// - `table` must return the same table each time. The table must exist for as long as a file of
///   the type `Self::File` can be open.
/// - Among the implementations with the same `File`, `MERGEABLE` may be true for at most one. This
///   must have [`PerFile`](super::PerFile) data, [`Ordinary`](super::Ordinary) memory and
///   [`may_map`](VmOperations::may_map). The kernel does not compare tables when it merges VMAs:
///   those of one table would get the callbacks and the revocation of the other.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no table of callbacks",
    note = "add `kernel::vm_operations!({Self});` next to its `impl VmOperations`"
)]
pub unsafe trait HasVmOps: VmOperations {
    /// Whether the kernel may merge mappings with these operations.
    const MERGEABLE: bool;

    /// Returns the table of callbacks.
    fn table() -> &'static VmOpsTable<Self>;
}

/// A type of file whose mappings with the operations [`Ops`](Self::Ops) can be merged.
///
/// The kernel does not compare tables when it merges VMAs, so a type of file can have mergeable
/// mappings with only one table. So the type that the driver has declared for these files can
/// implement this trait only once: `T`, if the type of the file is
/// [`FileOf<T>`](crate::fs::FileOf).
pub trait MergeableFile {
    /// The operations whose table is mergeable.
    type Ops: VmOperations;
}

/// Makes the table of callbacks of a [`VmOperations`](crate::mm::ops::VmOperations) implementation.
///
/// A driver calls it once, next to the implementation; for a generic type, once for each instance.
///
/// With `mergeable: File`, where `File` is the type of the file, the kernel may merge such
/// mappings, and user space may grow them with `mremap`. A file type `FileOf<Driver>` is written
/// just like this, without a path. This needs [`PerFile`](crate::mm::ops::PerFile) data and
/// [`Ordinary`](crate::mm::ops::Ordinary) memory, and a type of file can have only one such table.
///
/// **`mmap_prepare` does not check what a mapping grows by**: the kernel does not call the driver
/// when `mremap` grows a mapping. So a mergeable table must have
/// [`may_map`](crate::mm::ops::VmOperations::may_map). The layer calls it for the range that is
/// mapped first, and for each page that is accessed later.
#[macro_export]
macro_rules! vm_operations {
    // `FileOf<File>` is not a type of the driver: the trait is implemented for `File`.
    ($ops:ty, mergeable: FileOf<$file:ty>) => {
        $crate::vm_operations!(@table $ops, $crate::fs::FileOf<$file>, $file);
    };
    ($ops:ty) => {
        $crate::vm_operations!(@table $ops);
    };
    ($ops:ty, mergeable: $file:ty) => {
        $crate::vm_operations!(@table $ops, $file, $file);
    };
    // A driver can use this rule with other types. `is_mergeable` compiles only if they are right:
    // a file cannot have two mergeable tables because its driver's type can implement
    // `MergeableFile` only once.
    (@table $ops:ty $(, $file:ty, $driver:ty)?) => {
        $(
            impl $crate::mm::ops::MergeableFile for $driver {
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

            // SAFETY:
            // - `table` always returns `TABLE`, a static of the module that has the type.
            // - If `MERGEABLE` is true, `is_mergeable` has checked the data, the memory and
            //   `may_map`, and the type that the driver has declared for `$file` has these
            //   operations as its one `MergeableFile::Ops`.
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

/// Returns whether mappings with these operations can have PMD leaves that map PFNs.
pub(super) const fn has_pfn_leaves<O: VmOperations>() -> bool {
    cfg!(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP)
        && O::HAS_HUGE_FAULT
        && O::Memory::FLAGS.contains(VmaFlag::PFNMAP)
}

/// Returns whether mappings with these operations can be merged.
pub(super) const fn may_merge<O: VmOperations>() -> bool {
    !O::Data::PER_VMA && O::Memory::FLAGS.is_empty()
}

/// Returns `true` if `O` is the mergeable kind of mapping of its file; otherwise it does not
/// compile.
#[doc(hidden)]
pub const fn is_mergeable<O, F>() -> bool
where
    O: VmOperations<File = F>,
    F: MapFile,
    F::Driver: MergeableFile<Ops = O>,
{
    // With the next one, it follows from what `VmOpsTable::new` asserts. This message is clearer.
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
