// SPDX-License-Identifier: GPL-2.0

// The callback of a walk uses the value of an item after it has removed the item.
// error: E0505
// message: cannot move out of `item` because it is borrowed

include!("prelude.rs");

use kernel::list_lru::ListLru;

pub fn walk(lru: &ListLru<u32>) -> u32 {
    let mut sum = 0;
    lru.walk(1, |item| {
        let value = item.value();
        #[cfg(twin)]
        let value = &value.clone();
        let removed = item.remove();
        sum += value;
        removed.done()
    });
    sum
}
