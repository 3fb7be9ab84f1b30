// SPDX-License-Identifier: GPL-2.0

// A driver moves an item that may be on the list.
// error: E0596
// message: it is not implemented for `core::pin::Pin<Box<LruItem<u32>, Kmalloc>>`

include!("prelude.rs");

use kernel::list_lru::LruItem;

pub fn swap(mut item: Pin<KBox<LruItem<u32>>>, spare: &mut LruItem<u32>) {
    item.as_mut().add(0);
    #[cfg(not(twin))]
    core::mem::swap(&mut *item, spare);
    let _ = spare;
}
