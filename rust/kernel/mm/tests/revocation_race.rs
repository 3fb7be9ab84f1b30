// SPDX-License-Identifier: GPL-2.0

//! Tests of memory that is revoked while a callback is using it.
//!
//! Each callback first waits until another thread has started the revocation. From then on,
//! `revoke` must wait for the callback, and must find what the callback has mapped.

use super::{
    revocation,
    threads::elsewhere, //
};
use crate::{
    bindings,
    fs::File,
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    mm::{
        desc::{
            Mapping,
            VmaDesc, //
        },
        ops::{
            Access,
            DriverVmaUnderMmap,
            Fault,
            FaultAnswer,
            FaultError,
            MkwriteAnswer,
            MkwriteFault,
            Ordinary,
            PerFile,
            VmOperations, //
        },
        revoke::Revocation,
        rmap::AddressSpace,
        testing::{
            UserMm,
            READ,
            SHARED,
            WRITE, //
        },
        Folio, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Completion, //
    }, //
};

/// The callback that waits for the revocation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slow {
    Fault,
    Insert,
    Mkwrite,
    Access,
    /// The fault handler, which restores the memory while `revoke` waits for it.
    Restore,
}

#[pin_data]
struct Device {
    folio: ARef<Folio>,
    slow: Slow,
    /// The number of callbacks that have ended before `revoke` has returned; or after, if the
    /// callback has restored the memory.
    waited_for: Atomic<i32>,
    /// Set by the other thread when `revoke` has returned.
    returned: Atomic<i32>,
    #[pin]
    entered: Completion,
    #[pin]
    revocation: Revocation,
}

impl Device {
    /// Waits, in the slow callback, until the revocation has started.
    fn enter(&self, callback: Slow) {
        if callback != self.slow {
            return;
        }
        self.entered.complete_all();
        for _ in 0..10_000 {
            if self.revocation.is_revoked() {
                break;
            }
            // SAFETY: The callbacks of this test may sleep.
            unsafe { bindings::msleep(1) };
        }
        if self.slow == Slow::Restore {
            self.revocation.restore();
            for _ in 0..10_000 {
                if self.returned.load(Relaxed) != 0 {
                    self.waited_for.fetch_add(1, Relaxed);
                    break;
                }
                // SAFETY: The callbacks of this test may sleep.
                unsafe { bindings::msleep(1) };
            }
            return;
        }
        // Long enough for a `revoke` that does not wait to return.
        //
        // SAFETY: The callbacks of this test may sleep.
        unsafe { bindings::msleep(50) };
        if self.revocation.is_revoked() && self.returned.load(Relaxed) == 0 {
            self.waited_for.fetch_add(1, Relaxed);
        }
    }
}

struct SlowFile(Arc<Device>);

#[vtable]
impl MiscDevice for SlowFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn address_space<'a>(this: &'a Self, _file: &'a File) -> &'a AddressSpace {
        this.0.revocation.address_space()
    }

    fn mmap_prepare<'f>(_: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        Ok(desc.with_ops::<SlowOps>()?.on_fault())
    }
}

struct SlowOps;

#[vtable]
impl VmOperations for SlowOps {
    type File = SlowFile;
    type Data = PerFile;
    type Memory = Ordinary;

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        let device = &vmf.data().0;
        match device.slow {
            Slow::Insert => {
                device.enter(Slow::Insert);
                Ok(vmf.insert_page(&device.folio, 0)?.into())
            }
            // The kernel calls `access` only if it cannot fault a page in.
            Slow::Access => Err(FaultError::SigBus),
            Slow::Restore => {
                device.enter(Slow::Restore);
                vmf.return_page(device.folio.clone(), 0)
            }
            Slow::Fault | Slow::Mkwrite => {
                device.enter(Slow::Fault);
                vmf.return_page(device.folio.clone(), 0)
            }
        }
    }

    fn page_mkwrite(vmf: &MkwriteFault<Self>) -> Result<MkwriteAnswer<'_>, FaultError> {
        vmf.data().0.enter(Slow::Mkwrite);
        Ok(MkwriteAnswer::Locked(vmf.lock()))
    }

    fn access(vma: &DriverVmaUnderMmap<Self>, _addr: usize, access: Access<'_>) -> Result<usize> {
        vma.data().0.enter(Slow::Access);
        Ok(access.len())
    }
}

crate::vm_operations!(SlowOps);

/// Makes an access that calls the slow callback, and revokes the memory meanwhile.
fn race(slow: Slow, before: fn(&UserMm, usize) -> Result, access: fn(&UserMm, usize)) -> Result {
    let mm = UserMm::attach()?;
    let folio = Folio::alloc(0, GFP_KERNEL)?;
    let device = Arc::pin_init(
        try_pin_init!(Device {
            folio,
            slow,
            waited_for: Atomic::new(0),
            returned: Atomic::new(0),
            entered <- Completion::new(),
            revocation <- Revocation::new::<SlowFile>(),
        }? Error),
        GFP_KERNEL,
    )?;
    let file = mm.open::<SlowFile>(KBox::new(SlowFile(device.clone()), GFP_KERNEL)?)?;
    let addr = file.mmap(PAGE_SIZE, READ | WRITE, SHARED, 0)?;
    before(&mm, addr)?;

    let theirs = device.clone();
    let outcome = elsewhere(move || {
        theirs.entered.wait_for_completion();
        theirs.revocation.revoke();
        theirs.returned.store(1, Relaxed);
        Ok(())
    })?;
    access(&mm, addr);
    // If the kernel has not called the callback, the other thread must not wait forever.
    device.entered.complete_all();
    outcome.wait()?;

    assert_eq!(device.waited_for.load(Relaxed), 1);
    if slow == Slow::Restore {
        assert!(!device.revocation.is_revoked());
        mm.read::<1>(addr)?;
        return mm.munmap(addr, PAGE_SIZE);
    }
    assert_eq!(mm.read::<1>(addr), Err(EFAULT));
    assert_eq!(mm.write(addr, b"x"), Err(EFAULT));
    // Only the device holds a reference.
    assert_eq!(device.folio.ref_count(), 1);
    mm.munmap(addr, PAGE_SIZE)
}

#[kunit_tests(rust_mm_revocation_race)]
mod cases {
    use super::*;

    fn nothing(_mm: &UserMm, _addr: usize) -> Result {
        Ok(())
    }

    // The access may succeed or fail: that depends on which thread continues first.
    fn read(mm: &UserMm, addr: usize) {
        let _ = mm.read::<1>(addr);
    }

    #[test]
    fn page_of_a_fault() -> Result {
        race(Slow::Fault, nothing, read)
    }

    #[test]
    fn page_inserted_in_a_fault() -> Result {
        race(Slow::Insert, nothing, read)
    }

    /// If the memory is restored, there may be fault handlers forever, so `revoke` does not wait.
    #[test]
    fn restored_while_revoke_waits() -> Result {
        race(Slow::Restore, nothing, read)
    }

    #[test]
    fn page_that_becomes_writable() -> Result {
        race(
            Slow::Mkwrite,
            |mm, addr| mm.read::<1>(addr).map(drop),
            |mm, addr| {
                let _ = mm.write(addr, b"x");
            },
        )
    }

    #[test]
    fn access_by_a_debugger() -> Result {
        race(Slow::Access, nothing, |mm, addr| {
            revocation::access(mm, addr, &mut [0; 4], false);
        })
    }
}
