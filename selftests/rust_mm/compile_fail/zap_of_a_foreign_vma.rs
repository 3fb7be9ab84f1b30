// SPDX-License-Identifier: GPL-2.0

// A driver zaps pages of a VMA without checking that the VMA is its own.
// error: E0599
// message: no method named `zap` found for reference `&VmaUnderMmap`

include!("prelude.rs");

#[allow(unused_imports)]
use kernel::mm::{ops::Install, vma::VmaUnderMmap};

device!();

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerFile;
    type Memory = Ordinary;
}

kernel::vm_operations!(Ops);

pub fn zap(vma: &VmaUnderMmap) -> Result {
    #[cfg(twin)]
    let vma = vma.as_driver_vma::<Ops>().ok_or(EINVAL)?;
    vma.zap(vma.start(), PAGE_SIZE)
}
