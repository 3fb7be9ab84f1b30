// SPDX-License-Identifier: GPL-2.0

// A driver keeps the data of a shrinker after it has ended the registration.
// error: E0505
// message: cannot move out of `registration` because it is borrowed

include!("prelude.rs");

use kernel::shrinker::{
    Registration,
    Shrinker, //
};

pub fn end<S: Shrinker<Ptr = KBox<u32>>>(registration: Registration<S>) -> u32 {
    let data = registration.data();
    #[cfg(twin)]
    let data = data.clone();
    drop(registration);
    u32::from(data.clone())
}
