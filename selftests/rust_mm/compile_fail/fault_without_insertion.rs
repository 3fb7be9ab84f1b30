// SPDX-License-Identifier: GPL-2.0

// A fault handler claims an insertion that it has not made.
// error: E0451
// message: field `0` of struct `kernel::mm::ops::Inserted` is private

include!("prelude.rs");

device!();

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerFile;
    type Memory = Ordinary;

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        #[cfg(not(twin))]
        let inserted = Inserted {
            0: core::marker::PhantomData,
        };
        #[cfg(twin)]
        let inserted = vmf.insert_page(&vmf.data().folio, 0)?;
        let _ = vmf;
        Ok(inserted.into())
    }
}

kernel::vm_operations!(Ops);

pub fn hook<'f>(desc: VmaDesc<'f, Dev>) -> Result<Mapping<'f, Dev>> {
    Ok(desc.with_ops::<Ops>()?.on_fault())
}
