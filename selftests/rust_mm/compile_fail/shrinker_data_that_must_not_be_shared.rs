// SPDX-License-Identifier: GPL-2.0

// The data of a shrinker is such that only one thread may use it at a time.
// error: E0277
// message: `Cell<usize>` cannot be shared between threads safely

include!("prelude.rs");

use core::cell::Cell;
use kernel::shrinker::{
    Count,
    Scan,
    ShrinkControl,
    Shrinker, //
};

#[cfg(not(twin))]
type Data = Cell<usize>;
#[cfg(twin)]
type Data = usize;

struct Buffers;

#[vtable]
impl Shrinker for Buffers {
    type Ptr = KBox<Data>;

    fn count(_: &Data, _: &ShrinkControl) -> Count {
        Count::Empty
    }

    fn scan(_: &Data, _: &mut ShrinkControl) -> Scan {
        Scan::Stop
    }
}
