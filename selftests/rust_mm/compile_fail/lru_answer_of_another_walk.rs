// SPDX-License-Identifier: GPL-2.0

// The callback of a walk returns the answer of the walk that it is in.
// error: no-code
// message: lifetime `'1` appears in the type of `item`

include!("prelude.rs");

use kernel::list_lru::ListLru;

pub fn walk(outer: &ListLru<u32>, inner: &ListLru<u32>) {
    outer.walk(1, |item| {
        let mut answer = Some(item.unlock().done());
        inner.walk(1, |item| {
            #[cfg(not(twin))]
            if let Some(answer) = answer.take() {
                return answer;
            }
            item.skip()
        });
        answer.take().unwrap()
    });
}
