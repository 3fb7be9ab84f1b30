// SPDX-License-Identifier: GPL-2.0

// A driver hands the guard of a VMA lock to another thread.
// error: E0599
// message: `DriverVmaGuard<'_, Ops>: Send`

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

pub fn start(mm: &MmWithUser, addr: usize) -> Option<()> {
    let guard = mm.lock_driver_vma::<Ops>(addr)?;
    #[cfg(not(twin))]
    Handed(guard).to_another_thread();
    #[cfg(twin)]
    Handed(guard).to_this_thread();
    Some(())
}
