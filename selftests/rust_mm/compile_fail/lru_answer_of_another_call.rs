// SPDX-License-Identifier: GPL-2.0

// The callback of a walk keeps its answer, and gives it again in another call.
// error: no-code
// message: the struct `Answer<'a>` is invariant over the parameter `'a`

include!("prelude.rs");

use kernel::list_lru::ListLru;

pub fn walk(lru: &ListLru<u32>) {
    let mut kept = None;
    lru.walk(2, |item| {
        let answer = item.skip();
        #[cfg(not(twin))]
        return kept.replace(answer).unwrap();
        #[cfg(twin)]
        {
            kept.replace(());
            answer
        }
    });
}
