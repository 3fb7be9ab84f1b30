// SPDX-License-Identifier: GPL-2.0

// An access that nobody has asked for: it stands for a lock.
// error: E0603
// message: tuple variant `Read` is private

include!("prelude.rs");

struct Dev {
    folio: ARef<Folio>,
    pfns: PfnRange,
}

#[vtable]
impl MiscDevice for Dev {
    type Ptr = KBox<Self>;

    fn open(_: &File, _: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }
}

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerFile;
    type Memory = Pfn;

    fn access(vma: &OwnedVma<Self>, addr: usize, access: Access<'_>) -> Result<usize> {
        #[cfg(not(twin))]
        let access = Access::Read(&mut []);
        vma.access_phys(addr, access)
    }
}

kernel::vm_operations!(Ops);
