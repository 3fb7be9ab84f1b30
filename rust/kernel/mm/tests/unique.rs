// SPDX-License-Identifier: GPL-2.0

//! Tests of data per VMA that cannot be duplicated, so that no second VMA may exist.

#[cfg(CONFIG_X86_64)]
use super::syscalls::mremap;
use crate::{
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
            DeviceRef,
            DriverVmaInfo,
            Fault,
            FaultAnswer,
            FaultError,
            MappedArea,
            Ordinary,
            PerVmaUnique,
            VmOperations, //
        },
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
        Arc, //
    }, //
};

struct Device {
    folio: ARef<Folio>,
    alive: Atomic<i32>,
    closed: Atomic<i32>,
    /// The number of closed VMAs that had the data of another VMA.
    misplaced: Atomic<i32>,
}

/// The data of a VMA, which knows the VMA's start.
struct Only {
    device: Arc<Device>,
    start: usize,
}

impl Drop for Only {
    fn drop(&mut self) {
        self.device.alive.fetch_sub(1, Relaxed);
    }
}

struct UniqueFile(Arc<Device>);

#[vtable]
impl MiscDevice for UniqueFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn mmap_prepare<'f>(_: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        Ok(desc.with_ops::<UniqueOps>()?.on_fault())
    }
}

struct UniqueOps;

#[vtable]
impl VmOperations for UniqueOps {
    type File = UniqueFile;
    type Data = PerVmaUnique<KBox<Only>>;
    type Memory = Ordinary;

    fn mapped(file: DeviceRef<'_, Self>, area: &MappedArea) -> Result<Self::Data> {
        let only = KBox::new_uninit(GFP_KERNEL)?;
        file.0.alive.fetch_add(1, Relaxed);
        Ok(PerVmaUnique(KBox::write(
            only,
            Only {
                device: file.0.clone(),
                start: area.range.start,
            },
        )))
    }

    fn close(vma: &DriverVmaInfo<Self>) {
        let only = vma.data();
        only.device.closed.fetch_add(1, Relaxed);
        if only.start != vma.start() {
            only.device.misplaced.fetch_add(1, Relaxed);
        }
    }

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        vmf.return_page(vmf.data().device.folio.clone(), 0)
    }
}

crate::vm_operations!(UniqueOps);

#[kunit_tests(rust_mm_unique)]
mod cases {
    use super::*;

    const LEN: usize = 4 * PAGE_SIZE;

    fn device() -> Result<Arc<Device>> {
        Ok(Arc::new(
            Device {
                folio: Folio::alloc(0, GFP_KERNEL)?,
                alive: Atomic::new(0),
                closed: Atomic::new(0),
                misplaced: Atomic::new(0),
            },
            GFP_KERNEL,
        )?)
    }

    /// Returns how many data objects are alive, and how many VMAs were closed with their own data.
    fn counts(device: &Device) -> (i32, i32) {
        let own = device.closed.load(Relaxed) - device.misplaced.load(Relaxed);
        (device.alive.load(Relaxed), own)
    }

    #[test]
    fn one_vma_or_none() -> Result {
        let mm = UserMm::attach()?;
        let device = device()?;
        let file = mm.open::<UniqueFile>(KBox::new(UniqueFile(device.clone()), GFP_KERNEL)?)?;
        let addr = file.mmap(LEN, READ | WRITE, SHARED, 0)?;
        mm.write(addr, b"page")?;
        assert_eq!(counts(&device), (1, 0));

        // The layer refuses to unmap the middle, the head and the tail, and to map over a part.
        for page in [1, 0, 3] {
            let at = addr + page * PAGE_SIZE;
            assert_eq!(mm.munmap(at, PAGE_SIZE), Err(EINVAL));
        }
        let over = file.mmap_over(addr + PAGE_SIZE, PAGE_SIZE, READ, SHARED, 0);
        assert_eq!(over, Err(EINVAL));
        assert_eq!(counts(&device), (1, 0));

        // A child does not inherit the VMA, and `mremap` cannot grow it.
        {
            let current = mm.current();
            let vma = current.lock_driver_vma::<UniqueOps>(addr).ok_or(ESRCH)?;
            let fixed = VmaFlags::new([VmaFlag::DONTCOPY, VmaFlag::DONTEXPAND]);
            assert!(vma.flags().contains_all(fixed));
            assert_eq!((vma.start(), vma.len()), (addr, LEN));
            assert_eq!(vma.data().start, addr);
        }
        assert_eq!(mm.read(addr)?, *b"page");
        mm.munmap(addr, LEN)?;
        assert_eq!(counts(&device), (0, 1));
        assert_eq!(device.folio.ref_count(), 1);
        Ok(())
    }

    /// The kernel moves the mapping back if the layer refuses `mremap`.
    ///
    /// It has made a second VMA by then, which it closes without data.
    #[cfg(CONFIG_X86_64)]
    #[test]
    fn moved_back() -> Result {
        let mm = UserMm::attach()?;
        let device = device()?;
        let file = mm.open::<UniqueFile>(KBox::new(UniqueFile(device.clone()), GFP_KERNEL)?)?;
        let addr = file.mmap(LEN, READ | WRITE, SHARED, 0)?;
        let to = file.mmap(LEN, READ, SHARED, 0)?;
        mm.munmap(to, LEN)?;
        assert_eq!(counts(&device), (1, 1));
        mm.write(addr, b"page")?;

        assert_eq!(mremap(&mm, addr, LEN, LEN, to), Err(EINVAL));
        assert_eq!(counts(&device), (1, 1));
        assert_eq!(mm.read::<1>(to), Err(EFAULT));
        assert_eq!(mm.read(addr)?, *b"page");
        // Move a part, and shrink while moving.
        let page = addr + PAGE_SIZE;
        assert_eq!(mremap(&mm, page, PAGE_SIZE, PAGE_SIZE, to), Err(EINVAL));
        assert_eq!(mremap(&mm, addr, LEN, PAGE_SIZE, to), Err(EINVAL));
        assert_eq!(counts(&device), (1, 1));
        {
            let current = mm.current();
            let vma = current.lock_driver_vma::<UniqueOps>(addr).ok_or(ESRCH)?;
            assert_eq!((vma.start(), vma.len()), (addr, LEN));
            assert_eq!(vma.data().start, addr);
        }
        mm.munmap(addr, LEN)?;
        assert_eq!(counts(&device), (0, 2));
        Ok(())
    }
}
