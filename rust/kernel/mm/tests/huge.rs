// SPDX-License-Identifier: GPL-2.0

//! A folio that is mapped by one entry.

use super::refs::{
    xchg_folio,
    Count,
    TOO_MANY, //
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
        flags::SetFlags,
        ops::{
            Fault,
            FaultAnswer,
            FaultError,
            HugeAnswer,
            HugeFault,
            HugeOrder,
            Ordinary,
            PerFile,
            VmOperations, //
        },
        pgtable::PageCounts,
        rmap::AddressSpace,
        testing::{
            UserMm,
            PRIVATE,
            READ,
            SHARED,
            WRITE, //
        },
        Folio, //
    },
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
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

/// From this page offset on, faults are answered with the pages of the folio.
const LARGE: usize = 1 << 20;

struct Device {
    space: AddressSpace,
    /// What a huge fault maps.
    folio: ARef<Folio>,
    /// What a fault maps, at any offset.
    page: ARef<Folio>,
    huge_faults: Atomic<i32>,
    inserted: Atomic<i32>,
    faults: Atomic<i32>,
}

impl Device {
    fn new(len: usize) -> Result<Arc<Self>> {
        let order = (len >> PAGE_SHIFT).ilog2();
        let device = Self {
            space: AddressSpace::new::<HugeFile>()?,
            folio: Folio::alloc(order, GFP_KERNEL)?,
            page: Folio::alloc(0, GFP_KERNEL)?,
            huge_faults: Atomic::new(0),
            inserted: Atomic::new(0),
            faults: Atomic::new(0),
        };
        device.folio.write_at(len - 1, b"h")?;
        device.page.write_at(PAGE_SIZE - 1, b"p")?;
        Ok(Arc::new(device, GFP_KERNEL)?)
    }

    /// How many huge faults there were, how many of them have mapped the folio, and how many faults.
    fn counts(&self) -> (i32, i32, i32) {
        (
            self.huge_faults.load(Relaxed),
            self.inserted.load(Relaxed),
            self.faults.load(Relaxed),
        )
    }
}

struct HugeFile(Arc<Device>);

#[vtable]
impl MiscDevice for HugeFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn address_space<'a>(this: &'a Self, _file: &'a File) -> &'a AddressSpace {
        &this.0.space
    }

    fn mmap_prepare<'f>(_: &'f Self, mut desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        // Memory of folios obeys the switch in sysfs, unlike that of page frames.
        desc.set(SetFlags::HUGEPAGE);
        Ok(desc.with_ops::<HugeOps>()?.on_fault())
    }
}

struct HugeOps;

#[vtable]
impl VmOperations for HugeOps {
    type File = HugeFile;
    type Data = PerFile;
    type Memory = Ordinary;

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        let device = &vmf.data().0;
        device.faults.fetch_add(1, Relaxed);
        if vmf.pgoff() >= LARGE {
            return vmf.return_page(device.folio.clone(), vmf.pgoff() - LARGE);
        }
        vmf.return_page(device.page.clone(), 0)
    }

    fn huge_fault(vmf: &HugeFault<Self>) -> Result<HugeAnswer<'_>, FaultError> {
        let device = &vmf.data().0;
        device.huge_faults.fetch_add(1, Relaxed);
        let answer = vmf.insert_folio(&device.folio)?;
        if matches!(answer, HugeAnswer::Inserted(_)) {
            device.inserted.fetch_add(1, Relaxed);
        }
        Ok(answer)
    }
}

crate::vm_operations!(HugeOps);

#[kunit_tests(rust_mm_huge)]
mod cases {
    use super::*;

    /// The size of a huge entry.
    fn pmd() -> usize {
        HugeOrder::Pmd.len()
    }

    /// Are first writes to be seen, by soft-dirty bits or userfaultfd? Like these, it leaves the entries
    /// that there are alone when that ends.
    fn notice_writes(mm: &UserMm, addr: usize, notice: bool) -> Result {
        let guard = mm.current().mmap_write_lock();
        let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
        let _vma = vma.start_write();
        // SAFETY: Both locks are held for writing.
        unsafe { bindings::rust_mm_test_notify_writes(vma.as_ptr(), notice) };
        Ok(())
    }

    /// Maps `len` bytes where a huge entry can begin, and reads the last of them.
    fn last_byte(len: usize, flags: usize, folio: usize) -> Result<(u8, Arc<Device>)> {
        let mm = UserMm::attach()?;
        let device = Device::new(folio)?;
        let file = mm.open::<HugeFile>(KBox::new(HugeFile(device.clone()), GFP_KERNEL)?)?;
        let free = file.mmap(2 * pmd(), READ, SHARED, 0)?;
        mm.munmap(free, 2 * pmd())?;
        let addr = file.mmap_at(free.next_multiple_of(pmd()), len, READ | WRITE, flags, 0)?;

        let [byte] = mm.read(addr + len - 1)?;
        let (_, inserted, faults) = device.counts();
        assert_eq!(inserted + faults, 1);
        assert_eq!(device.folio.ref_count(), 1 + inserted as usize);
        assert_eq!(device.page.ref_count(), 1 + faults as usize);
        if inserted != 0 {
            // One entry for all of it, which can be written.
            mm.write(addr, b"w")?;
            let mut out = [0];
            device.folio.read_at(0, &mut out)?;
            assert_eq!(out, *b"w");
            assert_eq!(device.counts(), (1, 1, 0));
        }
        mm.munmap(addr, len)?;
        assert_eq!((device.folio.ref_count(), device.page.ref_count()), (1, 1));
        Ok((byte, device))
    }

    #[test]
    fn a_folio_by_one_entry() -> Result {
        let (byte, device) = last_byte(pmd(), SHARED, pmd())?;
        assert_eq!((byte, device.counts()), (b'h', (1, 1, 0)));
        Ok(())
    }

    #[test]
    fn a_vma_that_ends_inside() -> Result {
        // The kernel may not even ask.
        let (byte, device) = last_byte(pmd() - PAGE_SIZE, SHARED, pmd())?;
        let (_, inserted, faults) = device.counts();
        assert_eq!((byte, inserted, faults), (b'p', 0, 1));
        Ok(())
    }

    #[test]
    fn a_folio_with_too_many_references() -> Result {
        let mm = UserMm::attach()?;
        let device = Device::new(pmd())?;
        let file = mm.open::<HugeFile>(KBox::new(HugeFile(device.clone()), GFP_KERNEL)?)?;
        let free = file.mmap(2 * pmd(), READ, SHARED, 0)?;
        mm.munmap(free, 2 * pmd())?;
        let addr = file.mmap_at(free.next_multiple_of(pmd()), pmd(), READ, SHARED, 0)?;
        {
            let count = Count::set(device.folio.as_ptr(), xchg_folio, TOO_MANY);
            let byte = mm.read(addr + pmd() - 1);
            assert_eq!(count.xchg(TOO_MANY), TOO_MANY);
            assert_eq!(byte?, *b"p");
        }
        assert_eq!(device.counts(), (1, 0, 1));
        mm.munmap(addr, pmd())
    }

    #[test]
    fn a_folio_of_another_size() -> Result {
        let (byte, device) = last_byte(pmd(), SHARED, pmd() / 2)?;
        assert_eq!((byte, device.counts()), (b'p', (1, 0, 1)));
        Ok(())
    }

    /// The kernel would map all of the folio, as far as it believes the size of the inode.
    #[test]
    fn one_page_of_a_large_folio() -> Result {
        let mm = UserMm::attach()?;
        let device = Device::new(4 * PAGE_SIZE)?;
        let file = mm.open::<HugeFile>(KBox::new(HugeFile(device.clone()), GFP_KERNEL)?)?;
        // SAFETY: The inode of the device's own mm, which nobody else uses.
        unsafe { (*(*device.space.as_ptr()).host).i_size = 1 << 40 };
        let addr = file.mmap(8 * PAGE_SIZE, READ | WRITE, SHARED, LARGE)?;
        mm.write(addr + 2 * PAGE_SIZE, b"x")?;
        let counts = {
            let guard = mm.current().mmap_read_lock();
            let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
            PageCounts::of(vma, addr..addr + 8 * PAGE_SIZE)?
        };
        assert_eq!((counts.present, device.folio.ref_count()), (PAGE_SIZE, 2));
        assert_eq!(mm.read(addr + 4 * PAGE_SIZE - 1)?, *b"h");
        assert_eq!(device.faults.load(Relaxed), 2);
        mm.munmap(addr, 8 * PAGE_SIZE)?;
        assert_eq!(device.folio.ref_count(), 1);
        Ok(())
    }

    /// A huge entry that has become read-only, in a mapping that can be written again, has to give way
    /// to a write: inserting another one would leave it as it is, for ever.
    #[test]
    fn a_write_where_one_is_read_only() -> Result {
        let mm = UserMm::attach()?;
        let device = Device::new(pmd())?;
        let file = mm.open::<HugeFile>(KBox::new(HugeFile(device.clone()), GFP_KERNEL)?)?;
        let free = file.mmap(2 * pmd(), READ, SHARED, 0)?;
        mm.munmap(free, 2 * pmd())?;
        let addr = file.mmap_at(free.next_multiple_of(pmd()), pmd(), READ | WRITE, SHARED, 0)?;
        notice_writes(&mm, addr, true)?;
        assert_eq!(mm.read(addr)?, [0]);
        assert_eq!(device.counts(), (1, 1, 0));
        notice_writes(&mm, addr, false)?;
        mm.write(addr, b"now")?;
        assert_eq!(mm.read(addr)?, *b"now");
        assert_eq!(device.counts(), (2, 1, 1));
        mm.munmap(addr, pmd())?;
        assert_eq!((device.folio.ref_count(), device.page.ref_count()), (1, 1));
        Ok(())
    }

    #[test]
    fn a_private_mapping() -> Result {
        let (byte, device) = last_byte(pmd(), PRIVATE, pmd())?;
        assert_eq!((byte, device.counts()), (b'p', (1, 0, 1)));
        Ok(())
    }
}
