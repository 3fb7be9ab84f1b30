// SPDX-License-Identifier: GPL-2.0

// A driver makes a hand-written table without the promise that its `open` sets the private data.
// error: E0133
// message: call to unsafe function `FileTable::<T>::new` is unsafe

include!("prelude.rs");

use kernel::fs::{FileOperations, FileTable};

struct Buffer;

#[vtable]
impl FileOperations for Buffer {
    type Ptr = Arc<Self>;
}

#[cfg(not(twin))]
pub static TABLE: FileTable<Buffer> = FileTable::new(FileTable::<Buffer>::OPERATIONS);
// SAFETY: No file has this table.
#[cfg(twin)]
pub static TABLE: FileTable<Buffer> = unsafe { FileTable::new(FileTable::<Buffer>::OPERATIONS) };
