// SPDX-License-Identifier: GPL-2.0

//! The C functions that a walk calls.
//!
//! The generic code of a walk is instantiated in modules. Those C functions that are not exported
//! to modules are called by functions that are neither generic nor inlined.

use crate::{
    bindings,
    page::PAGE_SHIFT,
    prelude::*,
    task::might_sleep, //
};
use core::{
    mem::MaybeUninit,
    ops::Range,
    ptr::{
        self,
        NonNull, //
    }, //
};

/// Walks a range of a VMA.
///
/// # Safety
///
/// - The lock that `ops.walk_lock` names must be held.
/// - The range must be in the VMA.
/// - `ops` must be operations that expect `private`, and must not have `install_pte`.
#[inline(never)]
pub(super) unsafe fn walk_vma(
    vma: *mut bindings::vm_area_struct,
    range: Range<usize>,
    ops: &bindings::mm_walk_ops,
    private: *mut c_void,
) -> c_int {
    might_sleep();
    // SAFETY: By the safety requirements of this function, the lock that `walk_lock` names is held,
    // the range is in the VMA, and `ops` expect `private` and install nothing.
    unsafe { bindings::walk_page_range_vma(vma, range.start, range.end, ops, private) }
}

/// Walks a range of an mm.
///
/// # Safety
///
/// - The mmap lock must be held, and `ops.walk_lock` must say so.
/// - `ops` must be operations that expect `private`, and must not have `install_pte`.
#[inline(never)]
pub(super) unsafe fn walk_range(
    mm: *mut bindings::mm_struct,
    range: Range<usize>,
    ops: &bindings::mm_walk_ops,
    private: *mut c_void,
) -> c_int {
    might_sleep();
    // SAFETY: By the safety requirements of this function, the mmap lock is held, and `ops` expect
    // `private` and install nothing.
    unsafe { bindings::walk_page_range(mm, range.start, range.end, ops, private) }
}

/// Walks a range of one VMA of a file.
///
/// C calls the operations for all VMAs of the file that map a page of the range. The state in
/// `private` must say which VMA is wanted, and the operations must do nothing for the others. `ops`
/// must have `test_walk`: without it, C stops at the first VMA that it leaves out, and the wanted
/// one may come later. They must not have `hugetlb_entry`: C would take the lock of the hugetlb VMA
/// for it, which comes before the i_mmap lock.
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
    ops: &bindings::mm_walk_ops,
    private: *mut c_void,
) -> c_int {
    might_sleep();
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
#[inline]
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
#[inline]
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
    #[inline]
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
    /// Calls a C function that reads an entry, and wraps its result.
    ///
    /// # Safety
    ///
    /// If `read` returns `RUST_PGTABLE_IS_LEAF`, it must have initialised both arguments, and have
    /// taken the lock that the second one points to.
    #[inline]
    unsafe fn read(
        read: impl FnOnce(
            *mut bindings::rust_pgtable_entry,
            *mut *mut bindings::spinlock_t,
        ) -> bindings::rust_pgtable_lock,
    ) -> Self {
        let mut raw = MaybeUninit::uninit();
        let mut lock = MaybeUninit::uninit();
        match read(raw.as_mut_ptr(), lock.as_mut_ptr()) {
            bindings::rust_pgtable_lock_RUST_PGTABLE_IS_LEAF => {
                // SAFETY: By the safety requirements of this function, `read` has initialised both.
                let (raw, lock) = unsafe { (raw.assume_init(), lock.assume_init()) };
                // INVARIANT: By the safety requirements of this function, `read` has taken the
                // lock.
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
#[inline]
pub(super) unsafe fn lock_pud(
    walk: *mut bindings::mm_walk,
    pud: *mut bindings::pud_t,
    addr: usize,
) -> Found {
    // SAFETY:
    // - By the safety requirements of this function, `pud` is the entry of `addr` in `walk`.
    // - If C returns that the entry is a leaf, it has set `raw` and `lock`, and locked the latter.
    unsafe {
        Found::read(|raw, lock| bindings::rust_mm_pgtable_lock_pud(walk, pud, addr, raw, lock))
    }
}

/// Reads a PMD, and takes its lock if it is a leaf.
///
/// # Safety
///
/// C must be calling `pmd_entry` of `walk` for `pmd` and `addr`.
#[inline]
pub(super) unsafe fn lock_pmd(
    walk: *mut bindings::mm_walk,
    pmd: *mut bindings::pmd_t,
    addr: usize,
) -> Found {
    // SAFETY:
    // - By the safety requirements of this function, `pmd` is the entry of `addr` in `walk`.
    // - If C returns that the entry is a leaf, it has set `raw` and `lock`, and locked the latter.
    unsafe {
        Found::read(|raw, lock| bindings::rust_mm_pgtable_lock_pmd(walk, pmd, addr, raw, lock))
    }
}

/// Takes the lock of an entry of a hugetlb VMA, and reads the entry.
///
/// # Safety
///
/// C must be calling `hugetlb_entry` of `walk` for `pte`, `mask` and `addr`.
#[inline]
pub(super) unsafe fn lock_hugetlb(
    walk: *mut bindings::mm_walk,
    pte: *mut bindings::pte_t,
    mask: usize,
    addr: usize,
) -> (bindings::rust_pgtable_entry, PageTableLock) {
    let mut raw = MaybeUninit::uninit();
    let mut lock = ptr::null_mut();
    // SAFETY: By the safety requirements of this function, `pte` is the entry of `addr` in `walk`,
    // which is in a hugetlb VMA.
    unsafe {
        bindings::rust_mm_pgtable_lock_hugetlb(walk, pte, mask, addr, raw.as_mut_ptr(), &mut lock)
    };
    // INVARIANT: `rust_mm_pgtable_lock_hugetlb` returns with the lock held.
    //
    // SAFETY: `rust_mm_pgtable_lock_hugetlb` has initialised `raw`.
    (unsafe { raw.assume_init() }, PageTableLock(lock))
}

/// A locked table of the lowest level, while a walk calls the walker for its entries.
///
/// # Invariants
///
/// - C is calling `pmd_entry` of `walk`, in which the current thread has locked the table with
///   `lock` and is in an RCU read-side critical section.
/// - `first` is the entry of `start` in the table.
pub(super) struct Table {
    walk: *mut bindings::mm_walk,
    first: NonNull<bindings::pte_t>,
    start: usize,
    lock: *mut bindings::spinlock_t,
}

impl Table {
    /// Locks the table that a PMD points to, or returns [`None`] if the PMD has changed.
    ///
    /// # Safety
    ///
    /// C must be calling `pmd_entry` of `walk` for `pmd` and `addr`, and must do so until the
    /// result is unlocked.
    #[inline]
    pub(super) unsafe fn lock(
        walk: *mut bindings::mm_walk,
        pmd: *mut bindings::pmd_t,
        addr: usize,
    ) -> Option<Self> {
        let mut lock = ptr::null_mut();
        // SAFETY: By the safety requirements of this function, C is calling `pmd_entry` of `walk`
        // for `pmd` and `addr`.
        let first = unsafe { bindings::rust_mm_pgtable_lock_table(walk, pmd, addr, &mut lock) };
        // INVARIANT: If C returns an entry, it is that of `addr`, and C has taken the lock and the
        // RCU read lock. By the safety requirements of this function, `pmd_entry` lasts for as long
        // as the value exists.
        Some(Self {
            walk,
            first: NonNull::new(first)?,
            start: addr,
            lock,
        })
    }

    /// Returns the entry of an address.
    ///
    /// # Safety
    ///
    /// `addr` must be a multiple of the page size. It must not be below `start`, and the table must
    /// have its entry.
    #[inline]
    unsafe fn entry(&self, addr: usize) -> *mut bindings::pte_t {
        // SAFETY: By the safety requirements of this function and the type invariants, the entry is
        // in the same table as `first`.
        unsafe { self.first.as_ptr().add((addr - self.start) >> PAGE_SHIFT) }
    }

    /// Returns what the entry of `addr` is, and where the entries end that are alike.
    ///
    /// # Safety
    ///
    /// - `addr` must be a multiple of the page size, and not below the address that the table was
    ///   locked for.
    /// - `end` must be above `addr`, a multiple of the page size, and not above the end of the
    ///   addresses that C is calling `pmd_entry` for.
    #[inline]
    pub(super) unsafe fn run(
        &self,
        addr: usize,
        end: usize,
    ) -> (bindings::rust_pgtable_entry, usize) {
        let mut raw = MaybeUninit::uninit();
        // SAFETY:
        // - By the type invariants, C is calling `pmd_entry` of `walk`, and the table is locked.
        // - By the safety requirements of this function, the table has the entries of all addresses
        //   from `addr` to `end`.
        // - C initialises `raw`.
        unsafe {
            let pte = self.entry(addr);
            let next = bindings::rust_mm_pgtable_run(self.walk, pte, addr, end, raw.as_mut_ptr());
            (raw.assume_init(), next)
        }
    }

    /// Reads the entry of an address.
    ///
    /// # Safety
    ///
    /// `addr` must be a multiple of the page size that is not below the address that the table was
    /// locked for, and below the end of the addresses that C is calling `pmd_entry` for.
    #[inline]
    pub(super) unsafe fn read(&self, addr: usize) -> bindings::rust_pgtable_entry {
        let mut raw = MaybeUninit::uninit();
        // SAFETY:
        // - By the type invariants, C is calling `pmd_entry` of `walk`, and the table is locked.
        // - By the safety requirements of this function, the table has the entry of `addr`.
        // - C initialises `raw`.
        unsafe {
            let pte = self.entry(addr);
            bindings::rust_mm_pgtable_read_pte(self.walk, pte, addr, raw.as_mut_ptr());
            raw.assume_init()
        }
    }

    /// Reads the PFNs of present entries, that of `addr` first.
    ///
    /// Initialises all of `out`.
    ///
    /// # Safety
    ///
    /// - `addr` must be a multiple of the page size, and not below the address that the table was
    ///   locked for.
    /// - `out` must not be empty. There must be as many entries from `addr` up to the end of the
    ///   addresses that C is calling `pmd_entry` for, and they must be present.
    #[inline]
    pub(super) unsafe fn pfns(&self, addr: usize, out: &mut [MaybeUninit<usize>]) {
        // SAFETY:
        // - By the type invariants, the table is locked.
        // - By the safety requirements of this function, the table has the entries, whose number is
        //   not zero and fits, and they are present.
        // - `out` has room for as many PFNs.
        unsafe {
            let pte = self.entry(addr);
            bindings::rust_mm_pgtable_pfns(pte, out.len() as c_uint, out.as_mut_ptr().cast());
        }
    }

    /// Unlocks the table.
    #[inline]
    pub(super) fn unlock(self) {
        // SAFETY: By the type invariants, this thread has locked the table with `lock`, and `first`
        // is an entry of it.
        unsafe { bindings::pte_unmap_unlock(self.first.as_ptr(), self.lock) };
    }
}
