// SPDX-License-Identifier: GPL-2.0

// A driver implements a sealed evidence trait for a type of its own.
// error: E0277
// message: the trait bound `Mine: vma::evidence::Sealed` is not satisfied

include!("prelude.rs");

pub struct Mine;

#[cfg(not(twin))]
impl kernel::mm::vma::Traverse for Mine {}

pub fn start(vma: &impl kernel::mm::vma::Traverse) -> usize {
    vma.vma_range().start()
}
