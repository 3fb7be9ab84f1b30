// SPDX-License-Identifier: GPL-2.0

// Code inserts a page into a VMA that it has looked up, because the VMA has the right flag.
// error: E0599
// message: no method named `as_mixedmap_vma` found for reference `&VmaRef`

include!("prelude.rs");

device!();

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerFile;
    type Memory = Mixed;
}

kernel::vm_operations!(Ops);

#[cfg(not(twin))]
pub fn insert(vma: &VmaRef, page: &kernel::page::Page) -> Result {
    vma.as_mixedmap_vma()
        .ok_or(EINVAL)?
        .vm_insert_page(vma.start(), page)
}

#[cfg(twin)]
pub fn insert(mm: &MmWithUser, addr: usize, folio: &Folio) -> Result {
    mm.lock_driver_vma::<Ops>(addr)
        .ok_or(ESRCH)?
        .insert_page(addr, folio, 0)
}
