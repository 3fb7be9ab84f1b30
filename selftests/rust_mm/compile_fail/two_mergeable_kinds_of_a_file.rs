// SPDX-License-Identifier: GPL-2.0

// A driver makes two kinds of mapping of one anonymous file mergeable.
// error: E0119
// message: conflicting implementations of trait `MergeableFile` for type `Buffer`

include!("prelude.rs");

use kernel::fs::{FileOf, FileOperations};

struct Buffer;

#[vtable]
impl FileOperations for Buffer {
    type Ptr = Arc<Self>;
}

struct One;
struct Two;

#[vtable]
impl VmOperations for One {
    type File = FileOf<Buffer>;
    type Data = PerFile;
    type Memory = Ordinary;

    fn may_map(_: DeviceRef<'_, Self>, _: Range<usize>, _: bool) -> Result {
        Ok(())
    }
}

#[vtable]
impl VmOperations for Two {
    type File = FileOf<Buffer>;
    type Data = PerFile;
    type Memory = Ordinary;

    fn may_map(_: DeviceRef<'_, Self>, _: Range<usize>, _: bool) -> Result {
        Ok(())
    }
}

kernel::vm_operations!(One, mergeable: FileOf<Buffer>);
#[cfg(not(twin))]
kernel::vm_operations!(Two, mergeable: FileOf<Buffer>);
#[cfg(twin)]
kernel::vm_operations!(Two);
