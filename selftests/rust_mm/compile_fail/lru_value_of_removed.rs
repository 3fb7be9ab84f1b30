// SPDX-License-Identifier: GPL-2.0

// The callback of a walk asks a removed item for its value.
// error: E0599
// message: no method named `value` found for struct `Removed`

include!("prelude.rs");

use kernel::list_lru::ListLru;

pub fn walk(lru: &ListLru<u32>) -> u32 {
    let mut sum = 0;
    lru.walk(1, |item| {
        #[cfg(twin)]
        let value = *item.value();
        let item = item.remove();
        #[cfg(not(twin))]
        let value = *item.value();
        sum += value;
        item.done()
    });
    sum
}
