// SPDX-License-Identifier: GPL-2.0

// A driver uses an internal rule of `vm_operations!` to make a mergeable table.
// error: no-code
// message: `vm_operations!` takes the type

include!("prelude.rs");

device!();

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerFile;
    type Memory = Ordinary;
}

#[cfg(not(twin))]
kernel::vm_operations!(@table Ops, true);
#[cfg(twin)]
kernel::vm_operations!(Ops);
