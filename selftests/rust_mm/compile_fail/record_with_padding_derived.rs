// SPDX-License-Identifier: GPL-2.0

// A driver declares that a record with padding has none.
// error: E0277
// message: `Reply` has 4 total byte(s) of padding

include!("prelude.rs");

#[repr(C)]
#[derive(IntoBytes)]
pub struct Reply {
    id: u32,
    #[cfg(twin)]
    reserved: u32,
    value: u64,
}
