// SPDX-License-Identifier: GPL-2.0

// The callback of a walk hands its item, and so the lru lock, to another thread.
// error: E0599
// message: `Isolate<'_, u32>: Send`

include!("prelude.rs");

use kernel::list_lru::{
    Answer,
    Isolate, //
};

pub fn isolate(item: Isolate<'_, u32>) -> Answer<'_> {
    #[cfg(not(twin))]
    let item = Handed(item).to_another_thread();
    #[cfg(twin)]
    let item = Handed(item).to_this_thread();
    item.skip()
}
