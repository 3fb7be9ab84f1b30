// SPDX-License-Identifier: GPL-2.0

// The callback of a walk releases the lru lock, and then removes the item as if it held it.
// error: E0382
// message: use of moved value: `item`

include!("prelude.rs");

use kernel::list_lru::ListLru;

pub fn walk(lru: &ListLru<u32>) {
    lru.walk(1, |item| {
        #[cfg(not(twin))]
        let _unlocked = item.unlock();
        item.remove().done()
    });
}
