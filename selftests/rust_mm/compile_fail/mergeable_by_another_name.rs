// SPDX-License-Identifier: GPL-2.0

// A second kind of mapping that could be merged, for a file whose one kind is another.
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

// What the macro makes its constant of.
#[cfg(not(twin))]
const _: bool = kernel::mm::ops::is_mergeable::<Two, Dev>();
#[cfg(twin)]
const _: bool = kernel::mm::ops::is_mergeable::<One, Dev>();
