// SPDX-License-Identifier: GPL-2.0

//! Tests of revocations against accesses that do not go through a fault handler.

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
        Folio,
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

/// A device with an `access` callback that reads each byte as its own address.
#[pin_data]
struct Debugged {
    accesses: Atomic<i32>,
    /// If not 0, `access` calls `access_phys` for this address.
    physically: Atomic<usize>,
    /// The errno of that call.
    physical: Atomic<i32>,
    mapped: Atomic<i32>,
    /// If not 0, `mmap_prepare` revokes the memory before it returns.
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
        // More than was asked for; the layer must not pass this to the kernel.
        Ok(len + 1)
    }
}

crate::vm_operations!(DebuggedOps);

/// A file whose mappings are populated at mmap time and have no callbacks.
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

/// Accesses memory as a debugger does, and returns the number of bytes.
pub(super) fn access(mm: &UserMm, addr: usize, buf: &mut [u8], write: bool) -> c_int {
    let flags = match write {
        true => bindings::FOLL_WRITE,
        false => 0,
    };
    // SAFETY: The current thread uses the mm, and the buffer is valid for its length.
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

/// Calls `mapped` for an existing VMA, as the kernel does after it has populated a mapping.
fn mapped(mm: &UserMm, file: &UserFile<'_>, addr: usize) -> Result {
    let guard = mm.current().mmap_read_lock();
    let vma = guard.vma_lookup(addr).ok_or(EFAULT)?.as_ptr();
    // SAFETY: The guard holds the mmap lock, so the VMA and its operations are valid. The call
    // passes what the kernel passes: the file of the VMA, and the private data that the hook has
    // left.
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
        // The entry is free now, but the layer must not insert a page.
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
    fn insert_folios() -> Result {
        let mm = UserMm::attach()?;
        let probe = Probe::new()?;
        let file = mm.open::<FilledFile>(KBox::new(FilledFile(probe.clone()), GFP_KERNEL)?)?;
        let addr = file.mmap(LEN, READ | WRITE, SHARED, 0)?;
        let (one, two) = (Folio::alloc(0, GFP_KERNEL)?, Folio::alloc(1, GFP_KERNEL)?);
        one.write_at(0, b"one")?;
        two.write_at(0, b"two")?;
        let insert = |addr: usize, folios: &[&Folio]| -> Result {
            let current = mm.current();
            let vma = current.lock_driver_vma::<FilledOps>(addr).ok_or(ESRCH)?;
            vma.insert_folios(addr, folios)
        };
        let counts = || (one.ref_count(), two.ref_count());

        assert_eq!(insert(addr, &[&one, &two]), Err(EBUSY));
        probe.revocation.revoke();
        assert_eq!(insert(addr, &[&one, &two]), Err(ENODEV));
        assert_eq!(counts(), (1, 1));

        probe.revocation.restore();
        insert(addr, &[&one, &two])?;
        assert_eq!(mm.read(addr)?, *b"one");
        assert_eq!(mm.read(addr + PAGE_SIZE)?, *b"two");
        assert_eq!(counts(), (2, 2));

        probe.revocation.revoke();
        probe.revocation.restore();
        for (addr, folios) in [
            (addr, &[][..]),
            (addr + 1, &[&*one][..]),
            (addr + PAGE_SIZE, &[&*one, &*two][..]),
            (addr, &[&*one, &*one, &*two][..]),
        ] {
            assert_eq!(insert(addr, folios), Err(EINVAL));
        }
        assert_eq!(counts(), (1, 1));

        // What comes before the page that cannot be mapped remains.
        insert(addr + PAGE_SIZE, &[&two])?;
        assert_eq!(insert(addr, &[&one, &one]), Err(EBUSY));
        assert_eq!(mm.read(addr)?, *b"one");
        assert_eq!(mm.read(addr + PAGE_SIZE)?, *b"two");
        assert_eq!(counts(), (2, 2));
        mm.munmap(addr, LEN)?;
        assert_eq!(counts(), (1, 1));
        Ok(())
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
        // The layer refuses a mapping whose memory was revoked before the kernel linked the VMA.
        assert_eq!(mapped(&mm, &file, addr), Err(ENODEV));
        plain.revocation.restore();
        let again = file.mmap(LEN, READ, SHARED, 0)?;
        assert_eq!(mm.read(again)?, *b"there");

        // The layer also refuses a mapping if the hook revokes the memory before it returns.
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
        // The layer must not call `mapped`: no `close` would follow for this mapping.
        device.revoke_in_hook.store(1, Relaxed);
        assert_eq!(file.mmap(LEN, READ, SHARED, 0), Err(ENODEV));
        assert_eq!(device.mapped.load(Relaxed), 0);
        device.revoke_in_hook.store(0, Relaxed);
        device.revocation.restore();
        let addr = file.mmap(LEN, READ, SHARED, 0)?;
        assert_eq!(device.mapped.load(Relaxed), 1);
        // The same if the memory is revoked after the hook, while the kernel populates the mapping.
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
        // The access ends at the end of the VMA, although the driver returns more.
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
        // The layer has not called the driver.
        assert_eq!(device.accesses.load(Relaxed), accesses);

        device.revocation.restore();
        assert_eq!(access(&mm, addr, &mut buf, false), 4);
        mm.munmap(addr, LEN)?;

        // The layer refuses the accesses that the kernel refuses for pages with a `struct page`.
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

    /// `access_phys` fails for an address where nothing is mapped, and outside the accessed VMA.
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
