// SPDX-License-Identifier: GPL-2.0

//! The table of callbacks, and the functions in it.
//!
//! They turn the kernel's arguments into contexts, and the driver's answers into what the kernel
//! expects.

use super::{
    context::{
        AddFolio,
        AddedFolio,
        AllocFolio,
        FillFolio,
        FindFolio,
        RemoveFolio,
        UffdVma, //
    },
    UffdModes,
    UffdOps, //
};
use crate::{
    bindings,
    prelude::*, //
};
use core::ptr::{
    self,
    NonNull, //
};

/// What a file does that a driver has not overridden: the callbacks of the layer.
///
/// # Safety
///
/// All callbacks of `OPS` must be there, and must be right for each VMA that maps a memory file,
/// also if some of the others are the driver's.
pub(crate) unsafe trait Defaults {
    /// The callbacks.
    const OPS: bindings::vm_uffd_ops;
}

/// Returns the table of callbacks for memory files of the type `T`.
///
/// # Safety
///
/// The table must only be used for VMAs that map a memory file of the type `T`: the `i_private` of
/// the inode must be from `T::Data::into_foreign`, and must not be dropped before the inode is
/// evicted, and [`PageCache`](crate::mm::filemap::PageCache) must be right for its page cache. The
/// file must keep the module that has `T` loaded.
pub(crate) const unsafe fn table<T: UffdOps, D: Defaults>() -> bindings::vm_uffd_ops {
    let mut ops = D::OPS;
    if T::HAS_CAN_USERFAULT {
        ops.can_userfault = Some(can_userfault::<T, D>);
    }
    if T::HAS_ALLOC_FOLIO {
        ops.alloc_folio = Some(alloc_folio::<T>);
    }
    if T::HAS_FILEMAP_ADD {
        ops.filemap_add = Some(filemap_add::<T>);
    }
    if T::HAS_FILEMAP_REMOVE {
        ops.filemap_remove = Some(filemap_remove::<T>);
    }
    if T::HAS_GET_FOLIO_NOALLOC {
        ops.get_folio_noalloc = Some(get_folio_noalloc::<T>);
    }
    ops
}

/// # Safety
///
/// `vma` must map a memory file of the type `T`, and be locked for writing.
unsafe extern "C" fn can_userfault<T: UffdOps, D: Defaults>(
    vma: *mut bindings::vm_area_struct,
    vm_flags: bindings::vm_flags_t,
) -> bool {
    // SAFETY: By the safety requirements of this function, the VMA is locked and maps a memory file
    // of the type `T`.
    let view = unsafe { UffdVma::<T>::from_raw(vma) };
    if !T::can_userfault(view, UffdModes::from_vm_flags(vm_flags)) {
        return false;
    }
    D::OPS.can_userfault.is_some_and(|default| {
        // SAFETY: By the safety requirements of `Defaults`, the function is right for the VMA.
        unsafe { default(vma, vm_flags) }
    })
}

/// # Safety
///
/// `vma` must map a memory file of the type `T`, be locked, and contain `addr`. The caller may
/// sleep.
unsafe extern "C" fn alloc_folio<T: UffdOps>(
    vma: *mut bindings::vm_area_struct,
    addr: usize,
) -> *mut bindings::folio {
    // SAFETY: By the safety requirements of this function, the VMA is valid and locked, and maps a
    // memory file of the type `T`.
    let context = unsafe { AllocFolio::<T>::new(NonNull::new_unchecked(vma), addr) };
    match T::alloc_folio(&context) {
        // C fills one page, and maps the first page of the folio.
        Ok(folio) if folio.order() == 0 => folio.into_raw().as_ptr(),
        _ => ptr::null_mut(),
    }
}

/// # Safety
///
/// - `vma` must map a memory file of the type `T`, be locked, and contain `addr`. The caller may
///   sleep.
/// - `folio` must be from the `alloc_folio` of the table of a VMA of the same file, and all bytes
///   of it must have been written. The caller has the only reference, and does not use it during
///   the call.
unsafe extern "C" fn filemap_add<T: UffdOps>(
    folio: *mut bindings::folio,
    vma: *mut bindings::vm_area_struct,
    addr: usize,
) -> c_int {
    // SAFETY: By the safety requirements of this function, the VMA is valid and locked, and maps a
    // memory file of the type `T`.
    let context = unsafe { AddFolio::<T>::new(NonNull::new_unchecked(vma), addr) };
    // SAFETY: By the safety requirements of this function, the folio is valid, has contents, and is
    // that of `alloc_folio`, which was never in a page cache.
    let folio = unsafe { FillFolio::new(NonNull::new_unchecked(folio)) };
    let answer = T::filemap_add(&context, folio);
    match answer {
        Ok(added) => {
            added.leave_locked();
            0
        }
        Err(e) => e.to_errno(),
    }
}

/// # Safety
///
/// - `vma` must map a memory file of the type `T`, and be locked. The caller may sleep.
/// - The `filemap_add` of the table must have added `folio` to the page cache of that file. The
///   folio must still be locked, and the caller must have a reference and give up the lock.
unsafe extern "C" fn filemap_remove<T: UffdOps>(
    folio: *mut bindings::folio,
    vma: *mut bindings::vm_area_struct,
) {
    // SAFETY: By the safety requirements of this function, the VMA is valid and locked, and maps a
    // memory file of the type `T`. The address is not used.
    let context = unsafe { RemoveFolio::<T>::new(NonNull::new_unchecked(vma), 0) };
    // SAFETY: By the safety requirements of this function, the folio is locked and in the page
    // cache, and the caller gives up the lock.
    let added = unsafe { AddedFolio::from_raw(context.cache(), NonNull::new_unchecked(folio)) };
    T::filemap_remove(&context, &added);
    // Removes the folio, and unlocks it.
    drop(added);
}

/// # Safety
///
/// `inode` must be that of a memory file of the type `T`, and must not be evicted during the call.
/// The caller may sleep.
unsafe extern "C" fn get_folio_noalloc<T: UffdOps>(
    inode: *mut bindings::inode,
    index: usize,
) -> *mut bindings::folio {
    // SAFETY: By the safety requirements of this function, the inode is valid, is that of a memory
    // file of the type `T`, and is not evicted.
    let context = unsafe { FindFolio::<T>::new(NonNull::new_unchecked(inode), index) };
    let answer = T::get_folio_noalloc(&context);
    // C maps the page of the folio without a look at how many references there are.
    match answer.and_then(|found| found.into_mappable(index)) {
        Ok(found) => found.as_ptr(),
        Err(e) => e.to_ptr(),
    }
}
