// SPDX-License-Identifier: GPL-2.0

//! Insertions: the functions that put an entry into the page tables of a driver's VMA.
//!
//! A fault gets here last: trampoline, driver, answer, insertion. Nothing in this file calls back.
//!
//! Those that can fail return an errno, which [`FaultError`](super::FaultError) translates for a fault
//! (but for [`cow_page`], whose code is the kernel's):
//!
//! - [`EINVAL`] if the architecture does not allow user space to have the memory.
//! - [`ENOMEM`] if there is not enough memory for page tables.
//! - [`EHWPOISON`] if the memory is broken.

use crate::{
    bindings,
    error::to_result,
    mm::memory::{
        Cache,
        Folio,
        KernelPagesSlice, //
    },
    prelude::*, //
};
use core::ptr::NonNull;

/// Turns the code of an insertion into a result: `VM_FAULT_NOPAGE` is success.
#[inline]
fn check(ret: bindings::vm_fault_t) -> Result {
    match ret {
        bindings::vm_fault_reason_VM_FAULT_NOPAGE => Ok(()),
        bindings::vm_fault_reason_VM_FAULT_OOM => Err(ENOMEM),
        bindings::vm_fault_reason_VM_FAULT_HWPOISON => Err(EHWPOISON),
        _ => Err(EINVAL),
    }
}

/// Maps a page at the address of a fault, unless something is mapped there.
///
/// Not inlined: modules cannot call what this calls.
///
/// # Errors
///
/// Also [`EINVAL`] if the folio has [too many references](Folio#references).
///
/// # Safety
///
/// - `vmf` must be a fault that is being handled on this thread, under the VMA lock or the mmap lock.
/// - Its VMA must not be a PFNMAP one.
/// - `page` must be a page of a folio that has a reference.
#[inline(never)]
pub(super) unsafe fn fault_page(
    vmf: NonNull<bindings::vm_fault>,
    page: NonNull<bindings::page>,
) -> Result {
    // SAFETY: The caller promises a fault that is being handled, with the right lock and VMA, and
    // the folio's reference. Not for writing: a shared mapping with write-notify gets a fault of its
    // own for a write, and all others have the write permission in the protection of the VMA.
    check(unsafe { bindings::rust_mm_fault_insert_page(vmf.as_ptr(), page.as_ptr()) })
}

/// Maps a page near the address of a fault, unless something is mapped there. Returns whether it did.
///
/// A page that is broken, or whose folio has [too many references](Folio#references), is not mapped.
///
/// Not inlined: modules cannot call what this calls.
///
/// # Safety
///
/// - `vmf` must be a fault that the kernel has called `map_pages` for, and that this thread is handling.
/// - Its VMA must not be a PFNMAP one.
/// - `pte` must be the entry of `addr`, in a page table that this thread has locked, and `addr` be that
///   of a page in the VMA.
/// - `page` must be a page of a folio that has a reference.
#[inline(never)]
pub(super) unsafe fn around_page(
    vmf: NonNull<bindings::vm_fault>,
    pte: NonNull<bindings::pte_t>,
    page: NonNull<bindings::page>,
    addr: usize,
) -> bool {
    // SAFETY: The caller promises the fault, the entry, whose table is locked, and the reference.
    unsafe { bindings::rust_mm_fault_around_map(vmf.as_ptr(), pte.as_ptr(), page.as_ptr(), addr) }
}

/// Maps the copy-on-write page of a fault, and returns the kernel's code: success is not
/// `VM_FAULT_NOPAGE`, since the kernel has to know that the page is in use.
///
/// Not inlined: modules cannot call what this calls.
///
/// # Safety
///
/// `vmf` must be a fault that is being handled on this thread, under the VMA lock or the mmap lock, with
/// a copy-on-write page that is initialised. The kernel must get the code.
#[inline(never)]
pub(super) unsafe fn cow_page(vmf: NonNull<bindings::vm_fault>) -> bindings::vm_fault_t {
    // SAFETY: The caller promises a fault that is being handled, and its page.
    unsafe { bindings::rust_mm_fault_finish_cow(vmf.as_ptr()) }
}

/// Maps a PFN, with a cache mode of its own or with that of the VMA. What is mapped there already
/// stays.
///
/// `beside_leaves` tells that the driver maps PMD or PUD leaves as well.
///
/// # Safety
///
/// - The VMA lock or the mmap lock must be held.
/// - The VMA must be a PFNMAP one that is not copy-on-write, and `addr` be that of a page in it.
/// - User space must be allowed to have the PFN.
#[inline]
pub(super) unsafe fn pfn(
    vma: *mut bindings::vm_area_struct,
    addr: usize,
    pfn: usize,
    cache: Option<Cache>,
    beside_leaves: bool,
) -> Result {
    // SAFETY: The caller promises the lock and the PFNMAP VMA, which has the address.
    if beside_leaves && unsafe { is_leaf(vma, addr) }? {
        return Ok(());
    }
    let prot = match cache {
        // SAFETY: The caller promises that the VMA is locked, so its protection does not change.
        None => unsafe { (*vma).vm_page_prot },
        // SAFETY: The VMA is locked, so neither its protection nor its flags change.
        Some(cache) => cache.apply(unsafe { bindings::rust_mm_vma_cached_page_prot(vma) }),
    };
    // SAFETY: The caller promises a lock that allows installing, and the PFNMAP VMA, which has the
    // address and is not copy-on-write. There is no leaf above the entry. The protection is the
    // VMA's, but for the cache mode.
    check(unsafe { bindings::vmf_insert_pfn_prot(vma, addr, pfn, prot) })
}

/// Makes sure that there is a page table for an address. Returns whether there cannot be one,
/// because a PMD or PUD leaf maps the address.
///
/// Not inlined: modules cannot call what this calls.
///
/// # Safety
///
/// The VMA lock or the mmap lock must be held, and the address be in the VMA, which must be a PFNMAP
/// one.
#[inline(never)]
unsafe fn is_leaf(vma: *mut bindings::vm_area_struct, addr: usize) -> Result<bool> {
    // SAFETY: The caller's promise.
    match unsafe { bindings::rust_mm_vma_alloc_pte_table(vma, addr) } {
        0 => Ok(false),
        err if err == EEXIST.to_errno() => Ok(true),
        _ => Err(ENOMEM),
    }
}

/// Maps a PFN in a mapping of folios. What is mapped there already stays.
///
/// # Safety
///
/// - The VMA lock or the mmap lock must be held.
/// - The VMA must be a MIXEDMAP one, and `addr` be that of a page in it.
/// - User space must be allowed to have the PFN.
#[inline]
pub(super) unsafe fn mixed(vma: *mut bindings::vm_area_struct, addr: usize, pfn: usize) -> Result {
    // SAFETY: Only looks at the page of the PFN, if it has one.
    #[cfg(not(CONFIG_ARCH_HAS_PTE_SPECIAL))]
    if !unsafe { bindings::rust_mm_pfn_may_be_mapped(pfn) } {
        return Err(EINVAL);
    }
    // SAFETY: The caller's promise: a lock that allows installing, a MIXEDMAP VMA with the address,
    // and a PFN that user space may have.
    check(unsafe { bindings::vmf_insert_mixed(vma, addr, pfn) })
}

/// Maps a page of a folio. The mapping takes a reference.
///
/// # Errors
///
/// Also [`EBUSY`] if something is mapped there.
///
/// # Safety
///
/// - The VMA lock or the mmap lock must be held.
/// - The VMA must be a MIXEDMAP one, and `addr` be that of a page in it.
/// - `page` must be a page of a folio that has a reference.
#[inline]
pub(super) unsafe fn page(
    vma: *mut bindings::vm_area_struct,
    addr: usize,
    page: NonNull<bindings::page>,
) -> Result {
    // SAFETY: The caller's promise. C would set MIXEDMAP, which takes the write lock, if it were not
    // set.
    to_result(unsafe { bindings::vm_insert_page(vma, addr, page.as_ptr()) })
}

/// Maps pages at consecutive addresses. Those before the one that could not be mapped stay.
///
/// # Errors
///
/// As [`page`].
///
/// # Safety
///
/// - The VMA lock or the mmap lock must be held.
/// - The VMA must be a MIXEDMAP one, and all of the pages' addresses be in it.
#[inline]
pub(super) unsafe fn pages(
    vma: *mut bindings::vm_area_struct,
    addr: usize,
    pages: KernelPagesSlice<'_>,
) -> Result {
    // C counts down how many there are left.
    let mut left = pages.nr_pages();
    // SAFETY: The caller's promise: a lock that allows installing, and a MIXEDMAP VMA with the
    // addresses. The pages have references, which their owner keeps.
    let result = to_result(unsafe {
        bindings::vm_insert_pages(vma, addr, pages.as_page_array(), &mut left)
    });
    // The addresses are right, so what C could not have is a page table (`insert_pages()`).
    result.map_err(|err| if err == EFAULT { ENOMEM } else { err })
}

/// Maps consecutive PFNs by one entry: a PUD leaf, or else a PMD leaf.
///
/// Returns whether the architecture has such leaves.
///
/// # Safety
///
/// - `vmf` must be a fault that is being handled on this thread, under the VMA lock or the mmap lock.
/// - Its VMA must be a PFNMAP one that is not copy-on-write, and have all addresses that the leaf maps.
/// - `pfn` must be aligned to the size of the leaf, and user space be allowed to have all that it maps.
#[inline]
pub(super) unsafe fn leaf_of_pfns(
    vmf: NonNull<bindings::vm_fault>,
    pfn: usize,
    pud: bool,
) -> Result<bool> {
    #[cfg(CONFIG_HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD)]
    if pud {
        // SAFETY: The caller's promise. Not for writing: see `HugeFault::is_tracked_write`.
        return check(unsafe { bindings::vmf_insert_pfn_pud(vmf.as_ptr(), pfn, false) })
            .map(|()| true);
    }
    #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
    if !pud {
        // SAFETY: The caller's promise. Not for writing: see `HugeFault::is_tracked_write`.
        return check(unsafe { bindings::vmf_insert_pfn_pmd(vmf.as_ptr(), pfn, false) })
            .map(|()| true);
    }
    let _ = (vmf, pfn, pud);
    Ok(false)
}

/// Maps a folio by a PMD leaf.
///
/// Returns whether the architecture has such leaves.
///
/// # Safety
///
/// - `vmf` must be a fault that is being handled on this thread, under the VMA lock or the mmap lock.
/// - Its VMA must be a shared one without PFNMAP and MIXEDMAP, and have all addresses that the leaf
///   maps.
/// - `folio` must have a reference, and be of the size of the leaf.
#[inline]
pub(super) unsafe fn leaf_of_folio(
    vmf: NonNull<bindings::vm_fault>,
    folio: &Folio,
) -> Result<bool> {
    #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
    {
        // SAFETY: The caller's promise. Not for writing: see `HugeFault::is_tracked_write`.
        check(unsafe { bindings::vmf_insert_folio_pmd(vmf.as_ptr(), folio.as_ptr(), false) })?;
        Ok(true)
    }
    #[cfg(not(CONFIG_TRANSPARENT_HUGEPAGE))]
    {
        let _ = (vmf, folio);
        Ok(false)
    }
}
