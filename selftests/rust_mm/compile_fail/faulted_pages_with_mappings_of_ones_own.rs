// SPDX-License-Identifier: GPL-2.0

// A driver says that it can unmap pages with a type of its own, which unmaps nothing.
// error: E0277
// message: the trait bound `Mine: faulted::sealed::Sealed` is not satisfied

include!("prelude.rs");

use kernel::mm::{
    faulted::Mappings,
    FaultedPages, //
};

pub struct Mine;

#[cfg(not(twin))]
impl Mappings for Mine {}

pub fn count<M: Mappings>(pages: &FaultedPages<M>) -> usize {
    pages.nr_present()
}
