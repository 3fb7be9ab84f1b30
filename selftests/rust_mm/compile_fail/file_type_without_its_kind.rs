// SPDX-License-Identifier: GPL-2.0

// The callbacks of a mapping name the data of a file, instead of the kind of file.
// error: E0277
// message: the trait bound `Buffer: MapFile` is not satisfied

include!("prelude.rs");

#[allow(unused_imports)]
use kernel::fs::{FileOf, FileOperations};

struct Buffer;

#[vtable]
impl FileOperations for Buffer {
    type Ptr = Arc<Self>;
}

#[cfg(not(twin))]
type Named = Buffer;
#[cfg(twin)]
type Named = FileOf<Buffer>;

fn map_file<T: kernel::mm::MapFile>() {}

pub fn check() {
    map_file::<Named>();
}
