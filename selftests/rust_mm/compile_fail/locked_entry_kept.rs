// SPDX-License-Identifier: GPL-2.0

// A page table walker keeps an entry after the page table lock is dropped.
// error: E0521 E0521
// message: has type `&LockedEntry<'2>`

include!("prelude.rs");

use core::{convert::Infallible, ops::ControlFlow};
use kernel::mm::pgtable::{Entry, LockedEntry, PageWalk};

#[allow(dead_code)]
struct Keep {
    locked: Option<&'static LockedEntry<'static>>,
    copy: Option<Entry>,
}

#[vtable]
impl PageWalk for Keep {
    type Break = Infallible;

    fn pte(&mut self, entry: &LockedEntry<'_>) -> ControlFlow<Infallible> {
        #[cfg(not(twin))]
        let _ = self.locked.insert(entry);
        #[cfg(twin)]
        let _ = self.copy.insert(**entry);
        ControlFlow::Continue(())
    }
}
