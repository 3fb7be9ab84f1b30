// SPDX-License-Identifier: GPL-2.0

// A table that may be merged, by a rule of the macro that is not for drivers.
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
