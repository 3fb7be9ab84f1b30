// SPDX-License-Identifier: GPL-2.0

// The lock of a VMA, given up by another thread.
// error: E0277
// message: cannot be sent between threads safely

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

fn on_any_thread<T: Send>(_: T) {}

pub fn start(mm: &MmWithUser, addr: usize) -> Option<()> {
    let guard = mm.lock_owned_vma::<Ops>(addr)?;
    #[cfg(not(twin))]
    on_any_thread(guard);
    #[cfg(twin)]
    on_any_thread(guard.start());
    Some(())
}
