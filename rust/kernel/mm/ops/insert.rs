// SPDX-License-Identifier: GPL-2.0

//! The functions that install an entry in the page tables of a driver's VMA.
//!
//! They come last in a fault, after the trampoline, the driver and the answer, and call back to
//! none of them. Those that can fail return an errno, which [`FaultError`](super::FaultError)
//! converts for a fault (except [`cow_page`], which returns the code of a fault):
//!
//! - [`EINVAL`] if the architecture does not allow user space to access the memory.
//! - [`ENOMEM`] if there is not enough memory for page tables.
//! - [`EHWPOISON`] if the memory is broken.

use crate::{
    bindings,
    error::to_result,
    mm::memory::{
        pfn::RamMode,
        Cache,
        Folio,
        KernelPagesSlice,
        Slot, //
    },
    page::PAGE_SHIFT,
    prelude::*, //
};
use core::ptr::NonNull;

/// How many folios are mapped after a check of their references.
const FOLIOS_AT_ONCE: usize = 512;

/// Converts the code of an insertion into a result; `VM_FAULT_NOPAGE` is success.
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
/// # Errors
///
/// Also [`EINVAL`] if the folio has [too many references](Folio#references), or if the mapping is
/// private and the OOM killer is reaping the mm.
///
/// # Safety
///
/// - This thread must be handling the fault `vmf`, with the VMA lock or the mmap lock held.
/// - Its VMA must not be a PFNMAP one.
/// - `page` must be a page of a folio that has a reference.
#[inline]
pub(super) unsafe fn fault_page(
    vmf: NonNull<bindings::vm_fault>,
    page: NonNull<bindings::page>,
) -> Result {
    // The entry is not made for writing: in a shared mapping with write-notify, a write has a fault
    // of its own, and in all others the protection of the VMA permits writing.
    //
    // SAFETY: By the safety requirements of this function, this thread is handling `vmf` with the
    // lock held, the VMA is not a PFNMAP one, and the folio of `page` has a reference.
    check(unsafe { bindings::rust_mm_fault_insert_page(vmf.as_ptr(), page.as_ptr()) })
}

/// Maps the page of a slot at the address of a fault, unless something is mapped there.
///
/// Returns `false` if the slot is empty.
///
/// # Errors
///
/// As [`fault_page`].
///
/// # Safety
///
/// - This thread must be handling the fault `vmf`, with the VMA lock or the mmap lock held.
/// - Its VMA must not be a PFNMAP one.
/// - `slot` must be for the page offset of the fault. If pages leave it during the call, they must
///   be unmapped from the address space of the file of the VMA.
#[inline]
pub(super) unsafe fn fault_slot(vmf: NonNull<bindings::vm_fault>, slot: &Slot) -> Result<bool> {
    // SAFETY: By the safety requirements of this function, this thread is handling `vmf` with the
    // lock held, the VMA is not a PFNMAP one, and the pages that leave the slot are unmapped from
    // the VMA. By its type invariants, the slot is null or owns a reference to a page.
    match unsafe { bindings::rust_mm_fault_insert_slot(vmf.as_ptr(), slot.as_ptr()) } {
        0 => Ok(false),
        ret => check(ret).map(|()| true),
    }
}

/// Maps the copy-on-write page of a fault, and returns the kernel's code.
///
/// Success is not `VM_FAULT_NOPAGE`: the kernel has to know that the page is in use.
///
/// # Safety
///
/// This thread must be handling the fault `vmf`, whose copy-on-write page must be initialised. The
/// kernel must get the code.
#[inline]
pub(super) unsafe fn cow_page(vmf: NonNull<bindings::vm_fault>) -> bindings::vm_fault_t {
    // SAFETY: By the safety requirements of this function, this thread is handling the fault, and
    // its copy-on-write page is initialised.
    unsafe { bindings::rust_mm_fault_finish_cow(vmf.as_ptr()) }
}

/// How a PFN is mapped.
#[derive(Clone, Copy)]
pub(super) enum Mode {
    /// With the protection of the VMA.
    Vma,
    /// With another cache mode.
    Cache(Cache),
    /// As the RAM of a device.
    Ram(RamMode),
}

/// Maps a PFN.
///
/// If something is mapped at `addr` already, it remains mapped. `beside_leaves` says whether the
/// driver also maps PMD or PUD leaves.
///
/// # Safety
///
/// - The VMA lock or the mmap lock must be held.
/// - The VMA must be a PFNMAP one that is not copy-on-write, and `addr` the address of a page in
///   it.
/// - User space must be allowed to access the PFN.
#[inline]
pub(super) unsafe fn pfn(
    vma: *mut bindings::vm_area_struct,
    addr: usize,
    pfn: usize,
    mode: Mode,
    beside_leaves: bool,
) -> Result {
    // SAFETY: By the safety requirements of this function, the VMA lock or the mmap lock is held,
    // and `addr` is in the VMA, which is a PFNMAP one.
    if beside_leaves && unsafe { is_leaf(vma, addr) }? {
        return Ok(());
    }
    // SAFETY: By the safety requirements of this function, the VMA is locked, so neither its
    // protection nor its flags change.
    let prot = unsafe {
        match mode {
            Mode::Vma => (*vma).vm_page_prot,
            Mode::Cache(cache) => cache.apply(bindings::rust_mm_vma_cached_page_prot(vma)),
            Mode::Ram(ram) => ram.apply(bindings::rust_mm_vma_cached_page_prot(vma)),
        }
    };
    // SAFETY:
    // - By the safety requirements of this function, the VMA lock or the mmap lock is held, the VMA
    //   is a PFNMAP one that is not copy-on-write, and `addr` is the address of a page in it.
    // - No leaf maps `addr`, so there is a page table, or C allocates it.
    // - User space may access the PFN. The protection is that of the VMA, except for the cache
    //   mode.
    check(unsafe { bindings::vmf_insert_pfn_prot(vma, addr, pfn, prot) })
}

/// Allocates the page table for an address, and returns whether that is impossible because a PMD or
/// PUD leaf maps the address.
///
/// # Safety
///
/// The VMA lock or the mmap lock must be held. `addr` must be in the VMA, which must be a PFNMAP
/// one.
#[inline]
unsafe fn is_leaf(vma: *mut bindings::vm_area_struct, addr: usize) -> Result<bool> {
    // SAFETY: By the safety requirements of this function, the VMA lock or the mmap lock is held,
    // and `addr` is in the VMA, which is a PFNMAP one.
    match unsafe { bindings::rust_mm_vma_alloc_pte_table(vma, addr) } {
        0 => Ok(false),
        err if err == EEXIST.to_errno() => Ok(true),
        _ => Err(ENOMEM),
    }
}

/// Maps consecutive PFNs at consecutive addresses, with the cache mode of the VMA, or as RAM of a
/// device.
///
/// What is mapped at one of the addresses already remains mapped. The PFNs before the one that
/// could not be mapped remain mapped.
///
/// # Safety
///
/// - The VMA lock or the mmap lock must be held.
/// - The VMA must be a PFNMAP one that is not copy-on-write, and must have all the addresses, the
///   first of which must be that of a page.
/// - User space must be allowed to access all the PFNs.
#[inline]
pub(super) unsafe fn pfns(
    vma: *mut bindings::vm_area_struct,
    addr: usize,
    pfn: usize,
    nr_pages: usize,
    ram_mode: Option<RamMode>,
) -> Result {
    // SAFETY: By the safety requirements of this function, the VMA is locked, so neither its
    // protection nor its flags change.
    let prot = unsafe {
        match ram_mode {
            None => (*vma).vm_page_prot,
            Some(ram) => ram.apply(bindings::rust_mm_vma_cached_page_prot(vma)),
        }
    };
    // SAFETY: By the safety requirements of this function, the VMA lock or the mmap lock is held,
    // the VMA is a PFNMAP one that is not copy-on-write and has all the addresses, and user space
    // may access the PFNs. The protection is that of the VMA, except for the cache mode.
    to_result(unsafe { bindings::rust_mm_vma_insert_pfns(vma, addr, pfn, nr_pages, prot) })
}

/// Maps a PFN in a mapping that also has folios.
///
/// If something is mapped at `addr` already, it remains mapped.
///
/// # Safety
///
/// - The VMA lock or the mmap lock must be held.
/// - The VMA must be a MIXEDMAP one, and `addr` the address of a page in it.
/// - User space must be allowed to access the PFN.
#[inline]
pub(super) unsafe fn mixed(vma: *mut bindings::vm_area_struct, addr: usize, pfn: usize) -> Result {
    // SAFETY: C only reads the page of the PFN, and only if it has one.
    #[cfg(not(CONFIG_ARCH_HAS_PTE_SPECIAL))]
    if !unsafe { bindings::rust_mm_pfn_may_be_mapped(pfn) } {
        return Err(EINVAL);
    }
    // SAFETY: By the safety requirements of this function, the VMA lock or the mmap lock is held,
    // the VMA is a MIXEDMAP one, `addr` is the address of a page in it, and user space may access
    // the PFN.
    check(unsafe { bindings::vmf_insert_mixed(vma, addr, pfn) })
}

/// Maps a page of a folio, to which the mapping takes a reference.
///
/// # Errors
///
/// Also [`EBUSY`] if something is mapped at `addr`.
///
/// # Safety
///
/// - The VMA lock or the mmap lock must be held.
/// - The VMA must be a MIXEDMAP one, and `addr` the address of a page in it.
/// - `page` must be a page of a folio that has a reference.
#[inline]
pub(super) unsafe fn page(
    vma: *mut bindings::vm_area_struct,
    addr: usize,
    page: NonNull<bindings::page>,
) -> Result {
    // SAFETY: By the safety requirements of this function, the VMA lock or the mmap lock is held,
    // `addr` is the address of a page in the VMA, and the folio of `page` has a reference. The VMA
    // is a MIXEDMAP one, so C does not set the flag, which would need the write lock.
    to_result(unsafe { bindings::vm_insert_page(vma, addr, page.as_ptr()) })
}

/// Maps pages at consecutive addresses.
///
/// The pages before the one that could not be mapped remain mapped.
///
/// # Errors
///
/// As [`page`].
///
/// # Safety
///
/// - The VMA lock or the mmap lock must be held.
/// - The VMA must be a MIXEDMAP one, and must have the addresses of all the pages.
#[inline]
pub(super) unsafe fn pages(
    vma: *mut bindings::vm_area_struct,
    addr: usize,
    pages: KernelPagesSlice<'_>,
) -> Result {
    // SAFETY: By the safety requirements of this function, the VMA lock or the mmap lock is held,
    // and the VMA is a MIXEDMAP one that has all the addresses. The pages have references, which
    // their owner keeps while `pages` borrows it.
    unsafe { array(vma, addr, pages.as_page_array(), pages.nr_pages()) }
}

/// Maps the pages of an array at consecutive addresses.
///
/// # Errors
///
/// As [`page`].
///
/// # Safety
///
/// - The VMA lock or the mmap lock must be held.
/// - The VMA must be a MIXEDMAP one, and must have the addresses of all the pages.
/// - `pages` must hold `nr_pages` pages of folios that have references.
#[inline]
unsafe fn array(
    vma: *mut bindings::vm_area_struct,
    addr: usize,
    pages: *mut *mut bindings::page,
    nr_pages: usize,
) -> Result {
    // C counts down how many pages are left.
    let mut left = nr_pages;
    // SAFETY: By the safety requirements of this function, the VMA lock or the mmap lock is held,
    // the VMA is a MIXEDMAP one that has all the addresses, and the pages have references. C does
    // not write the array.
    let result = to_result(unsafe { bindings::vm_insert_pages(vma, addr, pages, &mut left) });
    // All addresses are in the VMA, so with EFAULT C has failed to allocate a page table
    // (`insert_pages()` in mm/memory.c).
    result.map_err(|err| if err == EFAULT { ENOMEM } else { err })
}

/// Maps the first pages of folios at consecutive addresses.
///
/// The pages before the one that could not be mapped remain mapped.
///
/// # Errors
///
/// - As [`page`].
/// - [`ENOMEM`] if a folio has [too many references](Folio#references).
///
/// # Safety
///
/// - The VMA lock or the mmap lock must be held.
/// - The VMA must be a MIXEDMAP one, and must have the addresses of all the pages.
#[inline]
pub(super) unsafe fn folios(
    vma: *mut bindings::vm_area_struct,
    mut addr: usize,
    folios: &[&Folio],
) -> Result {
    // The references that a part takes are counted before the next one, which can have the same
    // folio.
    for part in folios.chunks(FOLIOS_AT_ONCE) {
        // A reference to a folio is a pointer to its first page, with which `struct folio` begins.
        let pages = part.as_ptr().cast_mut().cast::<*mut bindings::page>();
        // SAFETY: `pages` holds as many pages of folios, which are valid while they are borrowed.
        if !unsafe { bindings::rust_mm_pages_may_be_mapped(pages, part.len()) } {
            return Err(ENOMEM);
        }
        // SAFETY: By the safety requirements of this function, the VMA lock or the mmap lock is
        // held, and the VMA is a MIXEDMAP one that has all the addresses. The folios have
        // references while they are borrowed.
        unsafe { array(vma, addr, pages, part.len()) }?;
        addr += part.len() << PAGE_SHIFT;
    }
    Ok(())
}

/// Maps consecutive PFNs with one leaf, and returns whether the architecture has such leaves.
///
/// The leaf is a PUD one if `pud` is set, else a PMD one.
///
/// # Safety
///
/// - This thread must be handling the fault `vmf`, with the VMA lock or the mmap lock held.
/// - Its VMA must be a PFNMAP one that is not copy-on-write, and have all addresses of the leaf.
/// - `pfn` must be aligned to the size of the leaf, and user space must be allowed to access all
///   PFNs of the leaf.
#[inline]
pub(super) unsafe fn leaf_of_pfns(
    vmf: NonNull<bindings::vm_fault>,
    pfn: usize,
    pud: bool,
) -> Result<bool> {
    // Without these, a leaf does not say that it maps PFNs, and `get_user_pages_fast` would take
    // them for pages.
    #[cfg(CONFIG_ARCH_SUPPORTS_PUD_PFNMAP)]
    if pud {
        // SAFETY: By the safety requirements of this function, this thread is handling `vmf` with
        // the lock held, the VMA is a PFNMAP one that is not copy-on-write, and it has all
        // addresses of the leaf. `pfn` is aligned, and user space may access all PFNs. Not for
        // writing: see `HugeFault::is_tracked_write`.
        return check(unsafe { bindings::vmf_insert_pfn_pud(vmf.as_ptr(), pfn, false) })
            .map(|()| true);
    }
    #[cfg(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP)]
    if !pud {
        // SAFETY: By the safety requirements of this function, this thread is handling `vmf` with
        // the lock held, the VMA is a PFNMAP one that is not copy-on-write, and it has all
        // addresses of the leaf. `pfn` is aligned, and user space may access all PFNs. Not for
        // writing: see `HugeFault::is_tracked_write`.
        return check(unsafe { bindings::vmf_insert_pfn_pmd(vmf.as_ptr(), pfn, false) })
            .map(|()| true);
    }
    let _ = (vmf, pfn, pud);
    Ok(false)
}

/// Maps a folio with a PMD leaf, and returns whether the architecture has such leaves.
///
/// # Safety
///
/// - This thread must be handling the fault `vmf`, with the VMA lock or the mmap lock held.
/// - Its VMA must be a shared one without PFNMAP and MIXEDMAP, and have all addresses of the leaf.
/// - `folio` must have a reference, and the size of the leaf.
#[inline]
pub(super) unsafe fn leaf_of_folio(
    vmf: NonNull<bindings::vm_fault>,
    folio: &Folio,
) -> Result<bool> {
    #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
    {
        // SAFETY: By the safety requirements of this function, this thread is handling `vmf` with
        // the lock held, the VMA is shared, has neither flag, and has all addresses of the leaf.
        // `folio` has a reference, and the size of the leaf. Not for writing: see
        // `HugeFault::is_tracked_write`.
        check(unsafe { bindings::vmf_insert_folio_pmd(vmf.as_ptr(), folio.as_ptr(), false) })?;
        Ok(true)
    }
    #[cfg(not(CONFIG_TRANSPARENT_HUGEPAGE))]
    {
        let _ = (vmf, folio);
        Ok(false)
    }
}
