// SPDX-License-Identifier: GPL-2.0

//! Faults of the mappings of memory files, and what userfaultfd fills.

use super::{
    inode::MemoryInode,
    space, //
};
use crate::{
    bindings,
    mm::{
        filemap::LockedCacheFolio,
        uffd::{
            self,
            UffdModes, //
        },
        virt::flags as vm_flags, //
    },
    prelude::*, //
};

/// A folio that has the page, which the file may end before; or an answer that was given already.
enum Found<'a> {
    Page(LockedCacheFolio<'a>),
    Raised(bindings::vm_fault_t),
}

/// Returns whether a fault is a write access to the file, and not to a copy-on-write page.
///
/// # Safety
///
/// This thread must be handling `vmf`, and `vma` must be its VMA.
#[inline]
unsafe fn writes_to_file(vmf: *mut bindings::vm_fault, vma: *mut bindings::vm_area_struct) -> bool {
    // SAFETY: By the safety requirements of this function, both are valid, and the VMA is locked.
    let (flags, vm_flags) = unsafe { ((*vmf).flags, (*vma).__bindgen_anon_2.vm_flags) };
    flags & bindings::fault_flag_FAULT_FLAG_WRITE != 0 && vm_flags & vm_flags::SHARED != 0
}

/// Finds the page of a fault, or allocates it.
///
/// The file may already end before the page of the folio that is returned.
///
/// # Errors
///
/// - [`EFAULT`] if it is past the end of the file.
/// - [`ENOMEM`] if there is not enough memory, also if the memory cgroup may not have more.
/// - [`EIO`] if the folio is not up to date.
///
/// # Safety
///
/// This thread must be handling `vmf`, a fault of a VMA of the memory file, and must give up the
/// fault if the answer is `Raised`: the VMA may be gone then.
#[inline]
unsafe fn find<'a>(
    memory: &'a MemoryInode,
    vmf: *mut bindings::vm_fault,
    vma: *mut bindings::vm_area_struct,
    index: usize,
) -> Result<Found<'a>> {
    let cache = memory.cache();
    loop {
        // SAFETY: By the safety requirements of this function, the VMA is locked.
        let minor = unsafe { bindings::userfaultfd_minor(vma) };
        if minor && cache.get(index).is_some() {
            // SAFETY: This thread is handling the fault, and the VMA is registered for minor
            // faults. The caller does not use it again, and holds no other lock.
            let raised = unsafe { uffd::raise(vmf, UffdModes::MINOR) };
            return Ok(Found::Raised(raised));
        }
        if let Some(folio) = cache.get_locked(index)? {
            return Ok(Found::Page(folio));
        }
        // SAFETY: By the safety requirements of this function, the VMA is locked.
        if unsafe { bindings::userfaultfd_missing(vma) } {
            // SAFETY: This thread is handling the fault, and the VMA is registered for missing
            // faults. The caller does not use it again, and holds no other lock.
            let raised = unsafe { uffd::raise(vmf, UffdModes::MISSING) };
            return Ok(Found::Raised(raised));
        }
        // SAFETY: By the safety requirements of this function, the VMA is locked, so its mm exists.
        let mm = unsafe { (*vma).vm_mm };
        let range = 0..cache.size_in_pages();
        if index >= range.end {
            return Err(EFAULT);
        }
        // SAFETY: The mm is valid.
        let (folio, first) = unsafe { space::alloc_for(memory, mm, index, range) }?;
        let mut folio = folio.zeroed();
        // SAFETY: This thread is handling the fault, so its VMA is locked.
        if unsafe { writes_to_file(vmf, vma) } {
            // The kernel does this once the page is mapped, and drops the VMA lock if it is the
            // first to do so.
            folio = folio.into_dirty();
        }
        match cache.fill(folio, first) {
            Ok(folio) => return Ok(Found::Page(folio)),
            // Another thread has added a page in between.
            Err(err) if err == EEXIST => {}
            Err(err) => return Err(err),
        }
    }
}

/// `vm_operations_struct::fault`.
///
/// # Safety
///
/// This thread must be handling `vmf`, a fault of a VMA of a memory file.
pub(super) unsafe extern "C" fn fault(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
    // SAFETY: By the safety requirements of this function, `vmf` is a fault that this thread is
    // handling, so its VMA is locked. The VMA is one of a memory file, to which it has a reference.
    let (vma, index, memory) = unsafe {
        let fault = &(*vmf).__bindgen_anon_1;
        (
            fault.vma,
            fault.pgoff,
            MemoryInode::from_file((*fault.vma).vm_file),
        )
    };
    if let Some(decide) = memory.decide() {
        // SAFETY: This thread is handling the fault of a VMA of a file with this type. If there is
        // a code, nothing uses the VMA after that.
        if let Some(code) = unsafe { uffd::act(vmf, decide) } {
            return code;
        }
    }
    // SAFETY: This thread is handling the fault. If it is raised, nothing uses the VMA after that.
    match unsafe { find(memory, vmf, vma, index) } {
        // SAFETY: This thread is handling the fault. The folio is in the page cache of the file.
        Ok(Found::Page(folio)) => unsafe { uffd::answer(vmf, folio) },
        Ok(Found::Raised(answer)) => answer,
        Err(err) if err == ENOMEM => bindings::vm_fault_reason_VM_FAULT_OOM,
        Err(_) => bindings::vm_fault_reason_VM_FAULT_SIGBUS,
    }
}
