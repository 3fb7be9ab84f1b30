// SPDX-License-Identifier: GPL-2.0

// Getting at the pointer behind a view.
// error: E0603
// message: module `sealed` is private

include!("prelude.rs");

use kernel::mm::vma::Traverse;

pub fn get(vma: &VmaRef) -> usize {
    #[cfg(not(twin))]
    let vma = {
        use kernel::mm::vma::evidence::sealed;
        sealed::Sealed::vma(vma, sealed::Token(()))
    };
    #[cfg(twin)]
    let vma = Stable::start(vma);
    vma as usize
}
