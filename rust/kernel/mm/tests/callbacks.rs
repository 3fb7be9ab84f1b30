// SPDX-License-Identifier: GPL-2.0

//! Tests of the codes that callbacks return to the kernel, and of the arguments that they get.

#[cfg(CONFIG_X86_64)]
use super::{
    syscalls::{
        mprotect,
        mremap, //
    },
    FilledFile,
    Probe, //
};
#[cfg(CONFIG_X86_64)]
use crate::mm::{
    flags::Protection,
    testing::EXEC, //
};
use crate::{
    bindings,
    error::to_result,
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
        flags::{
            VmaFlag,
            VmaFlags, //
        },
        ops::{
            DriverVmaInfo,
            Fault,
            FaultAnswer,
            FaultError,
            MkwriteAnswer,
            MkwriteFault,
            Ordinary,
            PerFile,
            VmOperations, //
        },
        pgtable::{
            FaultAccess,
            Handled, //
        },
        testing::{
            UserFile,
            UserMm,
            READ,
            SHARED,
            WRITE, //
        },
        Folio,
        LockedFolio, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    }, //
};
use core::{
    mem,
    ops::Range,
    ptr, //
};

/// The answers of `fault`.
mod fault {
    pub(super) const PAGE: i32 = 0;
    pub(super) const MAJOR: i32 = 1;
    pub(super) const SEGV: i32 = 2;
    pub(super) const POISON: i32 = 3;
    pub(super) const ENOMEM: i32 = 4;
    pub(super) const EIO: i32 = 5;
}

/// The answers of `page_mkwrite`.
mod mkwrite {
    pub(super) const LOCKED: i32 = 0;
    pub(super) const GONE: i32 = 1;
    pub(super) const FAILED: i32 = 2;
    pub(super) const LEAKED: i32 = 3;
    pub(super) const LEAKED_AND_FAILED: i32 = 4;
}

/// Bits for the properties of a fault that the handler has seen.
const WRITES: i32 = 1;
const USER: i32 = 2;
const REMOTE: i32 = 4;

/// The device of a case: what its callbacks return, and the arguments that they got.
struct Device {
    folio: ARef<Folio>,
    fault: Atomic<i32>,
    mkwrite: Atomic<i32>,
    seen: Atomic<i32>,
    /// The result of `mprotect`.
    mprotect: Atomic<i32>,
    protected: Atomic<usize>,
    protected_len: Atomic<usize>,
    protected_writable: Atomic<i32>,
}

struct CodeFile(Arc<Device>);

#[vtable]
impl MiscDevice for CodeFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn mmap_prepare<'f>(_: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        Ok(desc.with_ops::<CodeOps>()?.on_fault())
    }
}

struct CodeOps;

#[vtable]
impl VmOperations for CodeOps {
    type File = CodeFile;
    type Data = PerFile;
    type Memory = Ordinary;

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        let device = &vmf.data().0;
        let bit = |set: bool, bit: i32| if set { bit } else { 0 };
        let seen =
            bit(vmf.is_write(), WRITES) | bit(vmf.is_user(), USER) | bit(vmf.is_remote(), REMOTE);
        device.seen.store(seen, Relaxed);
        match device.fault.load(Relaxed) {
            fault::PAGE => vmf.return_page(device.folio.clone(), 0),
            fault::MAJOR => Ok(vmf.return_page(device.folio.clone(), 0)?.major()),
            fault::SEGV => Err(FaultError::SigSegv),
            fault::POISON => Err(FaultError::HwPoison),
            fault::ENOMEM => Err(ENOMEM)?,
            _ => Err(EIO)?,
        }
    }

    fn page_mkwrite(vmf: &MkwriteFault<Self>) -> Result<MkwriteAnswer<'_>, FaultError> {
        let device = &vmf.data().0;
        match device.mkwrite.load(Relaxed) {
            mkwrite::LOCKED => Ok(MkwriteAnswer::Locked(vmf.lock())),
            mkwrite::LEAKED => {
                mem::forget(vmf.lock());
                Ok(MkwriteAnswer::Gone)
            }
            mkwrite::LEAKED_AND_FAILED => {
                mem::forget(vmf.lock());
                Err(FaultError::SigBus)
            }
            mkwrite::GONE => {
                let locked = vmf.lock();
                assert_eq!(locked.len(), PAGE_SIZE);
                Ok(MkwriteAnswer::Gone)
            }
            _ => Err(FaultError::Oom),
        }
    }

    fn mprotect(vma: &DriverVmaInfo<Self>, range: Range<usize>, flags: VmaFlags) -> Result {
        let device = &vma.data().0;
        device.protected.store(range.start, Relaxed);
        device.protected_len.store(range.len(), Relaxed);
        let writable = flags.contains_all(VmaFlags::new([VmaFlag::WRITE]));
        device.protected_writable.store(writable.into(), Relaxed);
        to_result(device.mprotect.load(Relaxed))
    }
}

crate::vm_operations!(CodeOps);

#[kunit_tests(rust_mm_callbacks)]
mod cases {
    use super::*;

    const LEN: usize = 4 * PAGE_SIZE;
    const FAULT: u32 = 0;
    const WRITE_FAULT: u32 = bindings::fault_flag_FAULT_FLAG_WRITE;

    fn open(mm: &UserMm) -> Result<(Arc<Device>, UserFile<'_>)> {
        let device = Arc::new(
            Device {
                folio: Folio::alloc(0, GFP_KERNEL)?,
                fault: Atomic::new(fault::PAGE),
                mkwrite: Atomic::new(mkwrite::LOCKED),
                seen: Atomic::new(0),
                mprotect: Atomic::new(0),
                protected: Atomic::new(0),
                protected_len: Atomic::new(0),
                protected_writable: Atomic::new(-1),
            },
            GFP_KERNEL,
        )?;
        let file = mm.open::<CodeFile>(KBox::new(CodeFile(device.clone()), GFP_KERNEL)?)?;
        Ok((device, file))
    }

    /// Returns the code that an architecture's fault handler gets, for flags that do not allow a
    /// retry.
    fn code(mm: &UserMm, addr: usize, flags: u32) -> Result<bindings::vm_fault_t> {
        let guard = mm.current().mmap_read_lock();
        let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
        // SAFETY: The guard holds the mmap lock. The flags do not allow a retry, so the fault does
        // not drop it. The VMA permits the access.
        Ok(unsafe { bindings::handle_mm_fault(vma.as_ptr(), addr, flags, ptr::null_mut()) })
    }

    /// Returns whether the folio is unlocked, and its number of references.
    fn folio(device: &Device) -> (bool, usize) {
        let unlocked = LockedFolio::try_new(device.folio.clone()).is_ok();
        (unlocked, device.folio.ref_count())
    }

    #[test]
    fn codes_of_a_fault() -> Result {
        let mm = UserMm::attach()?;
        let (device, file) = open(&mm)?;
        let addr = file.mmap(LEN, READ, SHARED, 0)?;
        for (way, expected) in [
            (fault::SEGV, bindings::vm_fault_reason_VM_FAULT_SIGSEGV),
            (fault::POISON, bindings::vm_fault_reason_VM_FAULT_HWPOISON),
            (fault::ENOMEM, bindings::vm_fault_reason_VM_FAULT_OOM),
            (fault::EIO, bindings::vm_fault_reason_VM_FAULT_SIGBUS),
        ] {
            device.fault.store(way, Relaxed);
            assert_eq!(code(&mm, addr, FAULT)?, expected);
            assert_eq!(folio(&device), (true, 1));
            // And the errno that the layer returns for it.
            let guard = mm.current().mmap_read_lock();
            let errno = if way == fault::ENOMEM { ENOMEM } else { EFAULT };
            let handled = guard.handle_mm_fault(addr, FaultAccess::Read);
            assert!(matches!(handled, Handled::Failed(_, err) if err == errno));
        }
        // Only the handler that reports I/O makes the fault a major one.
        device.fault.store(fault::MAJOR, Relaxed);
        let major = bindings::vm_fault_reason_VM_FAULT_MAJOR;
        assert_eq!(code(&mm, addr, FAULT)? & major, major);
        device.fault.store(fault::PAGE, Relaxed);
        assert_eq!(code(&mm, addr + PAGE_SIZE, FAULT)? & major, 0);
        assert_eq!(folio(&device), (true, 3));
        mm.munmap(addr, LEN)?;
        assert_eq!(folio(&device), (true, 1));
        Ok(())
    }

    #[test]
    fn who_has_faulted() -> Result {
        let mm = UserMm::attach()?;
        let (device, file) = open(&mm)?;
        let addr = file.mmap(LEN, READ | WRITE, SHARED, 0)?;
        let user = bindings::fault_flag_FAULT_FLAG_USER;
        let remote = bindings::fault_flag_FAULT_FLAG_REMOTE;
        for (page, flags, seen) in [
            (0, FAULT, 0),
            (1, WRITE_FAULT, WRITES),
            (2, user, USER),
            (3, remote | WRITE_FAULT, REMOTE | WRITES),
        ] {
            code(&mm, addr + page * PAGE_SIZE, flags)?;
            assert_eq!(device.seen.load(Relaxed), seen);
        }
        mm.munmap(addr, LEN)
    }

    #[test]
    fn answers_of_page_mkwrite() -> Result {
        let mm = UserMm::attach()?;
        let (device, file) = open(&mm)?;
        let addr = file.mmap(LEN, READ | WRITE, SHARED, 0)?;
        // The first write hits a page that is mapped read-only, or no page.
        assert_eq!(mm.read::<1>(addr)?, [0]);
        for at in [addr, addr + PAGE_SIZE] {
            let refs = folio(&device).1;
            device.mkwrite.store(mkwrite::FAILED, Relaxed);
            let oom = bindings::vm_fault_reason_VM_FAULT_OOM;
            assert_eq!(code(&mm, at, WRITE_FAULT)? & oom, oom);
            assert_eq!(folio(&device), (true, refs));
            device.mkwrite.store(mkwrite::GONE, Relaxed);
            let gone = bindings::vm_fault_reason_VM_FAULT_NOPAGE;
            assert_eq!(code(&mm, at, WRITE_FAULT)?, gone);
            // The page is not writable, and the layer has unlocked the folio.
            assert_eq!(folio(&device), (true, refs));
            // The layer also unlocks it if the driver has leaked the guard, for either answer.
            device.mkwrite.store(mkwrite::LEAKED, Relaxed);
            assert_eq!(code(&mm, at, WRITE_FAULT)?, gone);
            assert_eq!(folio(&device), (true, refs));
            device.mkwrite.store(mkwrite::LEAKED_AND_FAILED, Relaxed);
            let sigbus = bindings::vm_fault_reason_VM_FAULT_SIGBUS;
            assert_eq!(code(&mm, at, WRITE_FAULT)? & sigbus, sigbus);
            assert_eq!(folio(&device), (true, refs));
        }
        device.mkwrite.store(mkwrite::LOCKED, Relaxed);
        mm.write(addr, b"now")?;
        assert!(folio(&device).0);
        assert_eq!(mm.read(addr)?, *b"now");
        mm.munmap(addr, LEN)?;
        assert_eq!(folio(&device), (true, 1));
        Ok(())
    }

    #[cfg(CONFIG_X86_64)]
    #[test]
    fn mprotect_asks() -> Result {
        let mm = UserMm::attach()?;
        let (device, file) = open(&mm)?;
        let addr = file.mmap(LEN, READ | WRITE, SHARED, 0)?;
        mm.write(addr, b"page")?;
        let part = addr + PAGE_SIZE;

        device.mprotect.store(EDOM.to_errno(), Relaxed);
        assert_eq!(mprotect(&mm, part, PAGE_SIZE, READ), Err(EDOM));
        assert_eq!(device.protected.load(Relaxed), part);
        assert_eq!(device.protected_len.load(Relaxed), PAGE_SIZE);
        assert_eq!(device.protected_writable.load(Relaxed), 0);
        // The driver has refused, so the page is still writable.
        mm.write(part, b"page")?;

        device.mprotect.store(0, Relaxed);
        mprotect(&mm, part, PAGE_SIZE, READ)?;
        assert_eq!(mm.write(part, b"page"), Err(EFAULT));
        mm.write(addr, b"page")?;
        mprotect(&mm, addr, 2 * PAGE_SIZE, READ | WRITE)?;
        // The kernel calls the driver for each VMA, and the part was the last.
        assert_eq!(device.protected.load(Relaxed), part);
        assert_eq!(device.protected_len.load(Relaxed), PAGE_SIZE);
        assert_eq!(device.protected_writable.load(Relaxed), 1);
        mm.write(part, b"page")?;
        mm.munmap(addr, LEN)
    }

    #[cfg(CONFIG_X86_64)]
    #[test]
    fn protection_as_it_is_now() -> Result {
        let mm = UserMm::attach()?;
        let addr = mm.mmap_anonymous(PAGE_SIZE)?;
        for (prot, expected) in [
            (READ | EXEC, Protection::READ | Protection::EXEC),
            (READ | WRITE, Protection::READ_WRITE),
            (0, Protection::NONE),
        ] {
            mprotect(&mm, addr, PAGE_SIZE, prot)?;
            let guard = mm.current().mmap_read_lock();
            let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
            assert!(vma.protection() == expected);
        }
        Ok(())
    }

    #[cfg(CONFIG_X86_64)]
    #[test]
    fn moved_or_moved_back() -> Result {
        let mm = UserMm::attach()?;
        let probe = Probe::new()?;
        let file = mm.open::<FilledFile>(KBox::new(FilledFile(probe.clone()), GFP_KERNEL)?)?;
        let addr = file.mmap(LEN, READ | WRITE, SHARED, 0)?;
        let to = file.mmap(LEN, READ, SHARED, 0)?;
        mm.munmap(to, LEN)?;
        probe.pages.write_at(0, b"first")?;

        probe.mremap.store(EDOM.to_errno(), Relaxed);
        assert_eq!(mremap(&mm, addr, LEN, LEN, to), Err(EDOM));
        assert_eq!(mm.read::<1>(to), Err(EFAULT));
        assert_eq!(mm.read(addr)?, *b"first");
        assert_eq!(probe.counts().3, 1);

        probe.mremap.store(0, Relaxed);
        probe.present.store(0, Relaxed);
        mremap(&mm, addr, LEN, LEN, to)?;
        // The kernel has moved the pages before it calls the driver.
        assert_eq!(probe.present.load(Relaxed), LEN);
        assert_eq!(mm.read::<1>(addr), Err(EFAULT));
        assert_eq!(mm.read(to)?, *b"first");
        assert_eq!(probe.counts().3, 1);
        mm.munmap(to, LEN)?;
        let (mapped, opened, closed, alive) = probe.counts();
        assert_eq!((mapped + opened - closed, alive), (0, 0));
        Ok(())
    }
}
