// SPDX-License-Identifier: GPL-2.0

// A driver adds an item through a shared reference, as several threads could do at once.
// error: E0596
// message: it is not implemented for `Arc<core::pin::Pin<Box<LruItem<u32>, Kmalloc>>>`

include!("prelude.rs");

use kernel::list_lru::LruItem;

pub fn add(item: Arc<Pin<KBox<LruItem<u32>>>>, mut own: Pin<KBox<LruItem<u32>>>) {
    #[cfg(not(twin))]
    item.as_mut().add(0);
    let _ = item;
    own.as_mut().add(0);
}
