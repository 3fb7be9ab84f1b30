// SPDX-License-Identifier: GPL-2.0

// The items of a list have values that only one thread may use at a time.
// error: E0277 E0277
// message: `Cell<u32>` cannot be shared between threads safely

include!("prelude.rs");

use core::cell::Cell;
use kernel::list_lru::{
    ListLru,
    LruItem, //
};

#[cfg(not(twin))]
type Value = Cell<u32>;
#[cfg(twin)]
type Value = u32;

pub fn item(lru: Arc<ListLru<Value>>, value: Value) -> impl PinInit<LruItem<Value>> {
    LruItem::new(lru, value)
}
