// SPDX-License-Identifier: GPL-2.0

//! The C functions that a walk calls.
//!
//! C exports none of them to modules, where the generic code of a walk is instantiated. So nothing
//! here is generic or inlined.

use crate::{
    bindings,
    page::PAGE_SHIFT,
    prelude::*,
    task::might_sleep, //
};
use core::{
    ops::Range,
    ptr, //
};

/// Walks a range of a VMA.
///
/// # Safety
///
/// - If `mmap_lock`, the mmap lock must be held, otherwise the VMA lock.
/// - The range must be in the VMA.
/// - `ops` must be operations that expect `private`, and must not have `install_pte`.
#[inline(never)]
pub(super) unsafe fn walk_vma(
    vma: *mut bindings::vm_area_struct,
    mmap_lock: bool,
    range: Range<usize>,
    ops: &mut bindings::mm_walk_ops,
    private: *mut c_void,
) -> c_int {
    might_sleep();
    ops.walk_lock = if mmap_lock {
        bindings::page_walk_lock_PGWALK_RDLOCK
    } else {
        bindings::page_walk_lock_PGWALK_VMA_RDLOCK_VERIFY
    };
    // SAFETY: By the safety requirements of this function, the lock that `walk_lock` names is held,
    // the range is in the VMA, and `ops` expect `private` and install nothing.
    unsafe { bindings::walk_page_range_vma(vma, range.start, range.end, ops, private) }
}

/// Walks a range of an mm.
///
/// # Safety
///
/// - The mmap lock must be held.
/// - `ops` must be operations that expect `private`, and must not have `install_pte`.
#[inline(never)]
pub(super) unsafe fn walk_range(
    mm: *mut bindings::mm_struct,
    range: Range<usize>,
    ops: &mut bindings::mm_walk_ops,
    private: *mut c_void,
) -> c_int {
    might_sleep();
    ops.walk_lock = bindings::page_walk_lock_PGWALK_RDLOCK;
    // SAFETY: By the safety requirements of this function, the mmap lock is held, and `ops` expect
    // `private` and install nothing.
    unsafe { bindings::walk_page_range(mm, range.start, range.end, ops, private) }
}

/// Walks a range of one VMA of a file.
///
/// C calls the operations for all VMAs of the file that map a page of the range. The state in
/// `private` must say which VMA is wanted, and the operations must do nothing for the others. `ops`
/// must have `test_walk`: without it, C stops at the first VMA that it leaves out, and the wanted
/// one may come later.
///
/// # Safety
///
/// - The i_mmap lock of `mapping` must be held.
/// - `vma` must be a VMA in `mapping`. The range must consist of whole pages of it, at least one.
/// - `ops` must be operations that expect `private`, and must not have `install_pte`.
#[inline(never)]
pub(super) unsafe fn walk_mapping(
    mapping: *mut bindings::address_space,
    vma: *mut bindings::vm_area_struct,
    range: Range<usize>,
    ops: &mut bindings::mm_walk_ops,
    private: *mut c_void,
) -> c_int {
    might_sleep();
    // C would take the lock of the hugetlb VMA, which comes before the i_mmap lock.
    ops.hugetlb_entry = None;
    // SAFETY: By the safety requirements of this function, `vma` is a VMA in `mapping`, whose
    // i_mmap lock is held. The fields do not change under that lock.
    let (start, pgoff) = unsafe {
        (
            (*vma).__bindgen_anon_1.__bindgen_anon_1.vm_start,
            (*vma).vm_pgoff,
        )
    };
    let first = pgoff + ((range.start - start) >> PAGE_SHIFT);
    let nr = (range.end - range.start) >> PAGE_SHIFT;
    // SAFETY: By the safety requirements of this function, the i_mmap lock of `mapping` is held,
    // and `ops` expect `private` and install nothing.
    unsafe { bindings::walk_page_mapping(mapping, first, nr, ops, private) }
}

/// Drops the lock of a hugetlb VMA while the walker is called for a hole.
///
/// C holds that lock for reading. The walker may do something that takes it too, such as a fault.
///
/// # Safety
///
/// C must be calling `pte_hole` for this walk.
#[inline(never)]
pub(super) unsafe fn hole_begin(walk: *mut bindings::mm_walk) {
    // SAFETY: By the safety requirements of this function, C is calling `pte_hole` for this walk,
    // so it holds that lock, if the VMA is a hugetlb VMA.
    unsafe { bindings::rust_mm_pgtable_hole_begin(walk) };
}

/// Takes the lock of a hugetlb VMA again.
///
/// # Safety
///
/// C must be calling `pte_hole` for this walk, and `hole_begin` must have been called since.
#[inline(never)]
pub(super) unsafe fn hole_end(walk: *mut bindings::mm_walk) {
    // SAFETY: By the safety requirements of this function, C is calling `pte_hole` for this walk,
    // and `hole_begin` has dropped the lock.
    unsafe { bindings::rust_mm_pgtable_hole_end(walk) };
}

/// The page table lock of an entry.
///
/// # Invariants
///
/// The current thread holds the lock.
pub(super) struct PageTableLock(*mut bindings::spinlock_t);

impl PageTableLock {
    /// Drops the lock.
    #[inline(never)]
    pub(super) fn unlock(self) {
        // SAFETY: By the type invariants, the current thread holds the lock.
        unsafe { bindings::spin_unlock(self.0) };
    }
}

/// The kind of an entry that could be a leaf.
pub(super) enum Found {
    None,
    Table,
    Leaf(bindings::rust_pgtable_entry, PageTableLock),
}

impl Found {
    /// Wraps the result of C.
    ///
    /// # Safety
    ///
    /// If `found` is `RUST_PGTABLE_IS_LEAF`, the current thread must hold `lock`, and the caller
    /// must not drop it.
    unsafe fn new(
        found: bindings::rust_pgtable_lock,
        raw: bindings::rust_pgtable_entry,
        lock: *mut bindings::spinlock_t,
    ) -> Self {
        match found {
            bindings::rust_pgtable_lock_RUST_PGTABLE_IS_LEAF => {
                // INVARIANT: By the safety requirements of this function, the current thread holds
                // `lock`.
                Found::Leaf(raw, PageTableLock(lock))
            }
            bindings::rust_pgtable_lock_RUST_PGTABLE_IS_TABLE => Found::Table,
            _ => Found::None,
        }
    }
}

/// Reads a PUD, and takes its lock if it is a leaf.
///
/// # Safety
///
/// C must be calling `pud_entry` of `walk` for `pud` and `addr`.
#[inline(never)]
pub(super) unsafe fn lock_pud(
    walk: *mut bindings::mm_walk,
    pud: *mut bindings::pud_t,
    addr: usize,
) -> Found {
    let mut raw = bindings::rust_pgtable_entry::default();
    let mut lock = ptr::null_mut();
    // SAFETY:
    // - By the safety requirements of this function, `pud` is the entry of `addr` in `walk`.
    // - C has locked `lock` if it returns that the entry is a leaf.
    unsafe {
        let found = bindings::rust_mm_pgtable_lock_pud(walk, pud, addr, &mut raw, &mut lock);
        Found::new(found, raw, lock)
    }
}

/// Reads a PMD, and takes its lock if it is a leaf.
///
/// # Safety
///
/// C must be calling `pmd_entry` of `walk` for `pmd` and `addr`.
#[inline(never)]
pub(super) unsafe fn lock_pmd(
    walk: *mut bindings::mm_walk,
    pmd: *mut bindings::pmd_t,
    addr: usize,
) -> Found {
    let mut raw = bindings::rust_pgtable_entry::default();
    let mut lock = ptr::null_mut();
    // SAFETY:
    // - By the safety requirements of this function, `pmd` is the entry of `addr` in `walk`.
    // - C has locked `lock` if it returns that the entry is a leaf.
    unsafe {
        let found = bindings::rust_mm_pgtable_lock_pmd(walk, pmd, addr, &mut raw, &mut lock);
        Found::new(found, raw, lock)
    }
}

/// Takes the lock of an entry of a hugetlb VMA, and reads the entry.
///
/// # Safety
///
/// C must be calling `hugetlb_entry` of `walk` for `pte`, `mask` and `addr`.
#[inline(never)]
pub(super) unsafe fn lock_hugetlb(
    walk: *mut bindings::mm_walk,
    pte: *mut bindings::pte_t,
    mask: usize,
    addr: usize,
) -> (bindings::rust_pgtable_entry, PageTableLock) {
    let mut raw = bindings::rust_pgtable_entry::default();
    let mut lock = ptr::null_mut();
    // SAFETY: By the safety requirements of this function, `pte` is the entry of `addr` in `walk`,
    // which is in a hugetlb VMA.
    unsafe { bindings::rust_mm_pgtable_lock_hugetlb(walk, pte, mask, addr, &mut raw, &mut lock) };
    // INVARIANT: `rust_mm_pgtable_lock_hugetlb` returns with the lock held.
    (raw, PageTableLock(lock))
}

/// Reads a PTE.
///
/// # Safety
///
/// C must be calling `pte_entry` of `walk` for `pte` and `addr`, with the page table lock held.
#[inline(never)]
pub(super) unsafe fn read_pte(
    walk: *mut bindings::mm_walk,
    pte: *mut bindings::pte_t,
    addr: usize,
) -> bindings::rust_pgtable_entry {
    let mut raw = bindings::rust_pgtable_entry::default();
    // SAFETY: By the safety requirements of this function, `pte` is the entry of `addr` in `walk`,
    // and the page table lock is held.
    unsafe { bindings::rust_mm_pgtable_read_pte(walk, pte, addr, &mut raw) };
    raw
}
