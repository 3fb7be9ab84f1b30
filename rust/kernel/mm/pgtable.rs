// SPDX-License-Identifier: GPL-2.0

//! Page tables: what is mapped at which address.
//!
//! Documentation/mm/process_addrs.rst names four kinds of operations on page tables. Here, the type
//! of an argument is the evidence that the caller holds the lock which the operation needs:
//!
//! | operation | function | lock |
//! |---|---|---|
//! | traverse | [`walk_page_range_vma`], [`PageCounts::of`] | any: [`Traverse`] |
//! | traverse | [`MmapReadGuard::walk_page_range`] | mmap lock |
//! | look up an address | [`MmapReadGuard::folio_walk`] | mmap lock |
//! | look up an address | [`MmapReadGuard::follow_pfnmap`] | mmap lock |
//! | look up an address | [`RmapVma::follow_pfnmap`] | i_mmap lock |
//! | install | [`DriverVma::insert_page`] | mmap or VMA lock: [`Install`] |
//! | zap | [`DriverVma::zap`] | mmap or VMA lock |
//! | zap | [`AddressSpace::unmap`] | none: it takes the i_mmap lock |
//! | free | none: only the kernel frees page tables | |
//!
//! A driver installs and zaps only in its own VMAs, and unmaps only in the mappings of its own
//! files.
//!
//! [`AddressSpace::unmap`]: super::rmap::AddressSpace::unmap
//! [`Install`]: crate::mm::ops::Install
//! [`DriverVma::insert_page`]: crate::mm::ops::DriverVma::insert_page
//! [`RmapVma::follow_pfnmap`]: super::rmap::RmapVma::follow_pfnmap
//! [`DriverVma::zap`]: crate::mm::ops::DriverVma::zap

use super::MmapReadGuard;
use crate::{
    bindings,
    fmt,
    mm::vma::{
        evidence::{
            Held,
            Token, //
        },
        Traverse, //
    },
    prelude::*,
    types::NotThreadSafe, //
};
use core::{
    convert::Infallible,
    marker::PhantomData,
    ops::{
        ControlFlow,
        Deref,
        Range, //
    }, //
};

mod fault_in;
mod lookup;
mod walk;

pub use fault_in::{
    FaultAccess,
    Handled, //
};
pub use lookup::{
    FolioWalk,
    PfnmapEntry, //
};
pub use walk::{
    walk_page_range_vma,
    Hole,
    LockedRun,
    PageWalk,
    Pfns,
    Visit, //
};

/// Lets other tasks run if they wait for the CPU.
///
/// # Context
///
/// Sleeps.
///
/// # Errors
///
/// [`EINTR`] if a fatal signal is pending.
#[inline(never)]
fn cond_resched() -> Result {
    // SAFETY: All callers run in process context, where sleeping is allowed.
    match unsafe { bindings::rust_mm_pgtable_cond_resched() } {
        true => Err(EINTR),
        false => Ok(()),
    }
}

/// A level of the page tables, from the top down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The first level.
    Pgd,
    /// The second level, on machines that have five.
    P4d,
    /// The level above [`Pmd`](Self::Pmd): its entries point to tables, or are PUD mappings.
    Pud,
    /// The level above the lowest: its entries point to tables, or are PMD mappings.
    Pmd,
    /// The lowest level, whose entries map single pages.
    Pte,
}

/// The kind of a page table entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// The entry is empty, so the next access faults.
    None,
    /// The entry maps memory, which [`Entry::pfn`] and other methods describe.
    Present,
    /// The page is in swap.
    Swap,
    /// The page is being migrated.
    Migration,
    /// The page is in a device's memory, or a device has exclusive access to it.
    Device,
    /// The memory is broken, so an access gets SIGBUS.
    HwPoison,
    /// The address is in a guard region (`MADV_GUARD_INSTALL`), so an access gets SIGSEGV.
    Guard,
    /// The contents of the page are lost (a poison marker), so an access gets SIGBUS.
    Poison,
    /// The entry is empty but for a marker of userfaultfd.
    Marker,
    /// The entry is of another kind.
    Other,
}

/// A copy of a page table entry that maps memory, or could map it.
///
/// The hardware and other threads change entries at any time, so a copy says what the entry was,
/// not what it is.
#[derive(Clone, Copy)]
pub struct Entry {
    start: usize,
    end: usize,
    level: Level,
    raw: bindings::rust_pgtable_entry,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("range", &self.range())
            .field("level", &self.level)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl Entry {
    /// Returns the first of the addresses that the entry covers.
    #[inline]
    pub fn addr(&self) -> usize {
        self.start
    }

    /// Returns the addresses that the entry covers, as far as they are in the range of the walk.
    ///
    /// A PMD or PUD mapping can cover more than that range.
    #[inline]
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Returns the length of [`range`](Self::range) in bytes.
    #[expect(clippy::len_without_is_empty)]
    #[inline]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Returns the level of the page tables that the entry is on.
    #[inline]
    pub fn level(&self) -> Level {
        self.level
    }

    /// Returns the kind of the entry.
    #[inline]
    pub fn state(&self) -> State {
        match self.raw.kind {
            bindings::rust_pgtable_kind_RUST_PGTABLE_NONE => State::None,
            bindings::rust_pgtable_kind_RUST_PGTABLE_PRESENT => State::Present,
            bindings::rust_pgtable_kind_RUST_PGTABLE_SWAP => State::Swap,
            bindings::rust_pgtable_kind_RUST_PGTABLE_MIGRATION => State::Migration,
            bindings::rust_pgtable_kind_RUST_PGTABLE_DEVICE => State::Device,
            bindings::rust_pgtable_kind_RUST_PGTABLE_HWPOISON => State::HwPoison,
            bindings::rust_pgtable_kind_RUST_PGTABLE_GUARD => State::Guard,
            bindings::rust_pgtable_kind_RUST_PGTABLE_POISON => State::Poison,
            bindings::rust_pgtable_kind_RUST_PGTABLE_MARKER => State::Marker,
            _ => State::Other,
        }
    }

    /// Returns whether the entry maps memory.
    #[inline]
    pub fn is_present(&self) -> bool {
        self.raw.kind == bindings::rust_pgtable_kind_RUST_PGTABLE_PRESENT
    }

    /// Returns the PFN of the memory at [`addr`](Self::addr), if the entry has one.
    ///
    /// It has one if it maps memory, or if its page is being migrated or used by a device. Nothing
    /// keeps the memory from being unmapped, freed and used for something else: the PFN is only a
    /// number.
    #[inline]
    pub fn pfn(&self) -> Option<usize> {
        matches!(
            self.state(),
            State::Present | State::Migration | State::Device
        )
        .then_some(self.raw.pfn)
    }

    #[inline]
    fn flag(&self, flag: bindings::rust_pgtable_flags) -> bool {
        self.raw.flags & flag != 0
    }

    /// Returns whether user space may write through the entry.
    ///
    /// If not, a write faults, and the kernel may permit it then: to memory that is copied at the
    /// first write, or that NUMA balancing watches.
    #[inline]
    pub fn is_writable(&self) -> bool {
        self.flag(bindings::rust_pgtable_flags_RUST_PGTABLE_WRITABLE)
    }

    /// Returns whether the entry is dirty: the memory was written to through it.
    #[inline]
    pub fn is_dirty(&self) -> bool {
        self.flag(bindings::rust_pgtable_flags_RUST_PGTABLE_DIRTY)
    }

    /// Returns whether the entry is young: the memory was accessed through it recently.
    #[inline]
    pub fn is_young(&self) -> bool {
        self.flag(bindings::rust_pgtable_flags_RUST_PGTABLE_YOUNG)
    }

    /// Returns whether the kernel manages the memory, and counts it as part of this mapping
    /// (`vm_normal_page`).
    ///
    /// It does so for neither the zero page nor memory that is mapped by PFN, such as device
    /// memory.
    #[inline]
    pub fn is_normal(&self) -> bool {
        self.flag(bindings::rust_pgtable_flags_RUST_PGTABLE_NORMAL)
    }
}

/// A copy of a page table entry whose page table lock is held: the entry does not change while the
/// copy exists, except for what the hardware sets in it.
///
/// # Context
///
/// The page table lock is a spinlock. For an entry of the lowest level, the thread is in an RCU
/// read-side critical section as well. A function that gets a `LockedEntry` must not sleep, and
/// must not take another page table lock, so it must not start another walk. The compiler does not
/// check that; a kernel with `CONFIG_DEBUG_ATOMIC_SLEEP` reports both. The function may keep a copy
/// of the [`Entry`].
///
/// # Invariants
///
/// The current thread holds the page table lock of the entry.
pub struct LockedEntry<'a> {
    entry: Entry,
    _lock: PhantomData<&'a ()>,
    _not_send: NotThreadSafe,
}

impl Deref for LockedEntry<'_> {
    type Target = Entry;

    #[inline]
    fn deref(&self) -> &Entry {
        &self.entry
    }
}

/// How much memory is mapped in a range, by kind and in bytes.
///
/// # Examples
///
/// ```
/// use kernel::{mm::{pgtable::PageCounts, testing::*}, page::PAGE_SIZE};
///
/// let mm = UserMm::attach()?;
/// let addr = mm.mmap_anonymous(4 * PAGE_SIZE)?;
/// mm.write(addr, b"one")?;
/// mm.write(addr + 2 * PAGE_SIZE, b"two")?;
///
/// let guard = mm.current().mmap_read_lock();
/// let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
/// let counts = PageCounts::of(vma, addr..addr + 4 * PAGE_SIZE)?;
/// assert_eq!(counts.present, 2 * PAGE_SIZE);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageCounts {
    /// The memory that is mapped.
    pub present: usize,
    /// The part of `present` that the kernel counts as the mapping's: see [`Entry::is_normal`].
    pub normal: usize,
    /// The part of `normal` that was accessed recently.
    pub young: usize,
    /// The part of `normal` that was written to through this mapping.
    pub dirty: usize,
    /// The part of `present` that is mapped by PMD and PUD mappings.
    pub huge: usize,
    /// The part of `present` that is hugetlb memory, which none of the other fields includes.
    pub hugetlb: usize,
    /// The memory that is not mapped because it is migrated, used by a device, or broken.
    ///
    /// Together with [`normal`](Self::normal), this is what `/proc/pid/smaps` calls Rss.
    pub elsewhere: usize,
    /// The memory that is in swap.
    pub swap: usize,
}

impl PageCounts {
    /// Counts what is mapped in a range of a VMA.
    ///
    /// # Context
    ///
    /// Sleeps. The lock that `vma` was found under is held.
    ///
    /// # Errors
    ///
    /// As for [`walk_page_range_vma`].
    ///
    /// # Examples
    ///
    /// See [`PageCounts`].
    #[inline]
    pub fn of(vma: &impl Traverse, range: Range<usize>) -> Result<Self> {
        // SAFETY: By the safety requirements of `Sealed`, which `Traverse` builds on, `vma` is a
        // VMA that the lock which `held` names keeps, and the current thread holds that lock.
        unsafe { Self::under(vma.held(Token(())), vma.vma(Token(())), range) }
    }

    /// Counts what is mapped in a range of a VMA.
    ///
    /// Not generic and not inlined: all modules share this instance of the walk.
    ///
    /// # Safety
    ///
    /// The current thread must hold the lock that `held` names, which must keep `vma` and its page
    /// tables.
    #[inline(never)]
    unsafe fn under(
        held: Held,
        vma: *mut bindings::vm_area_struct,
        range: Range<usize>,
    ) -> Result<Self> {
        let mut counter = Counter(Self::default());
        // SAFETY: By the safety requirements of this function, this thread holds the lock that
        // `held` names, which keeps `vma` and its page tables.
        unsafe { walk::of_vma(held, vma, range, &mut counter) }?;
        Ok(counter.0)
    }

    /// Counts what is mapped in a range of an mm, except in PFNMAP VMAs.
    ///
    /// # Context
    ///
    /// Sleeps. The mmap lock is held.
    ///
    /// # Errors
    ///
    /// As for [`MmapReadGuard::walk_page_range`].
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{pgtable::PageCounts, testing::*}, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let addr = mm.mmap_anonymous(PAGE_SIZE)?;
    /// mm.write(addr, b"x")?;
    ///
    /// let guard = mm.current().mmap_read_lock();
    /// let counts = PageCounts::of_mm(&guard, 0..addr + PAGE_SIZE)?;
    /// assert!(counts.dirty >= PAGE_SIZE);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn of_mm(guard: &MmapReadGuard<'_>, range: Range<usize>) -> Result<Self> {
        let mut counter = Counter(Self::default());
        guard.walk_page_range(range, &mut counter)?;
        Ok(counter.0)
    }

    /// Adds `len` bytes of what an entry or a run of entries is.
    #[inline(always)]
    fn add(&mut self, len: usize, state: State, normal: bool, young: bool, dirty: bool) {
        match state {
            State::Present => {
                self.present += len;
                if normal {
                    self.normal += len;
                    self.young += if young { len } else { 0 };
                    self.dirty += if dirty { len } else { 0 };
                }
            }
            State::Swap => self.swap += len,
            State::Migration | State::Device | State::HwPoison => self.elsewhere += len,
            _ => {}
        }
    }

    /// Adds an entry above the lowest level.
    #[inline(never)]
    fn add_huge(&mut self, entry: &Entry) {
        let len = entry.len();
        self.add(
            len,
            entry.state(),
            entry.is_normal(),
            entry.is_young(),
            entry.is_dirty(),
        );
        if entry.is_present() {
            self.huge += len;
        }
    }
}

/// The walker of [`PageCounts`].
///
/// Not public: `#[vtable]` gives it an associated type that is private to this crate.
struct Counter(PageCounts);

#[vtable]
impl PageWalk for Counter {
    type Break = Infallible;

    #[inline]
    fn pte_run(&mut self, run: &LockedRun<'_>) -> ControlFlow<Infallible> {
        self.0.add(
            run.len(),
            run.state(),
            run.is_normal(),
            run.is_young(),
            run.is_dirty(),
        );
        ControlFlow::Continue(())
    }

    #[inline]
    fn pmd_leaf(&mut self, entry: &LockedEntry<'_>) -> ControlFlow<Infallible> {
        self.0.add_huge(entry);
        ControlFlow::Continue(())
    }

    #[inline]
    fn pud_leaf(&mut self, entry: &LockedEntry<'_>) -> ControlFlow<Infallible> {
        self.0.add_huge(entry);
        ControlFlow::Continue(())
    }

    #[inline]
    fn hugetlb(&mut self, entry: &LockedEntry<'_>) -> ControlFlow<Infallible> {
        if entry.is_present() {
            self.0.present += entry.len();
            self.0.hugetlb += entry.len();
        }
        ControlFlow::Continue(())
    }
}
