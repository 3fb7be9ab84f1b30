// SPDX-License-Identifier: GPL-2.0

// A driver claims that a second kind of mapping of a file is mergeable.
// error: E0271
// message: type mismatch resolving `<Dev as MergeableFile>::Ops == Two`

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

// The check that `vm_operations!` makes in a constant.
#[cfg(not(twin))]
const _: bool = kernel::mm::ops::is_mergeable::<Two, Dev>();
#[cfg(twin)]
const _: bool = kernel::mm::ops::is_mergeable::<One, Dev>();
