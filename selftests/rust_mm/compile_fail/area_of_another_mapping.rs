// SPDX-License-Identifier: GPL-2.0

// A driver returns an address that the kernel has chosen for another mapping.
// error: no-code
// message: function was supposed to return data with lifetime `'a` but it is returning data

include!("prelude.rs");

use kernel::fs::{
    area::{Area, AreaRequest},
    FileOperations,
};

struct Buffer;

#[vtable]
impl FileOperations for Buffer {
    type Ptr = KBox<Self>;

    fn get_unmapped_area<'a>(_: &'a Self, request: AreaRequest<'a>) -> Result<Area<'a>> {
        request.anywhere()
    }
}

#[cfg(not(twin))]
pub fn choose<'a, 'b>(_: AreaRequest<'a>, earlier: AreaRequest<'b>) -> Result<Area<'a>> {
    earlier.anywhere()
}
#[cfg(twin)]
pub fn choose<'a, 'b>(request: AreaRequest<'a>, _: AreaRequest<'b>) -> Result<Area<'a>> {
    request.anywhere()
}
