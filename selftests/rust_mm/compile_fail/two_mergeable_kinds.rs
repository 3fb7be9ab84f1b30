// SPDX-License-Identifier: GPL-2.0

// A driver makes two kinds of mapping of one file mergeable, so that the kernel could merge one
// with the other.
// error: E0119
// message: conflicting implementations of trait `MergeableFile` for type `Dev`

include!("prelude.rs");

device!();

struct One;
struct Two;

#[vtable]
impl VmOperations for One {
    type File = Dev;
    type Data = PerFile;
    type Memory = Ordinary;

    fn may_map(_: DeviceRef<'_, Self>, _: Range<usize>, _: bool) -> Result {
        Ok(())
    }
}

#[vtable]
impl VmOperations for Two {
    type File = Dev;
    type Data = PerFile;
    type Memory = Ordinary;

    fn may_map(_: DeviceRef<'_, Self>, _: Range<usize>, _: bool) -> Result {
        Ok(())
    }
}

kernel::vm_operations!(One, mergeable: Dev);
#[cfg(not(twin))]
kernel::vm_operations!(Two, mergeable: Dev);
#[cfg(twin)]
kernel::vm_operations!(Two);
