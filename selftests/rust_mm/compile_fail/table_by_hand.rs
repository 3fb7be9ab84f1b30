// SPDX-License-Identifier: GPL-2.0

// A driver implements `HasVmOps` itself, and so claims that its mappings are mergeable.
// error: E0200
// message: the trait `HasVmOps` requires an `unsafe impl` declaration

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
static TABLE: VmOpsTable<Ops> = VmOpsTable::new();

#[cfg(not(twin))]
impl HasVmOps for Ops {
    const MERGEABLE: bool = true;

    fn table() -> &'static VmOpsTable<Ops> {
        &TABLE
    }
}

#[cfg(twin)]
kernel::vm_operations!(Ops);
