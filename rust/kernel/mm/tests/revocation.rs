// SPDX-License-Identifier: GPL-2.0

//! The ways to memory that do not go through a fault handler, after a revocation.

use super::{
    FilledFile,
    FilledOps,
    Probe, //
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
        ops::{
            Access,
            DeviceRef,
            DriverVmaUnderMmap,
            Fault,
            FaultAnswer,
            FaultError,
            MappedArea,
            PerFile,
            Pfn,
            VmOperations, //
        },
        revoke::Revocation,
        rmap::AddressSpace,
        testing::{
            UserFile,
            UserMm,
            READ,
            SHARED,
            WRITE, //
        },
        Cache,
        KernelPages, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    }, //
};

/// A device that answers debuggers by itself, each byte with the address that it is at.
#[pin_data]
struct Debugged {
    accesses: Atomic<i32>,
    /// If not 0: access the page frames at this address, and say how that ends.
    physically: Atomic<usize>,
    physical: Atomic<i32>,
    mapped: Atomic<i32>,
    /// If not 0: the memory is taken away when `mmap_prepare` has been asked.
    revoke_in_hook: Atomic<i32>,
    #[pin]
    revocation: Revocation,
}

impl Debugged {
    fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            try_pin_init!(Self {
                accesses: Atomic::new(0),
                physically: Atomic::new(0),
                physical: Atomic::new(0),
                mapped: Atomic::new(0),
                revoke_in_hook: Atomic::new(0),
                revocation <- Revocation::new::<DebuggedFile>(),
            }? Error),
            GFP_KERNEL,
        )
    }

    #[cfg(CONFIG_HAVE_IOREMAP_PROT)]
    fn access_phys(
        &self,
        vma: &DriverVmaUnderMmap<DebuggedOps>,
        addr: usize,
        access: Access<'_>,
    ) -> Result<usize> {
        vma.access_phys(addr, access)
    }

    #[cfg(not(CONFIG_HAVE_IOREMAP_PROT))]
    fn access_phys(
        &self,
        _: &DriverVmaUnderMmap<DebuggedOps>,
        _: usize,
        _: Access<'_>,
    ) -> Result<usize> {
        Err(EINVAL)
    }
}

struct DebuggedFile(Arc<Debugged>);

#[vtable]
impl MiscDevice for DebuggedFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn address_space<'a>(this: &'a Self, _file: &'a File) -> &'a AddressSpace {
        this.0.revocation.address_space()
    }

    fn mmap_prepare<'f>(this: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        if this.0.revoke_in_hook.load(Relaxed) != 0 {
            this.0.revocation.revoke();
        }
        Ok(desc
            .with_ops::<DebuggedOps>()?
            .on_pfn_fault(Cache::NonCached))
    }
}

struct DebuggedOps;

#[vtable]
impl VmOperations for DebuggedOps {
    type File = DebuggedFile;
    type Data = PerFile;
    type Memory = Pfn;

    fn mapped(device: DeviceRef<'_, Self>, _area: &MappedArea) -> Result<PerFile> {
        device.0.mapped.fetch_add(1, Relaxed);
        Ok(PerFile)
    }

    fn fault(_vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        Err(FaultError::SigBus)
    }

    fn access(vma: &DriverVmaUnderMmap<Self>, addr: usize, access: Access<'_>) -> Result<usize> {
        let device = &vma.data().0;
        device.accesses.fetch_add(1, Relaxed);
        let len = access.len();
        let physically = device.physically.load(Relaxed);
        if physically != 0 {
            let result = device.access_phys(vma, physically, access);
            let errno = result.map_or_else(Error::to_errno, |_| 0);
            device.physical.store(errno, Relaxed);
            return Ok(0);
        }
        if let Access::Read(buf) = access {
            for (i, byte) in buf.iter_mut().enumerate() {
                *byte = (addr + i) as u8;
            }
        }
        // More than was asked for: the layer does not pass that on.
        Ok(len + 1)
    }
}

crate::vm_operations!(DebuggedOps);

/// A file of which all pages are mapped when it is, without callbacks.
struct PlainFile(Arc<Plain>);

#[pin_data]
struct Plain {
    pages: KernelPages,
    revoke_in_hook: Atomic<i32>,
    #[pin]
    revocation: Revocation,
}

#[vtable]
impl MiscDevice for PlainFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn address_space<'a>(this: &'a Self, _file: &'a File) -> &'a AddressSpace {
        this.0.revocation.address_space()
    }

    fn mmap_prepare<'f>(this: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        let mapping = desc.map_kernel_pages(&this.0.pages)?;
        if this.0.revoke_in_hook.load(Relaxed) != 0 {
            this.0.revocation.revoke();
        }
        Ok(mapping)
    }
}

/// What a debugger does. Returns how many bytes it got.
pub(super) fn access(mm: &UserMm, addr: usize, buf: &mut [u8], write: bool) -> c_int {
    let flags = match write {
        true => bindings::FOLL_WRITE,
        false => 0,
    };
    // SAFETY: The mm has users, the current thread being one, and the buffer is valid for
    // its length.
    unsafe {
        bindings::access_remote_vm(
            mm.current().as_raw(),
            addr,
            buf.as_mut_ptr().cast(),
            buf.len() as c_int,
            flags,
        )
    }
}

/// What the kernel does when it has populated a mapping, once more for one that exists.
fn mapped(mm: &UserMm, file: &UserFile<'_>, addr: usize) -> Result {
    let guard = mm.current().mmap_read_lock();
    let vma = guard.vma_lookup(addr).ok_or(EFAULT)?.as_ptr();
    // SAFETY: The VMA is locked, and has a table with this callback, which is called as the kernel does:
    // with the file, and with what the hook has left as the private data.
    to_result(unsafe {
        let mapped = (*(*vma).vm_ops).mapped.ok_or(ENOENT)?;
        let mut word = (*file.as_ptr()).private_data.map_addr(|word| word | 1);
        mapped(addr, addr + PAGE_SIZE, 0, (*vma).vm_file, &raw mut word)
    })
}

#[kunit_tests(rust_mm_revocation)]
mod cases {
    use super::*;

    const LEN: usize = 2 * PAGE_SIZE;

    #[test]
    fn insert_page() -> Result {
        let mm = UserMm::attach()?;
        let probe = Probe::new()?;
        let file = mm.open::<FilledFile>(KBox::new(FilledFile(probe.clone()), GFP_KERNEL)?)?;
        let addr = file.mmap(LEN, READ | WRITE, SHARED, 0)?;
        let insert = || -> Result {
            let current = mm.current();
            let vma = current.lock_driver_vma::<FilledOps>(addr).ok_or(ESRCH)?;
            vma.insert_page(addr, &probe.folio, 0)
        };

        assert_eq!(insert(), Err(EBUSY));
        probe.revocation.revoke();
        // There is room now, but nothing may be put there.
        assert_eq!(insert(), Err(ENODEV));
        assert_eq!(probe.folio.ref_count(), 1);
        assert_eq!(mm.read::<1>(addr), Err(EFAULT));

        probe.revocation.restore();
        probe.folio.write_at(0, b"back")?;
        insert()?;
        assert_eq!(mm.read(addr)?, *b"back");
        // The second revocation finds what was inserted after the first.
        probe.revocation.revoke();
        assert_eq!(mm.read::<1>(addr), Err(EFAULT));
        assert_eq!(probe.folio.ref_count(), 1);
        mm.munmap(addr, LEN)
    }

    #[test]
    fn without_callbacks() -> Result {
        let mm = UserMm::attach()?;
        let plain = Arc::pin_init(
            try_pin_init!(Plain {
                pages: KernelPages::new(2, GFP_KERNEL)?,
                revoke_in_hook: Atomic::new(0),
                revocation <- Revocation::new::<PlainFile>(),
            }? Error),
            GFP_KERNEL,
        )?;
        plain.pages.write_at(0, b"there")?;
        let file = mm.open::<PlainFile>(KBox::new(PlainFile(plain.clone()), GFP_KERNEL)?)?;
        let addr = file.mmap(LEN, READ, SHARED, 0)?;
        assert_eq!(mm.read(addr)?, *b"there");

        assert_eq!(mapped(&mm, &file, addr), Ok(()));
        plain.revocation.revoke();
        assert_eq!(mm.read::<1>(addr), Err(EFAULT));
        assert_eq!(file.mmap(LEN, READ, SHARED, 0), Err(ENODEV));
        // It was revoked before the kernel could find the mapping.
        assert_eq!(mapped(&mm, &file, addr), Err(ENODEV));
        plain.revocation.restore();
        let again = file.mmap(LEN, READ, SHARED, 0)?;
        assert_eq!(mm.read(again)?, *b"there");

        // The answer of the hook is of no use any more.
        plain.revoke_in_hook.store(1, Relaxed);
        assert_eq!(file.mmap(LEN, READ, SHARED, 0), Err(ENODEV));
        mm.munmap(again, LEN)?;
        mm.munmap(addr, LEN)
    }

    #[test]
    fn mapped_in_vain() -> Result {
        let mm = UserMm::attach()?;
        let device = Debugged::new()?;
        let file = mm.open::<DebuggedFile>(KBox::new(DebuggedFile(device.clone()), GFP_KERNEL)?)?;
        // The driver would count a mapping of which it is never told that it is gone.
        device.revoke_in_hook.store(1, Relaxed);
        assert_eq!(file.mmap(LEN, READ, SHARED, 0), Err(ENODEV));
        assert_eq!(device.mapped.load(Relaxed), 0);
        device.revoke_in_hook.store(0, Relaxed);
        device.revocation.restore();
        let addr = file.mmap(LEN, READ, SHARED, 0)?;
        assert_eq!(device.mapped.load(Relaxed), 1);
        // Nor where the memory was revoked after the hook, while the kernel populated the mapping.
        device.revocation.revoke();
        assert_eq!(mapped(&mm, &file, addr), Err(ENODEV));
        assert_eq!(device.mapped.load(Relaxed), 1);
        mm.munmap(addr, LEN)
    }

    #[test]
    fn access_by_a_debugger() -> Result {
        let mm = UserMm::attach()?;
        let device = Debugged::new()?;
        let file = mm.open::<DebuggedFile>(KBox::new(DebuggedFile(device.clone()), GFP_KERNEL)?)?;
        let addr = file.mmap(LEN, READ | WRITE, SHARED, 0)?;
        let mut buf = [0xff; 4];

        assert_eq!(access(&mm, addr + 5, &mut buf, false), 4);
        assert_eq!(buf, [5, 6, 7, 8]);
        assert_eq!(access(&mm, addr + 5, &mut buf, true), 4);
        // What is asked for ends with the VMA, whatever the driver says.
        buf = [0xff; 4];
        assert_eq!(access(&mm, addr + LEN - 2, &mut buf, false), 2);
        assert_eq!(buf, [0xfe, 0xff, 0xff, 0xff]);
        let accesses = device.accesses.load(Relaxed);
        assert_eq!(accesses, 3);

        device.revocation.revoke();
        buf = [0xff; 4];
        assert_eq!(access(&mm, addr, &mut buf, false), 0);
        assert_eq!(access(&mm, addr, &mut buf, true), 0);
        assert_eq!(buf, [0xff; 4]);
        // The driver was not even asked.
        assert_eq!(device.accesses.load(Relaxed), accesses);

        device.revocation.restore();
        assert_eq!(access(&mm, addr, &mut buf, false), 4);
        mm.munmap(addr, LEN)?;

        // Not what would be refused with pages of the kernel's own.
        let accesses = device.accesses.load(Relaxed);
        for (prot, read, write) in [(READ, 4, 0), (READ | WRITE, 4, 4), (0, 4, 0)] {
            let addr = file.mmap(LEN, prot, SHARED, 0)?;
            assert_eq!(access(&mm, addr, &mut buf, false), read);
            assert_eq!(access(&mm, addr, &mut buf, true), write);
            mm.munmap(addr, LEN)?;
        }
        assert_eq!(device.accesses.load(Relaxed), accesses + 4);
        Ok(())
    }

    /// Neither where nothing is mapped, nor outside of the VMA that the debugger accesses.
    #[test]
    fn access_to_what_is_not_mapped() -> Result {
        let mm = UserMm::attach()?;
        let device = Debugged::new()?;
        let file = mm.open::<DebuggedFile>(KBox::new(DebuggedFile(device.clone()), GFP_KERNEL)?)?;
        let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
        let other = file.mmap(PAGE_SIZE, READ, SHARED, 8)?;
        let mut buf = [0xff; 4];
        for (target, expected) in [(addr, EINVAL.to_errno()), (other, EINVAL.to_errno())] {
            device.physically.store(target, Relaxed);
            assert_eq!(access(&mm, addr, &mut buf, false), 0);
            assert_eq!(device.physical.load(Relaxed), expected);
        }
        mm.munmap(addr, PAGE_SIZE)?;
        mm.munmap(other, PAGE_SIZE)
    }
}
