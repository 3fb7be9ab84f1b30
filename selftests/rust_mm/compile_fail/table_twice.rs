// SPDX-License-Identifier: GPL-2.0

// A driver defines two tables for one type of operations.
// error: E0119
// message: conflicting implementations of trait `HasVmOps` for type `Ops`

include!("prelude.rs");

device!();

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerFile;
    type Memory = Ordinary;
}

kernel::vm_operations!(Ops);

#[cfg(not(twin))]
kernel::vm_operations!(Ops);

pub fn hook<'f>(desc: VmaDesc<'f, Dev>) -> Result<Mapping<'f, Dev>> {
    Ok(desc.with_ops::<Ops>()?.map_nothing())
}
