// SPDX-License-Identifier: GPL-2.0

// An implementation of `HasVmOps` that says by itself that its mappings may be merged.
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
