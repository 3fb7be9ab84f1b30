// SPDX-License-Identifier: GPL-2.0

// Code zaps pages of a VMA that it has looked up, as upstream's Binder did.
// error: E0599
// message: no method named `zap_vma_range` found for reference `&VmaRef`

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
pub fn zap(vma: &VmaRef) {
    vma.zap_vma_range(vma.start(), PAGE_SIZE)
}

#[cfg(twin)]
pub fn zap(mm: &MmWithUser, addr: usize) -> Result {
    mm.lock_driver_vma::<Ops>(addr)
        .ok_or(ESRCH)?
        .zap(addr, PAGE_SIZE)
}
