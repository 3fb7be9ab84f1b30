// SPDX-License-Identifier: GPL-2.0

//! Mappings of memory that can be revoked, without callbacks of the driver's.

use super::enter;
use crate::{
    bindings,
    mm::static_table::StaticTable,
    prelude::*, //
};
use core::ffi::c_void;

/// A table of callbacks that has [`mapped`] only.
#[link_section = ".data..ro_after_init"]
static TABLE: StaticTable<bindings::vm_operations_struct> = StaticTable::new({
    let mut ops: bindings::vm_operations_struct = pin_init::zeroed();
    ops.mapped = Some(mapped);
    ops
});

/// Returns the callbacks of a mapping that is populated when it is made, and needs no others: `mmap` fails
/// if the memory was revoked before the mapping could be found.
pub(in crate::mm) fn table() -> *const bindings::vm_operations_struct {
    TABLE.as_ptr()
}

/// `vm_operations_struct::mapped`.
///
/// # Safety
///
/// `file` must be the file that the VMA maps.
unsafe extern "C" fn mapped(
    _start: usize,
    _end: usize,
    _pgoff: usize,
    file: *const bindings::file,
    _private: *mut *mut c_void,
) -> c_int {
    // SAFETY: The caller promises the file of a VMA, which keeps it open.
    match unsafe { enter((*file).f_mapping) } {
        Ok(_) => 0,
        Err(err) => err.to_errno(),
    }
}
