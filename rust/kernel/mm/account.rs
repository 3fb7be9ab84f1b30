// SPDX-License-Identifier: GPL-2.0

//! Charging an mm for memory that a driver locks or pins on behalf of user space.
//!
//! `RLIMIT_MEMLOCK` limits how much memory user space can keep from being reclaimed. A driver that
//! pins pages for as long as user space wants, or keeps pages that user space asked for, charges
//! them, and returns them when it releases the pages. [`Charge`] is the guard for that. The kernel
//! has two counters for each mm, and checks each against the limit by itself:
//!
//! | type | counter | charged by | in `/proc/<pid>/status` |
//! |---|---|---|---|
//! | [`Charge<LockedVm>`](LockedVm) | `mm->locked_vm` | `mlock(2)`, VFIO, KVM | `VmLck` |
//! | [`Charge<PinnedVm>`](PinnedVm) | `mm->pinned_vm` | RDMA, vDPA | `VmPin` |
//!
//! A user with several processes has the limit in each. There is also a counter for each user,
//! which io_uring checks (`user_struct::locked_vm`); the layer does not use it.
//!
//! [`UserPages::charged`](super::gup::UserPages::charged) pins pages and charges them.
//!
//! C source: [`mm/util.c`](srctree/mm/util.c)

use super::{
    Mm,
    MmWithUser, //
};
use crate::{
    bindings,
    error::to_result,
    prelude::*,
    sync::aref::ARef, //
};
use core::{
    marker::PhantomData,
    mem, //
};

mod sealed {
    pub trait Sealed {}
}

/// A counter of an mm that pages are charged to.
pub trait Counter: sealed::Sealed {
    /// Whether it is `pinned_vm`, and not `locked_vm`.
    #[doc(hidden)]
    const PINNED: bool;
}

/// `mm->locked_vm`, which the mmap lock protects (`account_locked_vm`).
///
/// It also counts what `mlock(2)` has locked. Charging and dropping a [`Charge`] take the mmap lock
/// for writing.
pub enum LockedVm {}

/// `mm->pinned_vm`, an atomic counter, which needs no lock.
pub enum PinnedVm {}

impl sealed::Sealed for LockedVm {}
impl sealed::Sealed for PinnedVm {}

impl Counter for LockedVm {
    const PINNED: bool = false;
}

impl Counter for PinnedVm {
    const PINNED: bool = true;
}

/// Pages that an mm is charged for, until this is dropped.
///
/// It keeps the mm from being freed, but not in use. If the process ends or calls `execve(2)`, the
/// charge remains with the old mm. A child of `fork(2)` has an mm that is not charged.
///
/// # Context
///
/// Dropping a `Charge<LockedVm>` sleeps: it takes the mmap lock for writing, so the caller must
/// hold neither that lock nor a VMA lock of the mm. Otherwise the thread waits forever, so such a
/// charge can be neither in the data of a VMA ([`PerVma`](super::ops::PerVma)), which is dropped
/// under the mmap lock, nor made by [`mapped`](super::ops::VmOperations::mapped), nor in the state
/// of a [`MirrorOps`](super::mirror::MirrorOps). It belongs to an open file. Dropping a
/// `Charge<PinnedVm>` can sleep if it drops the last reference to the mm.
///
/// # Invariants
///
/// `pages` pages are charged to the counter `C` of `mm`, on behalf of this value.
///
/// # Examples
///
/// ```
/// use kernel::mm::{account::*, testing::UserMm};
///
/// let user = UserMm::attach()?;
/// let mut charge = Charge::<PinnedVm>::new(user.current(), 16)?;
/// // Fewer pages than expected are needed.
/// charge.keep(4);
/// assert_eq!(charge.nr_pages(), 4);
/// // More pages than there can be.
/// assert!(Charge::<PinnedVm>::new(user.current(), usize::MAX).is_err_and(|e| e == ENOMEM));
/// # Ok::<(), Error>(())
/// ```
#[must_use = "the pages are returned when this is dropped"]
pub struct Charge<C: Counter> {
    mm: ARef<Mm>,
    pages: usize,
    _counter: PhantomData<fn() -> C>,
}

impl<C: Counter> Charge<C> {
    /// Charges pages to an mm.
    ///
    /// The limit is `RLIMIT_MEMLOCK` of the current task, also if `mm` is another one's. A task
    /// with `CAP_IPC_LOCK` may exceed it.
    ///
    /// # Context
    ///
    /// Must be called by a thread of the process on whose behalf the driver locks the pages: its
    /// limit and its capabilities are what the kernel checks. A kernel thread has all capabilities.
    ///
    /// For [`LockedVm`], sleeps, and the caller must hold neither the mmap lock nor a VMA lock of
    /// the mm.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`] if the counter would exceed the limit, or overflow.
    ///
    /// # Examples
    ///
    /// See [`Charge`].
    pub fn new(mm: &MmWithUser, nr_pages: usize) -> Result<Self> {
        charge(mm, nr_pages, C::PINNED)?;
        // INVARIANT: `charge` has charged the pages.
        Ok(Self {
            mm: ARef::from(&**mm),
            pages: nr_pages,
            _counter: PhantomData,
        })
    }

    /// Returns the number of pages that are charged.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        self.pages
    }

    /// Returns all pages but this number; nothing if fewer are charged.
    ///
    /// # Context
    ///
    /// As for dropping the [`Charge`].
    ///
    /// # Examples
    ///
    /// See [`Charge`].
    pub fn keep(&mut self, nr_pages: usize) {
        let surplus = self.pages.saturating_sub(nr_pages);
        self.pages -= surplus;
        // SAFETY: By the type invariants, at least `surplus` pages were charged for this value,
        // which no longer counts them.
        unsafe { uncharge(&self.mm, surplus, C::PINNED) };
    }
}

impl<C: Counter> Drop for Charge<C> {
    #[inline]
    fn drop(&mut self) {
        let pages = mem::take(&mut self.pages);
        // SAFETY: By the type invariants, the pages were charged for this value, which no longer
        // counts them.
        unsafe { uncharge(&self.mm, pages, C::PINNED) };
    }
}

/// Charges pages to a counter.
#[inline(never)]
fn charge(mm: &MmWithUser, nr_pages: usize, pinned: bool) -> Result {
    // SAFETY: The mm is valid.
    to_result(unsafe {
        if pinned {
            bindings::rust_charge_pinned_vm(mm.as_raw(), nr_pages)
        } else {
            bindings::rust_charge_locked_vm(mm.as_raw(), nr_pages)
        }
    })
}

/// Returns pages to a counter.
///
/// # Safety
///
/// The pages must have been charged to the counter, and must not be returned again.
#[inline(never)]
unsafe fn uncharge(mm: &Mm, nr_pages: usize, pinned: bool) {
    // SAFETY: The mm is valid. By the safety requirements of this function, it is charged for the
    // pages.
    unsafe {
        if pinned {
            bindings::rust_uncharge_pinned_vm(mm.as_raw(), nr_pages);
        } else {
            bindings::rust_uncharge_locked_vm(mm.as_raw(), nr_pages);
        }
    }
}
