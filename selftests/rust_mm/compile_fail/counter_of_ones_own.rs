// SPDX-License-Identifier: GPL-2.0

// A driver charges pages to a counter that the kernel does not have.
// error: E0277
// message: the trait bound `Mine: Counter` is not satisfied

include!("prelude.rs");

use kernel::mm::account::{Charge, PinnedVm};

#[cfg(not(twin))]
struct Mine;
#[cfg(twin)]
type Mine = PinnedVm;

pub fn keep(_: Charge<PinnedVm>, _: Charge<Mine>) {}
