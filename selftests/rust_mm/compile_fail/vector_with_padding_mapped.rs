// SPDX-License-Identifier: GPL-2.0

// A driver maps a vector whose elements have padding, whose bytes are not initialised.
// error: E0277
// message: the trait bound `Entry: IntoBytes` is not satisfied

include!("prelude.rs");

#[repr(C)]
#[derive(Clone, Copy)]
#[cfg_attr(twin, derive(IntoBytes))]
pub struct Entry {
    id: u32,
    #[cfg(twin)]
    reserved: u32,
    value: u64,
}

pub fn map(table: KVVec<Entry>) -> Result<KernelPages> {
    KernelPages::from_kvvec(table)
}
