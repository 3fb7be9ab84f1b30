// SPDX-License-Identifier: GPL-2.0

//! Walks through the page tables.
//!
//! C header: [`include/linux/pagewalk.h`](srctree/include/linux/pagewalk.h)

use super::{
    cond_resched,
    Entry,
    Level,
    LockedEntry, //
};
use crate::{
    bindings,
    error::{
        to_result,
        VTABLE_DEFAULT_ERROR, //
    },
    mm::{
        vma::{
            evidence::{
                Held,
                Token, //
            },
            Traverse,
            VmaUnderMmap, //
        },
        MmapReadGuard, //
    },
    page::PAGE_MASK,
    prelude::*,
    types::NotThreadSafe, //
};
use core::{
    marker::PhantomData,
    ops::{
        ControlFlow,
        Range, //
    },
    ptr, //
};

mod raw;

use raw::{
    hole_begin,
    hole_end,
    lock_hugetlb,
    lock_pmd,
    lock_pud,
    read_pte,
    walk_mapping,
    walk_range,
    walk_vma,
    Found, //
};

/// Whether to look closer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// Go on to what is in it.
    Enter,
    /// Leave it out.
    Skip,
}

/// Addresses at which there is nothing, not even a page table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The addresses.
    pub range: Range<usize>,
    /// The level that has no entry for them. [`None`] if there is no VMA, or it was left out, or it
    /// is hugetlb memory.
    pub level: Option<Level>,
}

/// What is told about the page tables during a walk (`mm_walk_ops`).
///
/// All functions are optional. What has none is not told: without [`pte`](Self::pte), the lowest
/// level is not walked at all. A function stops the walk with [`ControlFlow::Break`].
///
/// Entries are handed out by value, or while their lock is held; they cannot be changed, and tables
/// are neither made nor split.
///
/// # Context
///
/// The lock is held under which the VMA was found. The functions that are given a [`LockedEntry`]
/// must not sleep, and must not start another walk: the promise that safe code cannot break memory
/// [does not cover](crate::mm::lock#sleeping) one that sleeps. The others may sleep, as far as that lock
/// allows it.
///
/// # Examples
///
/// The address of the first page that was written to:
///
/// ```
/// use core::ops::ControlFlow;
/// use kernel::{
///     mm::{
///         pgtable::{
///             walk_page_range_vma,
///             LockedEntry,
///             PageWalk, //
///         },
///         testing::*,
///     },
///     page::PAGE_SIZE, //
/// };
///
/// struct FirstDirty;
///
/// #[vtable]
/// impl PageWalk for FirstDirty {
///     type Break = usize;
///
///     fn pte(&mut self, entry: &LockedEntry<'_>) -> ControlFlow<usize> {
///         match entry.is_dirty() {
///             true => ControlFlow::Break(entry.addr()),
///             false => ControlFlow::Continue(()),
///         }
///     }
/// }
///
/// let mm = UserMm::attach()?;
/// let addr = mm.mmap_anonymous(4 * PAGE_SIZE)?;
/// mm.write(addr + PAGE_SIZE, b"here")?;
///
/// let guard = mm.current().mmap_read_lock();
/// let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
/// let all = addr..addr + 4 * PAGE_SIZE;
/// assert_eq!(walk_page_range_vma(vma, all, &mut FirstDirty)?, Some(addr + PAGE_SIZE));
/// # Ok::<(), Error>(())
/// ```
#[vtable]
pub trait PageWalk: Sized {
    /// What a walk is stopped with. If it never is: [`Infallible`](core::convert::Infallible).
    type Break;

    /// Called for each VMA of [`MmapReadGuard::walk_page_range`] before it is entered.
    ///
    /// Without it, PFNMAP VMAs are skipped, and told to [`hole`](Self::hole).
    fn vma(&mut self, _vma: &VmaUnderMmap) -> ControlFlow<Self::Break, Visit> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called for each table of the level below P4D, with the addresses that it is asked about for.
    fn p4d_table(&mut self, _range: Range<usize>) -> ControlFlow<Self::Break> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called for each table of the level below PUD.
    fn pud_table(&mut self, _range: Range<usize>) -> ControlFlow<Self::Break, Visit> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called for each table of the level below PMD, the lowest.
    fn pmd_table(&mut self, _range: Range<usize>) -> ControlFlow<Self::Break, Visit> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called for each entry of a PUD that is no table.
    fn pud_leaf(&mut self, _entry: &LockedEntry<'_>) -> ControlFlow<Self::Break> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called for each entry of a PMD that is no table: huge pages, and what has become of them.
    fn pmd_leaf(&mut self, _entry: &LockedEntry<'_>) -> ControlFlow<Self::Break> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called for each entry of the lowest level, also for empty ones.
    fn pte(&mut self, _entry: &LockedEntry<'_>) -> ControlFlow<Self::Break> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called for each entry of a hugetlb VMA, also for empty ones. The level of the entry says
    /// nothing there.
    fn hugetlb(&mut self, _entry: &LockedEntry<'_>) -> ControlFlow<Self::Break> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called where there is no table, and for what is not there of a hugetlb VMA.
    fn hole(&mut self, _hole: Hole) -> ControlFlow<Self::Break> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// What the functions below are told by C.
struct Walk<'a, W: PageWalk> {
    walker: &'a mut W,
    /// What it was stopped with.
    stopped: Option<W::Break>,
    /// If not null: all VMAs but this one are left out.
    only: *const bindings::vm_area_struct,
    /// Was that one entered?
    entered: bool,
}

impl<W: PageWalk> Walk<'_, W> {
    /// Turns a result into what C wants to have.
    ///
    /// A stop is a negative number: of positive ones, C makes several things.
    #[inline]
    fn stop_or<T>(&mut self, flow: ControlFlow<W::Break, T>) -> Result<T, c_int> {
        match flow {
            ControlFlow::Continue(value) => Ok(value),
            ControlFlow::Break(with) => {
                self.stopped = Some(with);
                Err(ECANCELED.to_errno())
            }
        }
    }

    /// Tells the walker what an entry above the lowest level has turned out to be, and gives its lock
    /// up.
    #[inline]
    fn tell(
        &mut self,
        found: Found,
        range: Range<usize>,
        level: Level,
        table: impl FnOnce(&mut W, Range<usize>) -> ControlFlow<W::Break, Visit>,
        leaf: impl FnOnce(&mut W, &LockedEntry<'_>) -> ControlFlow<W::Break>,
    ) -> Result<Next, c_int> {
        match found {
            Found::None => Ok(Next::Again),
            Found::Table => {
                let flow = table(self.walker, range);
                self.stop_or(flow).map(|visit| match visit {
                    Visit::Enter => Next::Table,
                    Visit::Skip => Next::Continue,
                })
            }
            Found::Leaf(raw, lock) => {
                let flow = leaf(self.walker, &locked(range, level, raw));
                lock.unlock();
                // Also where nobody was told: C would split it otherwise.
                self.stop_or(flow).map(|()| Next::Continue)
            }
        }
    }
}

/// What the trampolines find in a walk.
///
/// # Safety
///
/// `walk` must be what C has called a trampoline with, in a walk that was started by `run::<W>`.
#[inline]
unsafe fn state<'a, W: PageWalk>(walk: *mut bindings::mm_walk) -> &'a mut Walk<'a, W> {
    // SAFETY: That is what `run` has given to C, which calls one function after the other, each of
    // which is done with it when it returns.
    unsafe { &mut *(*walk).private.cast() }
}

/// Is this VMA one to leave out?
///
/// # Safety
///
/// As for [`state`].
#[inline]
unsafe fn left_out<W: PageWalk>(walk: *mut bindings::mm_walk) -> bool {
    // SAFETY: The caller's promise.
    let only = unsafe { state::<W>(walk) }.only;
    // SAFETY: As above.
    !only.is_null() && !ptr::eq(only, unsafe { (*walk).vma })
}

#[inline]
fn status(result: Result<(), c_int>) -> c_int {
    result.err().unwrap_or(0)
}

#[inline]
fn locked(
    range: Range<usize>,
    level: Level,
    raw: bindings::rust_pgtable_entry,
) -> LockedEntry<'static> {
    // INVARIANT: The callers hold the lock, and let nobody have it for longer.
    LockedEntry {
        entry: Entry {
            start: range.start,
            end: range.end,
            level,
            raw,
        },
        _lock: PhantomData,
        _not_send: NotThreadSafe,
    }
}

/// For the walk of one VMA, where C asks about others as well, and would skip some for their flags.
///
/// # Safety
///
/// C calls it for a VMA in a walk of `W`.
unsafe extern "C" fn test_only<W: PageWalk>(
    _start: usize,
    _end: usize,
    walk: *mut bindings::mm_walk,
) -> c_int {
    // SAFETY: Our own promise.
    let state = unsafe { state::<W>(walk) };
    if state.entered {
        // It is done: the walk is to stop.
        return 1;
    }
    // SAFETY: As above.
    state.entered = ptr::eq(state.only, unsafe { (*walk).vma });
    // There may be very many of them.
    match cond_resched() {
        Ok(()) => 0,
        Err(err) => err.to_errno(),
    }
}

/// # Safety
///
/// C calls it for a VMA in a walk of `W`.
unsafe extern "C" fn test_walk<W: PageWalk>(
    _start: usize,
    _end: usize,
    walk: *mut bindings::mm_walk,
) -> c_int {
    // SAFETY: Our own promise.
    let state = unsafe { state::<W>(walk) };
    // SAFETY: The mmap lock is held where this is used.
    let vma = unsafe { VmaUnderMmap::from_raw((*walk).vma) };
    let visit = state.walker.vma(vma);
    match state.stop_or(visit) {
        Ok(Visit::Enter) => 0,
        Ok(Visit::Skip) => 1,
        Err(err) => err,
    }
}

/// # Safety
///
/// C calls it for an entry in a walk of `W`.
unsafe extern "C" fn p4d_entry<W: PageWalk>(
    _p4d: *mut bindings::p4d_t,
    addr: usize,
    next: usize,
    walk: *mut bindings::mm_walk,
) -> c_int {
    // SAFETY: Our own promise.
    if unsafe { left_out::<W>(walk) } {
        return 0;
    }
    // SAFETY: As above.
    let state = unsafe { state::<W>(walk) };
    let flow = state.walker.p4d_table(addr..next);
    status(state.stop_or(flow))
}

/// What a table, or an entry in its place, is to be handled as.
enum Next {
    /// As C does it: the table is walked.
    Table,
    /// It has changed under us: look again.
    Again,
    /// It is done with.
    Continue,
}

/// # Safety
///
/// `walk` must be one that C has called a trampoline with.
#[inline]
unsafe fn act(walk: *mut bindings::mm_walk, next: Result<Next, c_int>) -> c_int {
    let action = match next {
        Ok(Next::Table) => return 0,
        Ok(Next::Again) => bindings::page_walk_action_ACTION_AGAIN,
        Ok(Next::Continue) => bindings::page_walk_action_ACTION_CONTINUE,
        Err(err) => return err,
    };
    // SAFETY: The caller's promise.
    unsafe { (*walk).action = action };
    0
}

/// # Safety
///
/// C calls it for an entry in a walk of `W`.
unsafe extern "C" fn pud_entry<W: PageWalk>(
    pud: *mut bindings::pud_t,
    addr: usize,
    next: usize,
    walk: *mut bindings::mm_walk,
) -> c_int {
    // SAFETY: Our own promise.
    if unsafe { left_out::<W>(walk) } {
        // SAFETY: As above.
        return unsafe { act(walk, Ok(Next::Continue)) };
    }
    // SAFETY: As above.
    let state = unsafe { state::<W>(walk) };
    // SAFETY: C calls us with the entry of this address.
    let found = unsafe { lock_pud(walk, pud, addr) };
    let result = state.tell(
        found,
        addr..next,
        Level::Pud,
        |walker, range| match W::HAS_PUD_TABLE {
            true => walker.pud_table(range),
            false => ControlFlow::Continue(Visit::Enter),
        },
        |walker, entry| match W::HAS_PUD_LEAF {
            true => walker.pud_leaf(entry),
            false => ControlFlow::Continue(()),
        },
    );
    // SAFETY: As above.
    unsafe { act(walk, result) }
}

/// # Safety
///
/// C calls it for an entry in a walk of `W`.
unsafe extern "C" fn pmd_entry<W: PageWalk>(
    pmd: *mut bindings::pmd_t,
    addr: usize,
    next: usize,
    walk: *mut bindings::mm_walk,
) -> c_int {
    // SAFETY: Our own promise.
    let state = unsafe { state::<W>(walk) };
    // SAFETY: C calls us with the entry of this address.
    let found = unsafe { lock_pmd(walk, pmd, addr) };
    let result = state.tell(
        found,
        addr..next,
        Level::Pmd,
        |walker, range| match W::HAS_PMD_TABLE {
            true => walker.pmd_table(range),
            false => ControlFlow::Continue(Visit::Enter),
        },
        |walker, entry| match W::HAS_PMD_LEAF {
            true => walker.pmd_leaf(entry),
            false => ControlFlow::Continue(()),
        },
    );
    // SAFETY: As above.
    unsafe { act(walk, result) }
}

/// # Safety
///
/// C calls it for an entry in a walk of `W`.
unsafe extern "C" fn pte_entry<W: PageWalk>(
    pte: *mut bindings::pte_t,
    addr: usize,
    next: usize,
    walk: *mut bindings::mm_walk,
) -> c_int {
    // SAFETY: Our own promise; C calls us with the entry of this address, and holds its lock.
    let (state, raw) = unsafe { (state::<W>(walk), read_pte(walk, pte, addr)) };
    let flow = state.walker.pte(&locked(addr..next, Level::Pte, raw));
    status(state.stop_or(flow))
}

/// # Safety
///
/// C calls it for an entry in a walk of `W`, in a hugetlb VMA.
unsafe extern "C" fn hugetlb_entry<W: PageWalk>(
    pte: *mut bindings::pte_t,
    mask: usize,
    addr: usize,
    next: usize,
    walk: *mut bindings::mm_walk,
) -> c_int {
    // No VMA is left out here: a walk through the reverse mapping does not get to hugetlb memory.
    //
    // SAFETY: Our own promise; C calls us with the entry of this address.
    let (state, (raw, lock)) = unsafe { (state::<W>(walk), lock_hugetlb(walk, pte, mask, addr)) };
    let flow = state.walker.hugetlb(&locked(addr..next, Level::Pmd, raw));
    lock.unlock();
    status(state.stop_or(flow))
}

/// # Safety
///
/// C calls it for a hole in a walk of `W`.
unsafe extern "C" fn pte_hole<W: PageWalk>(
    addr: usize,
    next: usize,
    depth: c_int,
    walk: *mut bindings::mm_walk,
) -> c_int {
    // SAFETY: Our own promise.
    if unsafe { left_out::<W>(walk) } {
        return 0;
    }
    // SAFETY: As above.
    let state = unsafe { state::<W>(walk) };
    let level = match depth {
        0 => Some(Level::Pgd),
        1 => Some(Level::P4d),
        2 => Some(Level::Pud),
        3 => Some(Level::Pmd),
        _ => None,
    };
    // SAFETY: C calls us for this walk.
    unsafe { hole_begin(walk) };
    let flow = state.walker.hole(Hole {
        range: addr..next,
        level,
    });
    // SAFETY: As above, and it was just begun.
    unsafe { hole_end(walk) };
    status(state.stop_or(flow))
}

/// Starts a walk by `start`, and returns what it was stopped with.
fn run<W: PageWalk>(
    walker: &mut W,
    only: *const bindings::vm_area_struct,
    start: impl FnOnce(&mut bindings::mm_walk_ops, *mut c_void) -> c_int,
) -> Result<Option<W::Break>> {
    let mut walk = Walk {
        walker,
        stopped: None,
        only,
        entered: false,
    };
    let mut ops: bindings::mm_walk_ops = pin_init::zeroed();
    if !only.is_null() {
        ops.test_walk = Some(test_only::<W>);
    } else if W::HAS_VMA {
        ops.test_walk = Some(test_walk::<W>);
    }
    if W::HAS_P4D_TABLE {
        ops.p4d_entry = Some(p4d_entry::<W>);
    }
    // Also to leave out what is not asked about.
    ops.pud_entry = Some(pud_entry::<W>);
    if W::HAS_PMD_TABLE || W::HAS_PMD_LEAF || W::HAS_PTE {
        ops.pmd_entry = Some(pmd_entry::<W>);
    }
    if W::HAS_PTE {
        ops.pte_entry = Some(pte_entry::<W>);
    }
    if W::HAS_HUGETLB {
        ops.hugetlb_entry = Some(hugetlb_entry::<W>);
    }
    if W::HAS_HOLE {
        ops.pte_hole = Some(pte_hole::<W>);
    }

    let ret = start(&mut ops, (&raw mut walk).cast());
    if walk.stopped.is_none() {
        to_result(ret)?;
    }
    Ok(walk.stopped)
}

/// Walks the page tables of a part of a VMA, in bytes, and tells the walker what is there.
///
/// Returns what the walker has stopped with, or [`None`] if it has seen all. Also the entries of a
/// PFNMAP VMA are shown. Nothing is shown of a hugetlb VMA that was found through the reverse mapping:
/// that takes a lock which comes before the one that is held.
///
/// A table that goes away while its own entries are about to be looked at is told once more, as
/// whatever is there then.
///
/// # Context
///
/// Sleeps. Some of the walker's functions must not, see there.
///
/// # Errors
///
/// - [`EINVAL`] if the range is not whole pages, or none, or not all in the VMA.
/// - [`EINTR`] if a fatal signal is pending, and the VMA was found through the reverse mapping:
///   there, the walk looks at the other mappings of the file first, of which there can be very many.
///
/// # Examples
///
/// See [`PageWalk`].
pub fn walk_page_range_vma<W: PageWalk>(
    vma: &impl Traverse,
    range: Range<usize>,
    walker: &mut W,
) -> Result<Option<W::Break>> {
    let len = range.end.checked_sub(range.start).ok_or(EINVAL)?;
    if !vma.vma_range().contains_pages(range.start, len) {
        return Err(EINVAL);
    }
    let held = vma.held(Token(()));
    let vma = vma.vma(Token(()));
    let only = match held {
        Held::Mmap | Held::Vma => ptr::null(),
        Held::Rmap(_) => vma,
    };
    run(walker, only, |ops, private| match held {
        // SAFETY: By what `Traverse` asks for, this thread holds that lock, and the range was just
        // checked. The operations are those that go with `private`.
        Held::Mmap | Held::Vma => unsafe {
            walk_vma(vma, matches!(held, Held::Mmap), range, ops, private)
        },
        // SAFETY: By what `Traverse` asks for, this thread holds that lock, and the range was just
        // checked. The operations are those that go with `private`.
        Held::Rmap(mapping) => unsafe { walk_mapping(mapping, vma, range, ops, private) },
    })
}

/// Walks a range of an mm.
///
/// # Safety
///
/// The current thread must hold the mmap lock.
unsafe fn mm<W: PageWalk>(
    mm: *mut bindings::mm_struct,
    range: Range<usize>,
    walker: &mut W,
) -> Result<Option<W::Break>> {
    if (range.start | range.end) & !PAGE_MASK != 0 {
        return Err(EINVAL);
    }
    run(walker, ptr::null(), |ops, private| {
        // SAFETY: The caller's promise; the operations are those that go with `private`.
        unsafe { walk_range(mm, range, ops, private) }
    })
}

impl MmapReadGuard<'_> {
    /// Walks a range of the mm, in bytes, from VMA to VMA.
    ///
    /// Where there is no VMA, there is a [`hole`](PageWalk::hole). VMAs of device memory and other
    /// memory without a `struct page` (PFNMAP) are holes as well, unless the walker decides
    /// otherwise in [`PageWalk::vma`].
    ///
    /// Returns what the walker has stopped with, or [`None`] if it has seen all.
    ///
    /// # Context
    ///
    /// Sleeps. Some of the walker's functions must not, see there.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is not whole pages, or none.
    ///
    /// # Examples
    ///
    /// The addresses below a mapping at which there is nothing:
    ///
    /// ```
    /// use core::{convert::Infallible, ops::ControlFlow};
    /// use kernel::{mm::{pgtable::{Hole, PageWalk}, testing::*}, page::PAGE_SIZE};
    ///
    /// struct Unmapped(usize);
    ///
    /// #[vtable]
    /// impl PageWalk for Unmapped {
    ///     type Break = Infallible;
    ///
    ///     fn hole(&mut self, hole: Hole) -> ControlFlow<Infallible> {
    ///         self.0 += hole.range.len();
    ///         ControlFlow::Continue(())
    ///     }
    /// }
    ///
    /// let mm = UserMm::attach()?;
    /// let addr = mm.mmap_anonymous(PAGE_SIZE)?;
    /// mm.munmap(addr, PAGE_SIZE)?;
    ///
    /// let mut unmapped = Unmapped(0);
    /// let guard = mm.current().mmap_read_lock();
    /// guard.walk_page_range(addr..addr + PAGE_SIZE, &mut unmapped)?;
    /// assert_eq!(unmapped.0, PAGE_SIZE);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn walk_page_range<W: PageWalk>(
        &self,
        range: Range<usize>,
        walker: &mut W,
    ) -> Result<Option<W::Break>> {
        // SAFETY: By the type invariants, the mmap lock is held.
        unsafe { mm(self.mm.as_raw(), range, walker) }
    }
}
