// SPDX-License-Identifier: GPL-2.0

// A fault handler keeps the borrow of its device after the fault.
// error: E0521
// message: `vmf` is a reference that is only valid in the associated function body

include!("prelude.rs");

struct Dev {
    folio: ARef<Folio>,
    kept: Mutex<Option<&'static Dev>>,
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

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        let dev = vmf.data();
        #[cfg(not(twin))]
        let _ = dev.kept.lock().replace(dev);
        let _ = &dev.kept;
        vmf.return_page(dev.folio.clone(), 0)
    }
}

kernel::vm_operations!(Ops);

pub fn hook<'f>(desc: VmaDesc<'f, Dev>) -> Result<Mapping<'f, Dev>> {
    Ok(desc.with_ops::<Ops>()?.on_fault())
}
