// SPDX-License-Identifier: GPL-2.0

//! Page tables: what is mapped at which address.
//!
//! Of what can be done to page tables, Documentation/mm/process_addrs.rst has four kinds:
//!
//! | operation | here | evidence |
//! |---|---|---|
//! | traverse | [`walk_page_range_vma`], [`MmapReadGuard::walk_page_range`], [`PageCounts::of`] | [`Traverse`]: any lock |
//! | look up one address | [`MmapReadGuard::folio_walk`], [`MmapReadGuard::follow_pfnmap`], [`RmapVma::follow_pfnmap`] | the mmap lock; for the last one, that of the file's mappings |
//! | install | [`DriverVma::insert_page`] | [`Install`]: the mmap lock or the VMA lock; and the VMA is the driver's own |
//! | zap | [`DriverVma::zap`], [`AddressSpace::unmap`] | as above; or that the file is the driver's own |
//! | free | nothing: it belongs to the kernel | |
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
    mm::vma::Traverse,
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
    PageWalk,
    Visit, //
};

/// Lets others run, in what takes long; [`EINTR`] if the task is to die.
#[inline(never)]
fn cond_resched() -> Result {
    // SAFETY: Looks at the current task, and our callers are where sleeping is allowed.
    match unsafe { bindings::rust_mm_pgtable_cond_resched() } {
        true => Err(EINTR),
        false => Ok(()),
    }
}

/// A level of the page tables, from the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The topmost.
    Pgd,
    /// Where there are five levels, the second.
    P4d,
    /// The third.
    Pud,
    /// The second from the bottom. Its entries name tables, or huge pages.
    Pmd,
    /// The lowest.
    Pte,
}

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Nothing: the next access is a fault.
    None,
    /// Memory is mapped. To say more, there is [`Entry::pfn`] and others.
    Present,
    /// The page is in swap.
    Swap,
    /// The page is just being moved to another place.
    Migration,
    /// The page is in a device's memory, or used by a device alone.
    Device,
    /// The memory is broken. An access gets SIGBUS.
    HwPoison,
    /// A guard region (`MADV_GUARD_INSTALL`). An access gets SIGSEGV.
    Guard,
    /// An access gets SIGBUS: what was there could not be kept.
    Poison,
    /// Nothing, with a note for userfaultfd.
    Marker,
    /// Something else.
    Other,
}

/// A copy of what was at an address: an entry that maps memory, or could.
///
/// The hardware and other threads change entries all the time: to the one who has a copy, this is
/// how it was.
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
    /// Returns the address.
    #[inline]
    pub fn addr(&self) -> usize {
        self.start
    }

    /// Returns the addresses. For a huge entry, only those that were asked for.
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

    /// Returns the level of the page tables that it is on.
    #[inline]
    pub fn level(&self) -> Level {
        self.level
    }

    /// Returns what kind of entry it is.
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

    /// Is memory mapped?
    #[inline]
    pub fn is_present(&self) -> bool {
        self.raw.kind == bindings::rust_pgtable_kind_RUST_PGTABLE_PRESENT
    }

    /// Returns the page frame number of the memory at [`addr`](Self::addr), if memory is mapped, or
    /// is being moved.
    ///
    /// It is a number. Nothing keeps the memory there, or from being used for something else.
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

    /// May user space write through it?
    #[inline]
    pub fn is_writable(&self) -> bool {
        self.flag(bindings::rust_pgtable_flags_RUST_PGTABLE_WRITABLE)
    }

    /// Was the memory written to through it?
    #[inline]
    pub fn is_dirty(&self) -> bool {
        self.flag(bindings::rust_pgtable_flags_RUST_PGTABLE_DIRTY)
    }

    /// Was the memory accessed through it lately?
    #[inline]
    pub fn is_young(&self) -> bool {
        self.flag(bindings::rust_pgtable_flags_RUST_PGTABLE_YOUNG)
    }

    /// Does the kernel count and manage the memory as this mapping's?
    ///
    /// Unlike device memory, other memory that is mapped by its frame number, and the page of zeroes
    /// that stands for memory which was never written (`vm_normal_page`).
    #[inline]
    pub fn is_normal(&self) -> bool {
        self.flag(bindings::rust_pgtable_flags_RUST_PGTABLE_NORMAL)
    }
}

/// An entry whose lock is held: what it says is what is mapped, for as long as this is there.
///
/// It stands for a spinlock, and for RCU: who has one must not sleep, nor take another lock of page
/// tables, so start no other walk. Types cannot say that; a kernel with `CONFIG_DEBUG_ATOMIC_SLEEP`
/// complains about both. A copy of the [`Entry`] can be kept.
///
/// # Invariants
///
/// The current thread holds the lock of the entry.
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

/// What is mapped in a range, in bytes.
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
    /// Memory that is mapped.
    pub present: usize,
    /// Of that, memory that the kernel counts as the mapping's: see [`Entry::is_normal`].
    pub normal: usize,
    /// Of that, memory that was accessed lately.
    pub young: usize,
    /// Of that, memory that was written to through this mapping.
    pub dirty: usize,
    /// Of all that is mapped, what is mapped by huge entries.
    pub huge: usize,
    /// Of all that is mapped, hugetlb memory. It is in none of the above but the first.
    pub hugetlb: usize,
    /// Memory that is not mapped while it is moved to another place, belongs to a device, or is
    /// broken. With [`normal`](Self::normal), this is what `/proc/pid/smaps` calls Rss.
    pub elsewhere: usize,
    /// Memory that is in swap.
    pub swap: usize,
}

impl PageCounts {
    /// Counts, in a range of a VMA.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// As [`walk_page_range_vma`].
    pub fn of(vma: &impl Traverse, range: Range<usize>) -> Result<Self> {
        let mut counter = Counter(Self::default());
        walk_page_range_vma(vma, range, &mut counter)?;
        Ok(counter.0)
    }

    /// Counts, in a range of an mm. PFNMAP VMAs are left out.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// As [`MmapReadGuard::walk_page_range`].
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

    fn add(&mut self, entry: &Entry) {
        let len = entry.len();
        match entry.state() {
            State::Present => {
                self.present += len;
                if entry.level() != Level::Pte {
                    self.huge += len;
                }
                if entry.is_normal() {
                    self.normal += len;
                    self.young += if entry.is_young() { len } else { 0 };
                    self.dirty += if entry.is_dirty() { len } else { 0 };
                }
            }
            State::Swap => self.swap += len,
            State::Migration | State::Device | State::HwPoison => self.elsewhere += len,
            _ => {}
        }
    }
}

/// Not public, since what implements a vtable names its module, and that of this crate is private.
struct Counter(PageCounts);

#[vtable]
impl PageWalk for Counter {
    type Break = Infallible;

    #[inline]
    fn pte(&mut self, entry: &LockedEntry<'_>) -> ControlFlow<Infallible> {
        self.0.add(entry);
        ControlFlow::Continue(())
    }

    #[inline]
    fn pmd_leaf(&mut self, entry: &LockedEntry<'_>) -> ControlFlow<Infallible> {
        self.0.add(entry);
        ControlFlow::Continue(())
    }

    #[inline]
    fn pud_leaf(&mut self, entry: &LockedEntry<'_>) -> ControlFlow<Infallible> {
        self.0.add(entry);
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
