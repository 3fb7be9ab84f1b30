// SPDX-License-Identifier: GPL-2.0

// A page table walker keeps a VMA after the walk has dropped the lock.
// error: E0521
// message: `vma` is a reference that is only valid in the method body

include!("prelude.rs");

use core::{convert::Infallible, ops::ControlFlow};
use kernel::mm::{
    pgtable::{PageWalk, Visit},
    vma::VmaUnderMmap,
};

#[allow(dead_code)]
struct Keep {
    vma: Option<&'static VmaUnderMmap>,
    start: usize,
}

#[vtable]
impl PageWalk for Keep {
    type Break = Infallible;

    fn vma(&mut self, vma: &VmaUnderMmap) -> ControlFlow<Infallible, Visit> {
        #[cfg(not(twin))]
        let _ = self.vma.insert(vma);
        self.start = vma.start();
        ControlFlow::Continue(Visit::Enter)
    }
}
