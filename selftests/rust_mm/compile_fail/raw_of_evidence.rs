// SPDX-License-Identifier: GPL-2.0

// A caller gets the raw pointer out of a view.
// error: E0603
// message: module `evidence` is private

include!("prelude.rs");

#[allow(unused_imports)]
use kernel::mm::vma::{Traverse, VmaUnderMmap};

pub fn get(vma: &VmaUnderMmap) -> usize {
    #[cfg(not(twin))]
    let vma = {
        use kernel::mm::vma::evidence;
        evidence::Sealed::vma(vma, evidence::Token(()))
    };
    #[cfg(twin)]
    let vma = vma.vma_range().start();
    vma as usize
}
