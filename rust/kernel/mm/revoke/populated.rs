// SPDX-License-Identifier: GPL-2.0

//! Mappings of revocable memory that are populated at mmap time, without callbacks of the driver.

use super::check;
use crate::{
    bindings,
    mm::static_table::StaticTable,
    prelude::*, //
};
use core::ffi::c_void;

/// A table of callbacks that contains only [`mapped`].
#[link_section = ".data..ro_after_init"]
static TABLE: StaticTable<bindings::vm_operations_struct> = StaticTable::new({
    let mut ops: bindings::vm_operations_struct = pin_init::zeroed();
    ops.mapped = Some(mapped);
    ops
});

/// Returns the callbacks of a mapping that is populated at mmap time and needs no others.
///
/// With them, `mmap` fails if the memory was revoked before the revocation could find the mapping.
pub(in crate::mm) fn table() -> *const bindings::vm_operations_struct {
    TABLE.as_ptr()
}

/// Fails the mapping if its memory is revoked: `vm_operations_struct::mapped`.
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
    // SAFETY: By the safety requirements of this function, `file` is that of a VMA, which keeps it
    // open.
    match unsafe { check((*file).f_mapping) } {
        Ok(_) => 0,
        Err(err) => err.to_errno(),
    }
}
