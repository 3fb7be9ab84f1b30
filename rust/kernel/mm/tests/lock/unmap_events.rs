// SPDX-License-Identifier: GPL-2.0

//! What is kept for userfaultfd while the mmap lock is held.

use super::*;
use crate::mm::lock::write::UnmapEvents;
use core::ptr;

#[kunit_tests(rust_mm_unmap_events)]
mod cases {
    use super::*;

    /// Appends to a list.
    ///
    /// # Safety
    ///
    /// Both must be valid for as long as `entry` is in the list.
    unsafe fn append(list: *mut bindings::list_head, entry: *mut bindings::list_head) {
        // SAFETY: As the caller promises.
        unsafe {
            let last = (*list).prev;
            ((*entry).prev, (*entry).next) = (last, list);
            ((*last).next, (*list).prev) = (entry, entry);
        }
    }

    /// Takes the first entry out of a list.
    ///
    /// # Safety
    ///
    /// The list must be valid.
    unsafe fn pop(list: *mut bindings::list_head) -> Option<*mut bindings::list_head> {
        // SAFETY: As the caller promises.
        unsafe {
            let entry = (*list).next;
            // Empty, or not well-formed.
            if ptr::eq(entry, list) || !ptr::eq((*entry).prev, list) {
                return None;
            }
            (*list).next = (*entry).next;
            (*(*entry).next).prev = list;
            Some(entry)
        }
    }

    /// What is told to userfaultfd is kept in order, over several calls and over a move.
    #[test]
    fn in_order() -> Result {
        let user = UserMm::attach()?;
        let mut entries = [bindings::list_head::default(); 3];
        let [a, b, c] = entries.each_mut().map(ptr::from_mut);

        let mut events = UnmapEvents {
            mm: user.current(),
            ring: ptr::null_mut(),
        };
        // SAFETY: The list is valid, and the entries outlive `events`.
        let put = |list, entry| unsafe { append(list, entry) };
        // SAFETY: The list is valid.
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
        // Or they would be taken for what userfaultfd has made.
        events.ring = ptr::null_mut();
        assert!(is_empty && found == [Some(a), Some(b), Some(c), None]);
        Ok(())
    }
}
