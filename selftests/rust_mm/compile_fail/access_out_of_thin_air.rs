// SPDX-License-Identifier: GPL-2.0

// An access that nobody has asked for: it stands for a lock.
// error: E0603
// message: tuple variant `Read` is private

include!("prelude.rs");

device!();

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerFile;
    type Memory = Pfn;

    fn access(vma: &DriverVma<Self>, addr: usize, access: Access<'_>) -> Result<usize> {
        #[cfg(not(twin))]
        let access = match access {
            Access::Read { 1: accessed, .. } | Access::Write { 1: accessed, .. } => {
                Access::Read(&mut [], accessed)
            }
        };
        vma.access_phys(addr, access)
    }
}

kernel::vm_operations!(Ops);
