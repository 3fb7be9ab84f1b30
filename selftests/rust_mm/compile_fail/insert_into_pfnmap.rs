// SPDX-License-Identifier: GPL-2.0

// A driver inserts a page into its own VMA, which maps PFNs.
// error: E0599
// message: doesn't satisfy `<Ops as VmOperations>::Memory = Mixed`

include!("prelude.rs");

device!();

#[cfg(not(twin))]
type Kind = Pfn;
#[cfg(twin)]
type Kind = Mixed;

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerFile;
    type Memory = Kind;
}

kernel::vm_operations!(Ops);

pub fn insert(vma: &DriverVma<Ops>, folio: &Folio) -> Result {
    vma.insert_page(vma.start(), folio, 0)
}
