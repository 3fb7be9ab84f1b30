// SPDX-License-Identifier: GPL-2.0

//! Tests of the events that a guard keeps for userfaultfd while it holds the mmap lock.

use super::*;
use crate::mm::lock::write::UnmapEvents;
use core::ptr;

#[kunit_tests(rust_mm_unmap_events)]
mod cases {
    use super::*;

    /// Appends an entry to a list.
    ///
    /// # Safety
    ///
    /// `list` and `entry` must be valid for as long as `entry` is in the list.
    unsafe fn append(list: *mut bindings::list_head, entry: *mut bindings::list_head) {
        // SAFETY: By the safety requirements of this function, the list, its last entry and `entry`
        // are valid.
        unsafe {
            let last = (*list).prev;
            ((*entry).prev, (*entry).next) = (last, list);
            ((*last).next, (*list).prev) = (entry, entry);
        }
    }

    /// Removes the first entry from a list and returns it.
    ///
    /// # Safety
    ///
    /// The list and its entries must be valid.
    unsafe fn pop(list: *mut bindings::list_head) -> Option<*mut bindings::list_head> {
        // SAFETY: By the safety requirements of this function, the list and its entries are valid.
        unsafe {
            let entry = (*list).next;
            // The list is empty or corrupt.
            if ptr::eq(entry, list) || !ptr::eq((*entry).prev, list) {
                return None;
            }
            (*list).next = (*entry).next;
            (*(*entry).next).prev = list;
            Some(entry)
        }
    }

    /// The events stay in order, over several calls and over a move of the value.
    #[test]
    fn in_order() -> Result {
        let user = UserMm::attach()?;
        let mut entries = [bindings::list_head::default(); 3];
        let [a, b, c] = entries.each_mut().map(ptr::from_mut);

        let mut events = UnmapEvents {
            mm: user.current(),
            ring: ptr::null_mut(),
        };
        // SAFETY: `with_list` passes a valid list, and the entries outlive `events`.
        let put = |list, entry| unsafe { append(list, entry) };
        // SAFETY: `with_list` passes a valid list, with valid entries.
        let get = |list| unsafe { pop(list) };

        assert!(events.with_list(get).is_none());
        assert!(events.ring.is_null());
        events.with_list(|list| put(list, a));
        let mut events = KBox::new(events, GFP_KERNEL)?;
        events.with_list(|list| {
            put(list, b);
            put(list, c);
        });
        events.with_list(|_| ());
        let found = [(); 4].map(|()| events.with_list(get));
        let is_empty = events.ring.is_null();
        // Empty it: dropping `events` would pass its entries to userfaultfd.
        events.ring = ptr::null_mut();
        assert!(is_empty && found == [Some(a), Some(b), Some(c), None]);
        Ok(())
    }
}
