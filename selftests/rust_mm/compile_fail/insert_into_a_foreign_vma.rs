// SPDX-License-Identifier: GPL-2.0

// A driver inserts a page into a VMA without checking that the VMA is its own.
// error: E0599
// message: no method named `insert_page` found for reference `&VmaUnderMmap`

include!("prelude.rs");

#[allow(unused_imports)]
use kernel::mm::{ops::Install, vma::VmaUnderMmap};

device!();

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerFile;
    type Memory = Mixed;
}

kernel::vm_operations!(Ops);

pub fn insert(vma: &VmaUnderMmap, folio: &Folio) -> Result {
    #[cfg(twin)]
    let vma = vma.as_driver_vma::<Ops>().ok_or(EINVAL)?;
    vma.insert_page(vma.start(), folio, 0)
}
