// SPDX-License-Identifier: GPL-2.0

// The items of a list borrow what can be gone while a leaked item is still on the list.
// error: E0521
// message: `lru` is a reference that is only valid in the function body

include!("prelude.rs");

use kernel::list_lru::{
    ListLru,
    LruItem, //
};

#[cfg(not(twin))]
type Value<'a> = &'a u32;
#[cfg(twin)]
type Value<'a> = &'static u32;

pub fn add<'a>(lru: Arc<ListLru<Value<'a>>>, value: Value<'a>) -> Result {
    let mut item = KBox::pin_init(LruItem::new(lru, value), GFP_KERNEL)?;
    item.as_mut().add(0);
    core::mem::forget(item);
    Ok(())
}
