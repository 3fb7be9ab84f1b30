// SPDX-License-Identifier: GPL-2.0

// A driver declares that user space may write its own type, which not every value is valid for.
// error: E0277
// message: Sealed` is not satisfied

include!("prelude.rs");

#[allow(unused_imports)]
use kernel::{
    mm::SharedInt,
    sync::atomic::AtomicType, //
};

#[allow(dead_code)]
#[derive(Clone, Copy)]
#[repr(i32)]
pub enum State {
    Idle = 0,
    Busy = 1,
}

// SAFETY: The type has the size and the alignment of an `i32`, and each of its values is one.
unsafe impl AtomicType for State {
    type Repr = i32;
}

#[cfg(not(twin))]
impl SharedInt for State {}
