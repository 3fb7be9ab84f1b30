// SPDX-License-Identifier: GPL-2.0

// A driver accesses the PFNs of a VMA through a view that does not prove that the mmap lock is
// held.
// error: E0599
// message: no method named `access_phys` found

include!("prelude.rs");

device!();

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerFile;
    type Memory = Pfn;

    fn access(vma: &DriverVmaUnderMmap<Self>, addr: usize, access: Access<'_>) -> Result<usize> {
        #[cfg(not(twin))]
        let vma: &DriverVma<Self> = vma;
        vma.access_phys(addr, access)
    }
}

kernel::vm_operations!(Ops);
