// SPDX-License-Identifier: GPL-2.0

//! What a walk needs of C. Nothing here is generic, and nothing is inlined: a walk is made where its
//! walker is, and modules cannot call these functions of C.

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

/// # Safety
///
/// The lock must be held that `mmap_lock` tells: the mmap lock, or else the VMA lock. The range must
/// be in the VMA. `ops` must be operations that go with `private`, and that install nothing.
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
    // SAFETY: The caller's promise.
    unsafe { bindings::walk_page_range_vma(vma, range.start, range.end, ops, private) }
}

/// # Safety
///
/// The mmap lock must be held. `ops` must be operations that go with `private`, and that install
/// nothing.
#[inline(never)]
pub(super) unsafe fn walk_range(
    mm: *mut bindings::mm_struct,
    range: Range<usize>,
    ops: &mut bindings::mm_walk_ops,
    private: *mut c_void,
) -> c_int {
    might_sleep();
    ops.walk_lock = bindings::page_walk_lock_PGWALK_RDLOCK;
    // SAFETY: The caller's promise.
    unsafe { bindings::walk_page_range(mm, range.start, range.end, ops, private) }
}

/// Walks the one VMA that `private` says not to leave out. The operations must have a `test_walk`: C
/// stops at the first VMA that is not to be entered, where another may be the one.
///
/// # Safety
///
/// The i_mmap lock of `mapping` must be held, `vma` be a VMA in it, and the range be whole pages,
/// at least one, in the VMA. `ops` must be operations that go with `private`, and that install
/// nothing.
#[inline(never)]
pub(super) unsafe fn walk_mapping(
    mapping: *mut bindings::address_space,
    vma: *mut bindings::vm_area_struct,
    range: Range<usize>,
    ops: &mut bindings::mm_walk_ops,
    private: *mut c_void,
) -> c_int {
    might_sleep();
    // Its lock would have to be taken before the one that is held.
    ops.hugetlb_entry = None;
    // SAFETY: The caller's promise: the fields do not change.
    let (start, pgoff) = unsafe {
        (
            (*vma).__bindgen_anon_1.__bindgen_anon_1.vm_start,
            (*vma).vm_pgoff,
        )
    };
    let first = pgoff + ((range.start - start) >> PAGE_SHIFT);
    let nr = (range.end - range.start) >> PAGE_SHIFT;
    // SAFETY: The caller's promise.
    unsafe { bindings::walk_page_mapping(mapping, first, nr, ops, private) }
}

/// Gives up what C has locked of a hugetlb VMA for the time in which a walker is told of a hole, when it
/// may do what takes that lock, too.
///
/// # Safety
///
/// C must have called `pte_hole` for this walk.
#[inline(never)]
pub(super) unsafe fn hole_begin(walk: *mut bindings::mm_walk) {
    // SAFETY: The caller's promise.
    unsafe { bindings::rust_mm_pgtable_hole_begin(walk) };
}

/// # Safety
///
/// As for [`hole_begin`], which must have been called.
#[inline(never)]
pub(super) unsafe fn hole_end(walk: *mut bindings::mm_walk) {
    // SAFETY: The caller's promise.
    unsafe { bindings::rust_mm_pgtable_hole_end(walk) };
}

/// The lock of an entry.
///
/// # Invariants
///
/// The current thread holds it.
pub(super) struct PageTableLock(*mut bindings::spinlock_t);

impl PageTableLock {
    #[inline(never)]
    pub(super) fn unlock(self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::spin_unlock(self.0) };
    }
}

/// What an entry that could be a huge one has turned out to be.
pub(super) enum Found {
    None,
    Table,
    Leaf(bindings::rust_pgtable_entry, PageTableLock),
}

impl Found {
    /// # Safety
    ///
    /// If `found` says so, the current thread must hold `lock`.
    unsafe fn new(
        found: bindings::rust_pgtable_lock,
        raw: bindings::rust_pgtable_entry,
        lock: *mut bindings::spinlock_t,
    ) -> Self {
        match found {
            bindings::rust_pgtable_lock_RUST_PGTABLE_IS_LEAF => {
                // INVARIANT: The caller's promise.
                Found::Leaf(raw, PageTableLock(lock))
            }
            bindings::rust_pgtable_lock_RUST_PGTABLE_IS_TABLE => Found::Table,
            _ => Found::None,
        }
    }
}

/// # Safety
///
/// `pud` must be the entry of `addr` in `walk`, as C calls us with it.
#[inline(never)]
pub(super) unsafe fn lock_pud(
    walk: *mut bindings::mm_walk,
    pud: *mut bindings::pud_t,
    addr: usize,
) -> Found {
    let mut raw = bindings::rust_pgtable_entry::default();
    let mut lock = ptr::null_mut();
    // SAFETY: The caller's promise; it locks where it says so.
    unsafe {
        let found = bindings::rust_mm_pgtable_lock_pud(walk, pud, addr, &mut raw, &mut lock);
        Found::new(found, raw, lock)
    }
}

/// # Safety
///
/// `pmd` must be the entry of `addr` in `walk`, as C calls us with it.
#[inline(never)]
pub(super) unsafe fn lock_pmd(
    walk: *mut bindings::mm_walk,
    pmd: *mut bindings::pmd_t,
    addr: usize,
) -> Found {
    let mut raw = bindings::rust_pgtable_entry::default();
    let mut lock = ptr::null_mut();
    // SAFETY: The caller's promise; it locks where it says so.
    unsafe {
        let found = bindings::rust_mm_pgtable_lock_pmd(walk, pmd, addr, &mut raw, &mut lock);
        Found::new(found, raw, lock)
    }
}

/// # Safety
///
/// `pte` must be the entry of `addr` in `walk`, as C calls us with it in a hugetlb VMA.
#[inline(never)]
pub(super) unsafe fn lock_hugetlb(
    walk: *mut bindings::mm_walk,
    pte: *mut bindings::pte_t,
    mask: usize,
    addr: usize,
) -> (bindings::rust_pgtable_entry, PageTableLock) {
    let mut raw = bindings::rust_pgtable_entry::default();
    let mut lock = ptr::null_mut();
    // SAFETY: The caller's promise.
    unsafe { bindings::rust_mm_pgtable_lock_hugetlb(walk, pte, mask, addr, &mut raw, &mut lock) };
    // INVARIANT: It locks.
    (raw, PageTableLock(lock))
}

/// # Safety
///
/// `pte` must be the entry of `addr` in `walk`, as C calls us with it.
#[inline(never)]
pub(super) unsafe fn read_pte(
    walk: *mut bindings::mm_walk,
    pte: *mut bindings::pte_t,
    addr: usize,
) -> bindings::rust_pgtable_entry {
    let mut raw = bindings::rust_pgtable_entry::default();
    // SAFETY: The caller's promise.
    unsafe { bindings::rust_mm_pgtable_read_pte(walk, pte, addr, &mut raw) };
    raw
}
