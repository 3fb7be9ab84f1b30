// SPDX-License-Identifier: GPL-2.0

// A page table walker keeps an entry of a run after the page table lock is dropped.
// error: E0521 E0521
// message: `run` escapes the method body here

include!("prelude.rs");

use core::{convert::Infallible, ops::ControlFlow};
use kernel::mm::pgtable::{Entry, LockedEntry, LockedRun, PageWalk};

#[allow(dead_code)]
struct Keep {
    locked: Option<LockedEntry<'static>>,
    copy: Option<Entry>,
}

#[vtable]
impl PageWalk for Keep {
    type Break = Infallible;

    fn pte_run(&mut self, run: &LockedRun<'_>) -> ControlFlow<Infallible> {
        let first = run.entries().next();
        #[cfg(not(twin))]
        let _ = core::mem::replace(&mut self.locked, first);
        #[cfg(twin)]
        let _ = core::mem::replace(&mut self.copy, first.map(|entry| *entry));
        ControlFlow::Continue(())
    }
}
