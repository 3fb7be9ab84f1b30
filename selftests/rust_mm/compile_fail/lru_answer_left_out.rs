// SPDX-License-Identifier: GPL-2.0

// The callback of a walk leaks its item instead of answering for it.
// error: E0308
// message: expected `Answer<'_>`, found `()`

include!("prelude.rs");

use kernel::list_lru::ListLru;

pub fn walk(lru: &ListLru<u32>) {
    #[cfg(not(twin))]
    lru.walk(1, |item| core::mem::forget(item));
    #[cfg(twin)]
    lru.walk(1, |item| item.skip());
}
