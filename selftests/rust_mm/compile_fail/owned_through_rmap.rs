// SPDX-License-Identifier: GPL-2.0

// Taking a VMA that was found through its file for one of the driver's own.
// error: E0599
// message: no method named `as_owned` found for reference `&RmapVma`

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
    type Memory = Ordinary;
}

kernel::vm_operations!(Ops);

pub fn zap(_mm: &MmWithUser, space: &AddressSpace) -> Result {
    #[cfg(not(twin))]
    let guard = space.i_mmap_lock_read();
    #[cfg(not(twin))]
    let vma = guard.vmas(0..1).next().ok_or(EINVAL)?;
    #[cfg(twin)]
    let guard = _mm.mmap_read_lock();
    #[cfg(twin)]
    let vma = guard.vma_lookup(0).ok_or(EINVAL)?;
    let _ = space;
    vma.as_owned::<Ops>().ok_or(EINVAL)?.zap(0, PAGE_SIZE)
}
