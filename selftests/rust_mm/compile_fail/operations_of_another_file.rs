// SPDX-License-Identifier: GPL-2.0

// A driver maps a file with operations for another type of file.
// error: E0271
// message: type mismatch resolving `<Ops as VmOperations>::File == Dev`

include!("prelude.rs");

device!();

struct Other;

#[vtable]
impl MiscDevice for Other {
    type Ptr = KBox<Self>;

    fn open(_: &File, _: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }
}

struct Ops;

#[vtable]
impl VmOperations for Ops {
    #[cfg(not(twin))]
    type File = Other;
    #[cfg(twin)]
    type File = Dev;
    type Data = PerFile;
    type Memory = Ordinary;
}

kernel::vm_operations!(Ops);

pub fn hook<'f>(desc: VmaDesc<'f, Dev>) -> Result<Mapping<'f, Dev>> {
    let _ = desc.with_ops::<Ops>();
    Err(ENODEV)
}
