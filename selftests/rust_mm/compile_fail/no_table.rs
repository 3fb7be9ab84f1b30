// SPDX-License-Identifier: GPL-2.0

// A driver uses operations without a table, which `vm_operations!` defines.
// error: E0277
// message: `Ops` has no table of callbacks

include!("prelude.rs");

device!();

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerFile;
    type Memory = Ordinary;
}

#[cfg(twin)]
kernel::vm_operations!(Ops);

pub fn hook<'f>(desc: VmaDesc<'f, Dev>) -> Result<Mapping<'f, Dev>> {
    let _ = desc.with_ops::<Ops>();
    Err(ENODEV)
}
