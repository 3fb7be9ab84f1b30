// SPDX-License-Identifier: GPL-2.0

// A shrinker keeps the borrow of its data after it has returned.
// error: E0521
// message: `data` escapes the associated function body here

include!("prelude.rs");

use kernel::shrinker::{
    Count,
    Scan,
    ShrinkControl,
    Shrinker, //
};

struct Buffers;

struct Data {
    kept: Mutex<Option<&'static Data>>,
}

#[vtable]
impl Shrinker for Buffers {
    type Ptr = Arc<Data>;

    fn count(_: ArcBorrow<'_, Data>, _: &ShrinkControl) -> Count {
        Count::Empty
    }

    fn scan(data: ArcBorrow<'_, Data>, _: &mut ShrinkControl) -> Scan {
        let data = data.into_ref();
        #[cfg(not(twin))]
        let _ = data.kept.lock().replace(data);
        let _ = &data.kept;
        Scan::Stop
    }
}
