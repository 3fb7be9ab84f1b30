// SPDX-License-Identifier: GPL-2.0

// A driver writes a record with padding, whose bytes are not initialised, for user space to read.
// error: E0277
// message: the trait bound `Reply: IntoBytes` is not satisfied

include!("prelude.rs");

#[repr(C)]
#[cfg_attr(twin, derive(IntoBytes))]
pub struct Reply {
    id: u32,
    #[cfg(twin)]
    reserved: u32,
    value: u64,
}

pub fn reply(pages: &KernelPages, reply: Reply) -> Result {
    pages.write_record(0, reply)
}
