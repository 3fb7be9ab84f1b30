// SPDX-License-Identifier: GPL-2.0

//! The operations of memory files, which are built in: the inode, not the file, refers to the
//! driver.

use super::{
    fault,
    inode::MemoryInode,
    io,
    space, //
};
use crate::{
    bindings,
    prelude::*, //
};

/// A table of tables, which only C reads.
#[repr(transparent)]
pub(super) struct Tables(bindings::rust_memory_tables);

// SAFETY: The tables are never written.
unsafe impl Sync for Tables {}

impl Tables {
    #[inline]
    pub(super) fn as_ptr(&'static self) -> *const bindings::rust_memory_tables {
        &self.0
    }
}

/// The operations of all memory files.
pub(super) static TABLES: Tables = Tables(bindings::rust_memory_tables {
    file: &FILE.0,
    inode: &INODE.0,
    space: &SPACE.0,
});

/// A table that only C reads.
struct Table<T>(T);

// SAFETY: The tables are never written, and their pointers are to functions.
unsafe impl<T> Sync for Table<T> {}

static FILE: Table<bindings::file_operations> = Table(bindings::file_operations {
    open: Some(bindings::generic_file_open),
    mmap_prepare: Some(mmap_prepare),
    // A mapping that is aligned like the file can have PMD mappings.
    #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
    get_unmapped_area: Some(bindings::thp_get_unmapped_area),
    llseek: Some(space::llseek),
    read_iter: Some(io::read_iter),
    write_iter: Some(io::write_iter),
    splice_read: Some(bindings::copy_splice_read),
    splice_write: Some(bindings::iter_file_splice_write),
    fallocate: Some(space::fallocate),
    fsync: Some(bindings::noop_fsync),
    #[cfg(CONFIG_FILE_LOCKING)]
    setlease: Some(bindings::generic_setlease),
    ..pin_init::zeroed()
});

static INODE: Table<bindings::inode_operations> = Table(bindings::inode_operations {
    setattr: Some(space::setattr),
    // With the number of pages in the page cache as the blocks that are allocated.
    getattr: Some(bindings::simple_getattr),
    ..pin_init::zeroed()
});

static SPACE: Table<bindings::address_space_operations> =
    Table(bindings::address_space_operations {
        dirty_folio: Some(bindings::noop_dirty_folio),
        #[cfg(CONFIG_MIGRATION)]
        migrate_folio: Some(bindings::filemap_migrate_folio),
        // Called only for files with large folios.
        release_folio: Some(bindings::rust_memory_release_folio),
        error_remove_folio: Some(error_remove_folio),
        ..pin_init::zeroed()
    });

/// `address_space_operations::error_remove_folio`.
///
/// A folio whose memory is broken remains in the page cache: what it had is lost, and to read
/// zeroes instead would hide that. Accesses fail.
///
/// # Safety
///
/// There are no requirements: the arguments are not used.
unsafe extern "C" fn error_remove_folio(
    _mapping: *mut bindings::address_space,
    _folio: *mut bindings::folio,
) -> c_int {
    0
}

/// `file_operations::mmap_prepare`.
///
/// Any mapping is possible that the file permits: a mapping may extend past the end of the file.
///
/// # Safety
///
/// `desc` must be the descriptor that the kernel passes to an `mmap_prepare` hook, and its `file`
/// must be a memory file.
unsafe extern "C" fn mmap_prepare(desc: *mut bindings::vm_area_desc) -> c_int {
    // SAFETY: By the safety requirements of this function, the descriptor is valid, and its file is
    // a memory file, which is open.
    unsafe {
        let file = (*desc).file;
        // The callbacks find the memory file by the file of the VMA. A stacked file system may keep
        // its own there.
        if !core::ptr::eq((*desc).vm_file, file) {
            return ENODEV.to_errno();
        }
        bindings::file_accessed(file);
        (*desc).vm_ops = MemoryInode::from_file(file).vm_ops();
    }
    0
}

/// The operations of the mappings, without those that depend on the type of the file.
pub(super) const VM_OPS: bindings::vm_operations_struct = bindings::vm_operations_struct {
    fault: Some(fault::fault),
    map_pages: Some(bindings::filemap_map_pages),
    #[cfg(CONFIG_NUMA)]
    set_policy: Some(bindings::rust_filemap_set_policy),
    #[cfg(CONFIG_NUMA)]
    get_policy: Some(bindings::rust_filemap_get_policy),
    ..pin_init::zeroed()
};
