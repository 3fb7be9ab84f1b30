// SPDX-License-Identifier: GPL-2.0

// A driver uses a view of its VMA after dropping the lock.
// error: E0597
// message: `guard` does not live long enough

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

pub fn start(mm: &MmWithUser, addr: usize) -> Option<usize> {
    #[cfg(twin)]
    let guard;
    let vma: &DriverVma<Ops>;
    {
        #[cfg(not(twin))]
        let guard;
        guard = mm.lock_driver_vma::<Ops>(addr)?;
        vma = &guard;
    }
    Some(vma.start())
}
