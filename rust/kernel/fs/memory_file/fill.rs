// SPDX-License-Identifier: GPL-2.0

//! How userfaultfd fills a memory file.
//!
//! A folio that is filled is never in the page cache without contents: `alloc_folio` allocates it,
//! C copies to it, and then `filemap_add` adds it to the page cache.

use super::inode::MemoryInode;
use crate::{
    bindings,
    mm::{
        filemap::NewFolio,
        uffd::{
            Defaults,
            UffdModes, //
        }, //
    },
    prelude::*, //
};
use core::ptr::{
    self,
    NonNull, //
};

/// The callbacks of userfaultfd, as the layer implements them.
pub(super) struct Layer;

// SAFETY: All callbacks are there. They use the page cache of the file alone, as those of a driver
// do through the contexts that they get.
unsafe impl Defaults for Layer {
    const OPS: bindings::vm_uffd_ops = bindings::vm_uffd_ops {
        can_userfault: Some(can_userfault),
        get_folio_noalloc: Some(get_folio_noalloc),
        alloc_folio: Some(alloc_folio),
        filemap_add: Some(filemap_add),
        filemap_remove: Some(filemap_remove),
    };
}

/// Returns the memory file that a VMA maps.
///
/// # Safety
///
/// `vma` must be a VMA of a memory file, which is locked for `'a`, at least for reading.
#[inline]
unsafe fn memory_of<'a>(vma: *mut bindings::vm_area_struct) -> &'a MemoryInode {
    // SAFETY: By the safety requirements of this function, the VMA has a reference to its file,
    // which is a memory file.
    unsafe { MemoryInode::from_file((*vma).vm_file) }
}

/// `vm_uffd_ops::can_userfault`.
///
/// # Safety
///
/// `vma` must be a VMA of a memory file, under the mmap lock for writing.
unsafe extern "C" fn can_userfault(
    vma: *mut bindings::vm_area_struct,
    vm_flags: bindings::vm_flags_t,
) -> bool {
    // SAFETY: By the safety requirements of this function, it is a VMA of a memory file, and
    // locked.
    let memory = unsafe { memory_of(vma) };
    memory.modes().contains(UffdModes::from_vm_flags(vm_flags))
}

/// `vm_uffd_ops::get_folio_noalloc`.
///
/// # Safety
///
/// `inode` must be that of a memory file, and must not be evicted during the call.
unsafe extern "C" fn get_folio_noalloc(
    inode: *mut bindings::inode,
    index: usize,
) -> *mut bindings::folio {
    // SAFETY: By the safety requirements of this function, it is the inode of a memory file.
    let memory = unsafe { MemoryInode::from_inode(inode) };
    let err = match memory.cache().get_locked(index) {
        Ok(Some(folio)) if index < memory.cache().size_in_pages() => {
            return folio.into_raw().as_ptr()
        }
        Ok(_) => ENOENT,
        Err(err) => err,
    };
    err.to_ptr()
}

/// `vm_uffd_ops::alloc_folio`.
///
/// # Safety
///
/// `vma` must be a VMA of a memory file, under the VMA lock or the mmap lock, and `addr` an address
/// in it.
unsafe extern "C" fn alloc_folio(
    vma: *mut bindings::vm_area_struct,
    addr: usize,
) -> *mut bindings::folio {
    // SAFETY: By the safety requirements of this function, it is a VMA of a memory file, and
    // locked. Its mm exists.
    let (memory, index, mm) = unsafe {
        let index = bindings::linear_page_index(vma, addr);
        (memory_of(vma), index, (*vma).vm_mm)
    };
    // C answers ENOMEM, as for a memfd.
    if index >= memory.cache().size_in_pages() {
        return ptr::null_mut();
    }
    // SAFETY: The mm is valid.
    match unsafe { memory.cache().alloc_for(mm, 0) } {
        Ok(folio) => folio.into_raw().as_ptr(),
        Err(_) => ptr::null_mut(),
    }
}

/// `vm_uffd_ops::filemap_add`.
///
/// # Safety
///
/// As for [`alloc_folio`], and `folio` must be one that it has returned, to all bytes of which C
/// has written.
unsafe extern "C" fn filemap_add(
    folio: *mut bindings::folio,
    vma: *mut bindings::vm_area_struct,
    addr: usize,
) -> c_int {
    // SAFETY: By the safety requirements of this function, it is a VMA of a memory file, and
    // locked.
    let (memory, index) = unsafe { (memory_of(vma), bindings::linear_page_index(vma, addr)) };
    // SAFETY: By the safety requirements of this function, the folio is from `alloc_folio` and has
    // contents. Its reference goes back to C in all cases.
    let folio = unsafe { NewFolio::from_raw(NonNull::new_unchecked(folio)).assume_filled() };
    match memory.cache().add(folio, index) {
        Ok(folio) => {
            folio.into_raw();
            0
        }
        Err((folio, err)) => {
            folio.into_raw();
            err.to_errno()
        }
    }
}

/// `vm_uffd_ops::filemap_remove`.
///
/// # Safety
///
/// `vma` must be a VMA of a memory file, under the VMA lock or the mmap lock, and `folio` one that
/// `filemap_add` has added to its page cache, and that is still locked.
unsafe extern "C" fn filemap_remove(
    folio: *mut bindings::folio,
    vma: *mut bindings::vm_area_struct,
) {
    // SAFETY: By the safety requirements of this function, it is a VMA of a memory file, and
    // locked.
    let memory = unsafe { memory_of(vma) };
    // SAFETY: By the safety requirements of this function, the folio is locked and in the page
    // cache. C has a reference, which it drops later.
    unsafe {
        bindings::rust_filemap_remove(memory.cache().as_ptr(), folio);
        bindings::folio_unlock(folio);
    }
}
