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
            VmaRange,
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
mod run;

pub use run::{
    LockedRun,
    Pfns, //
};

use raw::{
    hole_begin,
    hole_end,
    lock_hugetlb,
    lock_pmd,
    lock_pud,
    walk_mapping,
    walk_range,
    walk_vma,
    Found,
    Table, //
};

/// Whether a walk enters a VMA or a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// Walk what is in it.
    Enter,
    /// Leave it out.
    Skip,
}

/// A range of addresses without page tables, or one that the walk leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The addresses.
    pub range: Range<usize>,
    /// The level whose entry for the addresses is empty.
    ///
    /// [`None`] if there is no VMA, if the walk leaves the VMA out, or if it is a hugetlb VMA.
    pub level: Option<Level>,
}

/// The callbacks of a walk through the page tables (`mm_walk_ops`).
///
/// All functions are optional, and a walk skips what it has no function for: without
/// [`pte_run`](Self::pte_run) and [`pte`](Self::pte), it does not walk the lowest level at all. A
/// function stops the walk by returning [`ControlFlow::Break`].
///
/// The functions get copies of entries, and cannot change an entry. The walk neither allocates
/// tables nor splits PMD and PUD mappings.
///
/// # Context
///
/// The lock under which the VMA was found is held. Functions with a [`LockedEntry`] or a
/// [`LockedRun`] run under the page table lock: they must not sleep and must not start another
/// walk. The guarantee that safe code cannot break memory safety
/// [does not cover](crate::mm::lock#sleeping) a function that sleeps there. The other functions may
/// sleep, as far as the lock of the VMA permits it.
///
/// The lock of a table of the lowest level is held from its first entry to its last one.
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
    /// The value that a walk is stopped with.
    ///
    /// [`Infallible`](core::convert::Infallible) for a walk that is never stopped.
    type Break;

    /// Called for each VMA of [`MmapReadGuard::walk_page_range`], before the walk enters it.
    ///
    /// Without this function, the walk leaves PFNMAP VMAs out, and calls [`hole`](Self::hole) for
    /// them.
    fn vma(&mut self, _vma: &VmaUnderMmap) -> ControlFlow<Self::Break, Visit> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called for each table that a P4D entry points to, with the addresses that are walked in it.
    fn p4d_table(&mut self, _range: Range<usize>) -> ControlFlow<Self::Break> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called for each table that a PUD entry points to, with the addresses that are walked in it.
    fn pud_table(&mut self, _range: Range<usize>) -> ControlFlow<Self::Break, Visit> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called for each table that a PMD entry points to, with the addresses that are walked in it.
    ///
    /// It is a table of the lowest level.
    fn pmd_table(&mut self, _range: Range<usize>) -> ControlFlow<Self::Break, Visit> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called for each PUD entry that neither is empty nor points to a table: a PUD mapping.
    fn pud_leaf(&mut self, _entry: &LockedEntry<'_>) -> ControlFlow<Self::Break> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called for each PMD entry that neither is empty nor points to a table.
    ///
    /// It is a PMD mapping, or a non-present entry in its place, such as a migration entry.
    fn pmd_leaf(&mut self, _entry: &LockedEntry<'_>) -> ControlFlow<Self::Break> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called for each run of entries of the lowest level that are alike, including empty ones.
    ///
    /// This costs far less than [`pte`](Self::pte): C finds the runs, and what a run does not say
    /// of its entries is read only if this function asks for it.
    fn pte_run(&mut self, _run: &LockedRun<'_>) -> ControlFlow<Self::Break> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called for each entry of the lowest level, including empty ones.
    ///
    /// If there is a [`pte_run`](Self::pte_run), too, it is called before its entries.
    fn pte(&mut self, _entry: &LockedEntry<'_>) -> ControlFlow<Self::Break> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called for each entry of a hugetlb VMA, including empty ones.
    ///
    /// [`Entry::level`] has no meaning for such an entry.
    fn hugetlb(&mut self, _entry: &LockedEntry<'_>) -> ControlFlow<Self::Break> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called for a range without a page table, and for each page of a hugetlb VMA without an
    /// entry.
    fn hole(&mut self, _hole: Hole) -> ControlFlow<Self::Break> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// The state of a walk, which the trampolines get from C.
struct Walk<'a, W: PageWalk> {
    walker: &'a mut W,
    /// The value that the walk was stopped with.
    stopped: Option<W::Break>,
    /// If not null, the only VMA that is not left out.
    only: *const bindings::vm_area_struct,
    /// Whether the walk has entered the VMA `only`.
    entered: bool,
}

impl<W: PageWalk> Walk<'_, W> {
    /// Turns the result of a function of the walker into a value or a status for C.
    ///
    /// The status of a stopped walk is negative, since C gives positive numbers several meanings.
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

    /// Calls the walker for an entry above the lowest level, and drops the lock of the entry.
    ///
    /// `table` is called if the entry points to a table.
    #[inline]
    fn tell(
        &mut self,
        found: Found,
        range: Range<usize>,
        level: Level,
        table: impl FnOnce(&mut Self, Range<usize>) -> Result<Next, c_int>,
        leaf: impl FnOnce(&mut W, &LockedEntry<'_>) -> ControlFlow<W::Break>,
    ) -> Result<Next, c_int> {
        match found {
            Found::None => Ok(Next::Again),
            Found::Table => table(self, range),
            Found::Leaf(raw, lock) => {
                let flow = leaf(self.walker, &locked(range, level, raw));
                lock.unlock();
                // Even if the walker has no function for leaves: C would split the leaf otherwise.
                self.stop_or(flow).map(|()| Next::Continue)
            }
        }
    }

    /// Calls the walker for the entries of a table of the lowest level.
    ///
    /// # Safety
    ///
    /// `range` must be the addresses that C is calling `pmd_entry` for, and `table` that of their
    /// PMD.
    #[inline]
    unsafe fn ptes(&mut self, table: &Table, range: Range<usize>) -> ControlFlow<W::Break> {
        let mut start = range.start;
        while start != range.end {
            // SAFETY: By the safety requirements of this function, `range` consists of pages, and
            // `table` was locked for its start and has its entries. `start` is the end of a run,
            // and not that of the range.
            let run = unsafe { LockedRun::new(table, start, range.end) };
            if W::HAS_PTE_RUN {
                self.walker.pte_run(&run)?;
            }
            if W::HAS_PTE {
                run.entries()
                    .try_for_each(|entry| self.walker.pte(&entry))?;
            }
            start = run.range().end;
        }
        ControlFlow::Continue(())
    }
}

/// How C continues after the walker was called for a table.
#[inline]
fn next_of(visit: Visit) -> Next {
    match visit {
        Visit::Enter => Next::Table,
        Visit::Skip => Next::Continue,
    }
}

/// Returns the state of a walk.
///
/// # Safety
///
/// C must be calling a trampoline with `walk`, in a walk that was started by `run::<W>`, and the
/// result must not be used after the trampoline has returned.
#[inline]
unsafe fn state<'a, W: PageWalk>(walk: *mut bindings::mm_walk) -> &'a mut Walk<'a, W> {
    // SAFETY: By the safety requirements of this function, `private` is the pointer to a `Walk`
    // that `run` has passed to C. C calls one trampoline after the other, so this is the only
    // reference.
    unsafe { &mut *(*walk).private.cast() }
}

/// Returns whether the walk leaves out the VMA that C is about to walk.
///
/// # Safety
///
/// C must be calling a trampoline with `walk`, in a walk that was started by `run::<W>`.
#[inline]
unsafe fn left_out<W: PageWalk>(walk: *mut bindings::mm_walk) -> bool {
    // SAFETY: By the safety requirements of this function, `walk` is what C calls a trampoline
    // with, in a walk of `W`. The reference is not kept.
    let only = unsafe { state::<W>(walk) }.only;
    // SAFETY: By the safety requirements of this function, `walk` is valid.
    !only.is_null() && !ptr::eq(only, unsafe { (*walk).vma })
}

/// Turns a result into a status for C.
#[inline]
fn status(result: Result<(), c_int>) -> c_int {
    result.err().unwrap_or(0)
}

/// Makes a [`LockedEntry`] of an entry.
///
/// The caller must hold the page table lock of the entry until the result is dropped.
#[inline]
fn locked(
    range: Range<usize>,
    level: Level,
    raw: bindings::rust_pgtable_entry,
) -> LockedEntry<'static> {
    // INVARIANT: All callers hold the page table lock. They lend the result to a function of the
    // walker, or borrow it from a run that they lend, and drop the lock after that function has
    // returned.
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

/// `mm_walk_ops::test_walk` in a walk of one VMA.
///
/// C calls this for the other VMAs of the file as well. Without it, C would leave out VMAs with
/// certain flags.
///
/// # Safety
///
/// C must be calling this for a VMA, in a walk of `W` with a VMA in `only`.
unsafe extern "C" fn test_only<W: PageWalk>(
    _start: usize,
    _end: usize,
    walk: *mut bindings::mm_walk,
) -> c_int {
    // SAFETY: By the safety requirements of this function, C is calling this in a walk of `W`. The
    // reference does not outlive this call.
    let state = unsafe { state::<W>(walk) };
    if state.entered {
        // The walk has been through the VMA, so it ends here.
        return 1;
    }
    // SAFETY: By the safety requirements of this function, `walk` is valid.
    state.entered = ptr::eq(state.only, unsafe { (*walk).vma });
    // The file may have very many mappings.
    match cond_resched() {
        Ok(()) => 0,
        Err(err) => err.to_errno(),
    }
}

/// `mm_walk_ops::test_walk` in a walk of an mm.
///
/// # Safety
///
/// C must be calling this for a VMA, in a walk of `W`, with the mmap lock held.
unsafe extern "C" fn test_walk<W: PageWalk>(
    _start: usize,
    _end: usize,
    walk: *mut bindings::mm_walk,
) -> c_int {
    // SAFETY: By the safety requirements of this function, C is calling this in a walk of `W`. The
    // reference does not outlive this call.
    let state = unsafe { state::<W>(walk) };
    // SAFETY: By the safety requirements of this function, `walk` is valid, and the mmap lock is
    // held, which keeps its VMA.
    let vma = unsafe { VmaUnderMmap::from_raw((*walk).vma) };
    let visit = state.walker.vma(vma);
    match state.stop_or(visit) {
        Ok(Visit::Enter) => 0,
        Ok(Visit::Skip) => 1,
        Err(err) => err,
    }
}

/// `mm_walk_ops::p4d_entry`.
///
/// # Safety
///
/// C must be calling this for an entry, in a walk of `W`.
unsafe extern "C" fn p4d_entry<W: PageWalk>(
    _p4d: *mut bindings::p4d_t,
    addr: usize,
    next: usize,
    walk: *mut bindings::mm_walk,
) -> c_int {
    // SAFETY: By the safety requirements of this function, C is calling this in a walk of `W`.
    if unsafe { left_out::<W>(walk) } {
        return 0;
    }
    // SAFETY: By the safety requirements of this function, C is calling this in a walk of `W`. The
    // reference does not outlive this call.
    let state = unsafe { state::<W>(walk) };
    let flow = state.walker.p4d_table(addr..next);
    status(state.stop_or(flow))
}

/// How C continues with an entry above the lowest level.
enum Next {
    /// It walks the table that the entry points to.
    Table,
    /// It looks at the entry again, which has changed meanwhile.
    Again,
    /// It goes on to the next entry.
    Continue,
}

/// Tells C how to continue, and returns the status for it.
///
/// # Safety
///
/// C must be calling a trampoline with `walk`.
#[inline]
unsafe fn act(walk: *mut bindings::mm_walk, next: Result<Next, c_int>) -> c_int {
    let action = match next {
        Ok(Next::Table) => return 0,
        Ok(Next::Again) => bindings::page_walk_action_ACTION_AGAIN,
        Ok(Next::Continue) => bindings::page_walk_action_ACTION_CONTINUE,
        Err(err) => return err,
    };
    // SAFETY: By the safety requirements of this function, `walk` is valid, and C reads the action
    // after the trampoline has returned.
    unsafe { (*walk).action = action };
    0
}

/// `mm_walk_ops::pud_entry`.
///
/// # Safety
///
/// C must be calling this for an entry, in a walk of `W`.
unsafe extern "C" fn pud_entry<W: PageWalk>(
    pud: *mut bindings::pud_t,
    addr: usize,
    next: usize,
    walk: *mut bindings::mm_walk,
) -> c_int {
    // SAFETY: By the safety requirements of this function, C is calling this in a walk of `W`.
    if unsafe { left_out::<W>(walk) } {
        // SAFETY: By the safety requirements of this function, C is calling a trampoline with
        // `walk`.
        return unsafe { act(walk, Ok(Next::Continue)) };
    }
    // SAFETY: By the safety requirements of this function, C is calling this in a walk of `W`. The
    // reference does not outlive this call.
    let state = unsafe { state::<W>(walk) };
    // SAFETY: By the safety requirements of this function, C is calling this for `pud`, the entry
    // of `addr` in `walk`.
    let found = unsafe { lock_pud(walk, pud, addr) };
    let result = state.tell(
        found,
        addr..next,
        Level::Pud,
        |state, range| {
            if !W::HAS_PUD_TABLE {
                return Ok(Next::Table);
            }
            let flow = state.walker.pud_table(range);
            state.stop_or(flow).map(next_of)
        },
        |walker, entry| match W::HAS_PUD_LEAF {
            true => walker.pud_leaf(entry),
            false => ControlFlow::Continue(()),
        },
    );
    // SAFETY: By the safety requirements of this function, C is calling a trampoline with `walk`.
    unsafe { act(walk, result) }
}

/// `mm_walk_ops::pmd_entry`.
///
/// # Safety
///
/// C must be calling this for an entry, in a walk of `W`.
unsafe extern "C" fn pmd_entry<W: PageWalk>(
    pmd: *mut bindings::pmd_t,
    addr: usize,
    next: usize,
    walk: *mut bindings::mm_walk,
) -> c_int {
    // SAFETY: By the safety requirements of this function, C is calling this in a walk of `W`. The
    // reference does not outlive this call.
    let state = unsafe { state::<W>(walk) };
    // SAFETY: By the safety requirements of this function, C is calling this for `pmd`, the entry
    // of `addr` in `walk`.
    let found = unsafe { lock_pmd(walk, pmd, addr) };
    let result = state.tell(
        found,
        addr..next,
        Level::Pmd,
        |state, range| {
            if W::HAS_PMD_TABLE {
                let flow = state.walker.pmd_table(range.clone());
                if state.stop_or(flow)? == Visit::Skip {
                    return Ok(Next::Continue);
                }
            }
            if !(W::HAS_PTE_RUN || W::HAS_PTE) {
                return Ok(Next::Continue);
            }
            // SAFETY: By the safety requirements of this function, C is calling this for `pmd`, the
            // entry of `addr` in `walk`. The table is unlocked below.
            let Some(table) = (unsafe { Table::lock(walk, pmd, range.start) }) else {
                return Ok(Next::Again);
            };
            // SAFETY: By the safety requirements of this function, C is calling this for `pmd` and
            // the addresses in `range`, and `table` is what `pmd` points to.
            let flow = unsafe { state.ptes(&table, range) };
            table.unlock();
            state.stop_or(flow).map(|()| Next::Continue)
        },
        |walker, entry| match W::HAS_PMD_LEAF {
            true => walker.pmd_leaf(entry),
            false => ControlFlow::Continue(()),
        },
    );
    // SAFETY: By the safety requirements of this function, C is calling a trampoline with `walk`.
    unsafe { act(walk, result) }
}

/// `mm_walk_ops::hugetlb_entry`.
///
/// # Safety
///
/// C must be calling this for an entry of a hugetlb VMA, in a walk of `W`.
unsafe extern "C" fn hugetlb_entry<W: PageWalk>(
    pte: *mut bindings::pte_t,
    mask: usize,
    addr: usize,
    next: usize,
    walk: *mut bindings::mm_walk,
) -> c_int {
    // No VMA is left out here: a walk of one VMA that was found through its file does not look at
    // the entries of hugetlb VMAs.
    //
    // SAFETY:
    // - By the safety requirements of this function, C is calling this in a walk of `W`. The
    //   reference does not outlive this call.
    // - C is calling this for `pte`, the entry of `addr` in `walk`, with `mask`.
    let (state, (raw, lock)) = unsafe { (state::<W>(walk), lock_hugetlb(walk, pte, mask, addr)) };
    let flow = state.walker.hugetlb(&locked(addr..next, Level::Pmd, raw));
    lock.unlock();
    status(state.stop_or(flow))
}

/// `mm_walk_ops::pte_hole`.
///
/// # Safety
///
/// C must be calling this for a hole, in a walk of `W`.
unsafe extern "C" fn pte_hole<W: PageWalk>(
    addr: usize,
    next: usize,
    depth: c_int,
    walk: *mut bindings::mm_walk,
) -> c_int {
    // SAFETY: By the safety requirements of this function, C is calling this in a walk of `W`.
    if unsafe { left_out::<W>(walk) } {
        return 0;
    }
    // SAFETY: By the safety requirements of this function, C is calling this in a walk of `W`. The
    // reference does not outlive this call.
    let state = unsafe { state::<W>(walk) };
    let level = match depth {
        0 => Some(Level::Pgd),
        1 => Some(Level::P4d),
        2 => Some(Level::Pud),
        3 => Some(Level::Pmd),
        _ => None,
    };
    // SAFETY: By the safety requirements of this function, C is calling `pte_hole` for this walk.
    unsafe { hole_begin(walk) };
    let flow = state.walker.hole(Hole {
        range: addr..next,
        level,
    });
    // SAFETY: By the safety requirements of this function, C is calling `pte_hole` for this walk,
    // and `hole_begin` was called above.
    unsafe { hole_end(walk) };
    status(state.stop_or(flow))
}

/// The tables of callbacks for a walker, which C gets.
///
/// A walk is often short: of one VMA with few pages, one of many VMAs. So the tables are constants,
/// and not made for each walk.
struct Operations<W>(PhantomData<W>);

impl<W: PageWalk> Operations<W> {
    /// For a walk of a VMA or of an mm, under the mmap lock.
    const UNDER_MMAP_LOCK: &'static bindings::mm_walk_ops =
        &Self::table(bindings::page_walk_lock_PGWALK_RDLOCK, false);

    /// For a walk of a VMA, under the VMA lock.
    const UNDER_VMA_LOCK: &'static bindings::mm_walk_ops =
        &Self::table(bindings::page_walk_lock_PGWALK_VMA_RDLOCK_VERIFY, false);

    /// For a walk of one VMA of a file, for which C does not look at `walk_lock`.
    const OF_MAPPING: &'static bindings::mm_walk_ops =
        &Self::table(bindings::page_walk_lock_PGWALK_RDLOCK, true);

    /// Returns the callbacks for a walk under a lock; with `only`, those for one VMA of a file.
    const fn table(lock: bindings::page_walk_lock, only: bool) -> bindings::mm_walk_ops {
        let mut ops: bindings::mm_walk_ops = pin_init::zeroed();
        ops.walk_lock = lock;
        if only {
            ops.test_walk = Some(test_only::<W>);
        } else if W::HAS_VMA {
            ops.test_walk = Some(test_walk::<W>);
        }
        if W::HAS_P4D_TABLE {
            ops.p4d_entry = Some(p4d_entry::<W>);
        }
        // Also for walkers without PUD functions: it leaves out VMAs, and keeps C from splitting
        // leaves.
        ops.pud_entry = Some(pud_entry::<W>);
        if W::HAS_PMD_TABLE || W::HAS_PMD_LEAF || W::HAS_PTE_RUN || W::HAS_PTE {
            ops.pmd_entry = Some(pmd_entry::<W>);
        }
        // C would take the lock of the hugetlb VMA, which comes before the i_mmap lock.
        if W::HAS_HUGETLB && !only {
            ops.hugetlb_entry = Some(hugetlb_entry::<W>);
        }
        if W::HAS_HOLE {
            ops.pte_hole = Some(pte_hole::<W>);
        }
        ops
    }
}

/// Carries out a walk, which `start` starts, and returns the value that it was stopped with.
#[inline]
fn run<W: PageWalk>(
    walker: &mut W,
    only: *const bindings::vm_area_struct,
    start: impl FnOnce(*mut c_void) -> c_int,
) -> Result<Option<W::Break>> {
    let mut walk = Walk {
        walker,
        stopped: None,
        only,
        entered: false,
    };
    let ret = start((&raw mut walk).cast());
    if walk.stopped.is_none() {
        to_result(ret)?;
    }
    Ok(walk.stopped)
}

/// Walks the page tables of a range of a VMA, in bytes, and calls the walker for what is there.
///
/// Returns the value that the walker has stopped the walk with, or [`None`] if the walk is
/// complete.
///
/// The walk includes the entries of PFNMAP VMAs. It includes none of a hugetlb VMA that was found
/// through its file: that takes the lock of the hugetlb VMA, which comes before the i_mmap lock.
///
/// If a table is freed after its function was called and before its own entries are walked, the
/// walk looks at those addresses again, and calls the walker for what is there then.
///
/// # Context
///
/// Sleeps. The lock that `vma` was found under is held. The functions of the walker with a
/// [`LockedEntry`] must not sleep: see [`PageWalk`].
///
/// # Errors
///
/// - [`EINVAL`] if the range does not consist of whole pages, is empty, or is not inside the VMA.
/// - [`EINTR`] if a fatal signal is pending and the VMA was found through its file. C then looks at
///   other mappings of the file first, of which there can be very many.
///
/// # Examples
///
/// See [`PageWalk`].
pub fn walk_page_range_vma<W: PageWalk>(
    vma: &impl Traverse,
    range: Range<usize>,
    walker: &mut W,
) -> Result<Option<W::Break>> {
    // SAFETY: By the safety requirements of `Sealed`, which `Traverse` builds on, `vma` is a VMA
    // that the lock which `held` names keeps, and the current thread holds that lock.
    unsafe { of_vma(vma.held(Token(())), vma.vma(Token(())), range, walker) }
}

/// Walks the page tables of a range of a VMA.
///
/// This is instantiated once for each walker, and not once for each kind of view as well.
///
/// # Errors
///
/// Those of [`walk_page_range_vma`].
///
/// # Safety
///
/// The current thread must hold the lock that `held` names, which must keep `vma` and its page
/// tables.
pub(super) unsafe fn of_vma<W: PageWalk>(
    held: Held,
    vma: *mut bindings::vm_area_struct,
    range: Range<usize>,
    walker: &mut W,
) -> Result<Option<W::Break>> {
    // SAFETY: By the safety requirements of this function, `vma` is a VMA whose range does not
    // change. The types have the same layout.
    let whole = unsafe { &*vma.cast::<VmaRange>() };
    let len = range.end.checked_sub(range.start).ok_or(EINVAL)?;
    if !whole.contains_pages(range.start, len) {
        return Err(EINVAL);
    }
    let (only, ops) = match held {
        Held::Mmap => (ptr::null_mut(), Operations::<W>::UNDER_MMAP_LOCK),
        Held::Vma => (ptr::null_mut(), Operations::<W>::UNDER_VMA_LOCK),
        Held::Rmap(_) => (vma, Operations::<W>::OF_MAPPING),
    };
    run(walker, only, |private| match held {
        // SAFETY:
        // - By the safety requirements of this function, the current thread holds the lock that
        //   `held` names, and `ops` were chosen by it.
        // - The range is in the VMA, as was checked above.
        // - `run` passes the `private` that `Operations` of `W` expect. They install nothing.
        Held::Mmap | Held::Vma => unsafe { walk_vma(vma, range, ops, private) },
        // SAFETY:
        // - By the safety requirements of this function, the current thread holds the i_mmap lock
        //   of `mapping`.
        // - The range consists of whole pages of the VMA, as was checked above.
        // - `run` passes the `private` that `Operations` of `W` expect. They install nothing.
        Held::Rmap(mapping) => unsafe { walk_mapping(mapping, vma, range, ops, private) },
    })
}

/// Walks the page tables of a range of an mm.
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
    run(walker, ptr::null(), |private| {
        let ops = Operations::<W>::UNDER_MMAP_LOCK;
        // SAFETY: By the safety requirements of this function, the mmap lock is held. `run` passes
        // the `private` that `Operations` of `W` expect. They install nothing.
        unsafe { walk_range(mm, range, ops, private) }
    })
}

impl MmapReadGuard<'_> {
    /// Walks the page tables of a range of the mm, in bytes, from VMA to VMA.
    ///
    /// Returns the value that the walker has stopped the walk with, or [`None`] if the walk is
    /// complete.
    ///
    /// A range without a VMA is a [`hole`](PageWalk::hole). So are PFNMAP VMAs, which map device
    /// memory and other memory by PFN, unless [`PageWalk::vma`] decides otherwise.
    ///
    /// # Context
    ///
    /// Sleeps. The mmap lock is held. The functions of the walker with a [`LockedEntry`] must not
    /// sleep: see [`PageWalk`].
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range does not consist of whole pages, or is empty.
    ///
    /// # Examples
    ///
    /// The number of bytes in a range that are not mapped:
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
        // SAFETY: By the type invariants, the current thread holds the mmap lock.
        unsafe { mm(self.mm.as_raw(), range, walker) }
    }
}
