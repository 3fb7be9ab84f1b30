// SPDX-License-Identifier: GPL-2.0

//! Arrays of pages that are allocated one by one.
//!
//! C code reads and writes the array, with atomic operations and without a lock:
//! `mm/rust_faulted.c` says how.

use super::{
    gfp,
    Folio, //
};
use crate::{
    alloc::{
        flags::{
            __GFP_HIGHMEM,
            __GFP_NOWARN,
            __GFP_ZERO, //
        },
        Flags,
        KVVec,
        NumaNode, //
    },
    bindings,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        }, //
    },
    types::Opaque, //
};
use core::{
    ops::Range,
    ptr::{
        self,
        NonNull, //
    }, //
};

/// A place for a page of order 0.
///
/// # Invariants
///
/// The value is null, or a pointer to a page of order 0 to which the slot owns a reference. All
/// accesses are atomic.
#[repr(transparent)]
pub(in crate::mm) struct Slot(Opaque<*mut bindings::page>);

// SAFETY: Any thread may free a page.
unsafe impl Send for Slot {}
// SAFETY: By the type invariants, all accesses are atomic.
unsafe impl Sync for Slot {}

impl Slot {
    /// Returns the slot as the pointer type that C expects.
    #[inline]
    pub(in crate::mm) fn as_ptr(&self) -> *mut *mut bindings::page {
        self.0.get()
    }

    /// Returns the page of the slot, or null.
    ///
    /// Unless the caller knows that the page does not leave the slot, it may be freed already.
    #[inline]
    fn load(&self) -> *mut bindings::page {
        // SAFETY: The slot is valid. A volatile read of a pointer is atomic, as `READ_ONCE()` is.
        unsafe { self.0.get().read_volatile() }
    }
}

/// An array of slots.
///
/// # Invariants
///
/// - `slots.len() << PAGE_SHIFT` does not overflow `isize`.
/// - `node` is `NUMA_NO_NODE` or an online node.
pub(in crate::mm) struct Slots {
    slots: KVVec<Slot>,
    /// The number of pages, each of which is counted before it enters its slot.
    present: Atomic<usize>,
    flags: Flags,
    node: Atomic<i32>,
}

impl Slots {
    /// Allocates empty slots; `flags` are for their pages, too.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the size in bytes overflows.
    /// - [`ENOMEM`] if there is not enough memory for the array.
    pub(in crate::mm) fn new(nr_pages: usize, flags: Flags) -> Result<Self> {
        if nr_pages > (isize::MAX as usize) >> PAGE_SHIFT {
            return Err(EINVAL);
        }
        let flags = gfp::known(flags);
        // The kernel accesses the array itself, so only the pages may be in high memory.
        let of_array = flags & !__GFP_HIGHMEM | __GFP_NOWARN | __GFP_ZERO;
        let mut slots = KVVec::with_capacity(nr_pages, of_array)?;
        // INVARIANT: The slots have no pages.
        //
        // SAFETY:
        // - The vector is empty, and has the capacity for `nr_pages` elements.
        // - The allocator has zeroed all of it, and a slot of zeroes is a null pointer.
        unsafe { slots.inc_len(nr_pages) };
        // INVARIANT: `nr_pages` was checked above.
        Ok(Self {
            slots,
            present: Atomic::new(0),
            flags,
            node: Atomic::new(bindings::NUMA_NO_NODE),
        })
    }

    /// Returns the number of slots.
    #[inline]
    pub(in crate::mm) fn nr_pages(&self) -> usize {
        self.slots.len()
    }

    /// Returns the number of slots that have a page.
    #[inline]
    pub(in crate::mm) fn nr_present(&self) -> usize {
        self.present.load(Relaxed)
    }

    /// Returns the slots in a range that may extend past the end.
    #[inline]
    pub(in crate::mm) fn within(&self, range: Range<usize>) -> &[Slot] {
        let end = range.end.min(self.slots.len());
        self.slots.get(range.start..end).unwrap_or_default()
    }

    /// Returns the slot with the given index.
    #[inline]
    pub(in crate::mm) fn slot(&self, index: usize) -> Option<&Slot> {
        self.slots.get(index)
    }

    /// Sets the node of pages that are allocated later.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the node is not online.
    pub(in crate::mm) fn set_node(&self, node: NumaNode) -> Result {
        let node = gfp::node(node)?;
        // INVARIANT: The node was just checked; that of a node that goes offline later remains
        // valid for an allocation.
        self.node.store(node, Relaxed);
        Ok(())
    }

    /// Returns a reference to the page of a slot.
    #[inline]
    pub(in crate::mm) fn get(&self, index: usize) -> Option<ARef<Folio>> {
        // SAFETY: By its type invariants, a slot is null or owns a reference to a page.
        let folio = unsafe { bindings::rust_mm_slot_get(self.slots.get(index)?.as_ptr()) };
        // SAFETY: `folio` is null or a folio, to which C has taken a reference for the caller.
        NonNull::new(folio).map(|folio| unsafe { ARef::from_raw(folio.cast()) })
    }

    /// Returns the page of a slot.
    ///
    /// # Safety
    ///
    /// Pages must not leave the slots for as long as they are borrowed.
    #[inline]
    pub(in crate::mm) unsafe fn get_stable(&self, index: usize) -> Option<&Folio> {
        let page = NonNull::new(self.slots.get(index)?.load())?;
        // SAFETY: By the type invariants of the slot, this is a page of order 0, so its folio is
        // where the page is. By the safety requirements of this function, the slot keeps its
        // reference to it.
        Some(unsafe { Folio::from_raw(page.as_ptr().cast()) })
    }

    /// Returns whether `folio` is the page of a slot.
    #[inline]
    pub(in crate::mm) fn holds(&self, index: usize, folio: &Folio) -> bool {
        match self.slots.get(index) {
            Some(slot) => ptr::addr_eq(slot.load(), folio),
            None => false,
        }
    }

    /// Allocates the page of a slot that has none, for the fault `vmf` or for none.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`] if there is not enough memory.
    ///
    /// # Safety
    ///
    /// `vmf` must be null, or a fault that this thread is handling.
    #[inline(never)]
    pub(in crate::mm) unsafe fn make(&self, slot: &Slot, vmf: *const bindings::vm_fault) -> Result {
        let gfp = (self.flags | __GFP_ZERO).as_raw();
        let node = self.node.load(Relaxed);
        self.present.fetch_add(1, Relaxed);
        // INVARIANT: C writes null or a new page with its reference to the slot.
        //
        // SAFETY:
        // - By its type invariants, the slot is null or owns a reference to a page.
        // - By the type invariants, the node can be allocated from. The flags are ones that callers
        //   may use.
        // - By the safety requirements of this function, `vmf` is null or a fault that this thread
        //   is handling.
        match unsafe { bindings::rust_mm_slot_make(slot.as_ptr(), gfp, node, vmf) } {
            1 => Ok(()),
            other => {
                self.present.fetch_sub(1, Relaxed);
                crate::error::to_result(other)
            }
        }
    }

    /// Returns a reference to the page of a slot, which is allocated if there is none.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if there is no such slot.
    /// - [`ENOMEM`] if there is not enough memory.
    pub(in crate::mm) fn get_or_make(&self, index: usize) -> Result<ARef<Folio>> {
        let slot = self.slots.get(index).ok_or(EINVAL)?;
        loop {
            if let Some(folio) = self.get(index) {
                return Ok(folio);
            }
            // If another thread empties the slot before the next lookup, try again.
            //
            // SAFETY: There is no fault.
            unsafe { self.make(slot, ptr::null()) }?;
        }
    }

    /// Empties slots, unmaps their pages from `mapping`, and drops the references.
    ///
    /// The part of the range that extends past the end is left out.
    ///
    /// # Safety
    ///
    /// `mapping` must be null, or a valid address space. If it is null, the slots must not be used
    /// afterwards.
    pub(in crate::mm) unsafe fn discard(
        &self,
        range: Range<usize>,
        mapping: *mut bindings::address_space,
    ) -> usize {
        let slots = self.within(range.clone());
        let first = slots.as_ptr().cast_mut().cast();
        // SAFETY:
        // - The slots are consecutive, and by their type invariants, each is null or owns a
        //   reference to a page.
        // - By the safety requirements of this function, `mapping` is null or valid.
        let count =
            unsafe { bindings::rust_mm_slots_discard(first, slots.len(), mapping, range.start) };
        self.present.fetch_sub(count, Relaxed);
        count
    }

    /// Splits `len` bytes, starting at `offset`, at page boundaries, and calls `part` for each
    /// part.
    ///
    /// `part` gets the index of the page, an offset in it, and a number of bytes. It returns how
    /// many of them it has processed. The walk stops at the end of the array, or when `part`
    /// returns less than it was given, or an error.
    ///
    /// Returns the sum of what `part` has returned, and the error.
    pub(in crate::mm) fn for_each_part(
        &self,
        offset: usize,
        len: usize,
        mut part: impl FnMut(usize, usize, usize) -> Result<usize>,
    ) -> (usize, Result) {
        let mut done = 0;
        while done < len {
            // An offset for which this overflows is past the end of every array.
            let Some(at) = offset.checked_add(done) else {
                break;
            };
            let index = at >> PAGE_SHIFT;
            if index >= self.slots.len() {
                break;
            }
            let in_page = at & (PAGE_SIZE - 1);
            let want = (PAGE_SIZE - in_page).min(len - done);
            match part(index, in_page, want) {
                Ok(got) => {
                    done += got;
                    if got < want {
                        break;
                    }
                }
                Err(err) => return (done, Err(err)),
            }
        }
        (done, Ok(()))
    }

    /// Checks that `len` bytes, starting at `offset`, are inside the array.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if not.
    pub(in crate::mm) fn check(&self, offset: usize, len: usize) -> Result {
        match offset.checked_add(len) {
            Some(end) if end <= self.slots.len() << PAGE_SHIFT => Ok(()),
            _ => Err(EINVAL),
        }
    }
}

impl Drop for Slots {
    /// Drops the reference to each page; may sleep.
    fn drop(&mut self) {
        // SAFETY: The slots are not used afterwards.
        unsafe { self.discard(0..self.slots.len(), ptr::null_mut()) };
    }
}
