// SPDX-License-Identifier: GPL-2.0

//! How userfaultfd fills a memory file, if the driver does not do it: `fs/rust_memory_fill.c`.

use crate::{
    bindings,
    mm::uffd::Defaults, //
};

/// The callbacks of userfaultfd, as the layer implements them.
pub(super) struct Layer;

// SAFETY: All callbacks are there. They use the page cache of the file alone, as those of a driver
// do through the contexts that they get.
unsafe impl Defaults for Layer {
    const OPS: bindings::vm_uffd_ops = bindings::vm_uffd_ops {
        can_userfault: Some(bindings::rust_memory_can_userfault),
        get_folio_noalloc: Some(bindings::rust_memory_get_folio),
        alloc_folio: Some(bindings::rust_memory_alloc_folio),
        filemap_add: Some(bindings::rust_memory_filemap_add),
        filemap_remove: Some(bindings::rust_memory_filemap_remove),
    };
}
