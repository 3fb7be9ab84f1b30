// SPDX-License-Identifier: GPL-2.0

// A driver takes a VMA that it found through the file for one of its own; the i_mmap lock does not
// keep the VMA's operations and private data stable.
// error: E0599
// message: no method named `as_driver_vma` found for reference `&RmapVma`

include!("prelude.rs");

#[allow(unused_imports)]
use kernel::mm::{iter::MmapLocked, ops::Install};

device!();

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerFile;
    type Memory = Ordinary;
}

kernel::vm_operations!(Ops);

pub fn zap(mm: &MmWithUser, space: &AddressSpace) -> Result {
    let _ = (mm, space);
    #[cfg(not(twin))]
    let guard = space.i_mmap_lock_read();
    #[cfg(twin)]
    let guard = mm.mmap_read_lock();
    let vma = guard.vmas(0..1).next().ok_or(EINVAL)?;
    vma.as_driver_vma::<Ops>().ok_or(EINVAL)?.zap(0, PAGE_SIZE)
}
