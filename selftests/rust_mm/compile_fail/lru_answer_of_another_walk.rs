// SPDX-License-Identifier: GPL-2.0

// The callback of a walk returns the answer of the walk that it is in.
// error: no-code no-code
// message: the struct `Answer<'a>` is invariant over the parameter `'a`

include!("prelude.rs");

use kernel::list_lru::{
    Answer,
    Isolate,
    ListLru, //
};

fn also_walk<'a>(inner: &ListLru<u32>, item: Isolate<'a, u32>) -> Option<Answer<'a>> {
    let mut answer = Some(item.unlock().done());
    inner.walk(1, |item| {
        #[cfg(not(twin))]
        if let Some(answer) = answer.take() {
            return answer;
        }
        item.skip()
    });
    answer.take()
}

pub fn walk(outer: &ListLru<u32>, inner: &ListLru<u32>) {
    outer.walk(1, |item| also_walk(inner, item).unwrap());
}
