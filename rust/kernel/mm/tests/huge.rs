// SPDX-License-Identifier: GPL-2.0

//! Tests of folios that are mapped by a PMD mapping.

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

/// The page offset from which faults return pages of the large folio.
const LARGE: usize = 1 << 20;

struct Device {
    space: AddressSpace,
    /// The folio that a huge fault maps.
    folio: ARef<Folio>,
    /// The page that a fault maps, at any offset below [`LARGE`].
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

    /// Returns the numbers of huge faults, of those that have mapped the folio, and of faults.
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
        // The sysfs setting of transparent huge pages applies to folios, unlike to PFN mappings.
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

/// A device that keeps none of its pages: it allocates them for each fault.
struct FreshFile {
    last_byte: u8,
}

#[vtable]
impl MiscDevice for FreshFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn mmap_prepare<'f>(_: &'f Self, mut desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        desc.set(SetFlags::HUGEPAGE);
        Ok(desc.with_ops::<FreshOps>()?.on_fault())
    }
}

struct FreshOps;

#[vtable]
impl VmOperations for FreshOps {
    type File = FreshFile;
    type Data = PerFile;
    type Memory = Ordinary;

    /// Maps the second page of a folio that has two.
    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        let folio = vmf.alloc_folio(1, GFP_KERNEL)?;
        let too_large = vmf.alloc_folio(63, GFP_KERNEL);
        if folio.order() != 1 || !too_large.is_err_and(|e| e == EINVAL) {
            return Err(FaultError::SigBus);
        }
        vmf.return_page(folio, 1)
    }

    fn huge_fault(vmf: &HugeFault<Self>) -> Result<HugeAnswer<'_>, FaultError> {
        let folio = vmf.alloc_folio(GFP_KERNEL)?;
        folio.write_at(folio.len() - 1, &[vmf.data().last_byte])?;
        vmf.insert_folio(&folio)
    }
}

crate::vm_operations!(FreshOps);

#[kunit_tests(rust_mm_huge)]
mod cases {
    use super::*;

    /// Returns the size of a PMD mapping.
    fn pmd() -> usize {
        HugeOrder::Pmd.len()
    }

    /// Switches write-notify of a VMA on or off, as soft-dirty bits and userfaultfd do.
    ///
    /// As with these, existing entries remain read-only when it is switched off.
    fn notice_writes(mm: &UserMm, addr: usize, notice: bool) -> Result {
        let guard = mm.current().mmap_write_lock();
        let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
        let _vma = vma.start_write();
        // SAFETY: The mmap lock and the VMA lock are held for writing.
        unsafe { bindings::rust_mm_test_notify_writes(vma.as_ptr(), notice) };
        Ok(())
    }

    /// Maps `len` bytes at an address that is aligned for a PMD mapping, and reads the last byte.
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
            // A single writable entry maps the whole folio.
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
        // The kernel need not call `huge_fault` here.
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

    /// The layer maps only the accessed page of a large folio; the kernel would map the whole
    /// folio, up to the size of the inode.
    #[test]
    fn one_page_of_a_large_folio() -> Result {
        let mm = UserMm::attach()?;
        let device = Device::new(4 * PAGE_SIZE)?;
        let file = mm.open::<HugeFile>(KBox::new(HugeFile(device.clone()), GFP_KERNEL)?)?;
        // SAFETY: The inode belongs to the device's own address space, which no other code uses.
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

    /// A write must replace a PMD mapping that is still read-only in a writable VMA.
    ///
    /// Inserting the PMD mapping again would leave the entry as it is, so the write would fault
    /// forever.
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

    /// A fault allocates a folio of the size of the leaf, or of another one.
    #[test]
    fn a_folio_allocated_for_the_fault() -> Result {
        let mm = UserMm::attach()?;
        let device = FreshFile { last_byte: b'h' };
        let file = mm.open::<FreshFile>(KBox::new(device, GFP_KERNEL)?)?;
        let free = file.mmap(3 * pmd(), READ, SHARED, 0)?;
        mm.munmap(free, 3 * pmd())?;
        let addr = free.next_multiple_of(pmd());
        let len = pmd() + PAGE_SIZE;
        assert_eq!(file.mmap_at(addr, len, READ | WRITE, SHARED, 0)?, addr);

        // By one leaf, and then a page for which there is no room for a leaf.
        assert_eq!(mm.read(addr + pmd() - 2)?, *b"\0h");
        assert_eq!(mm.read(addr + len - 1)?, [0]);
        let counts = {
            let guard = mm.current().mmap_read_lock();
            let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
            PageCounts::of(vma, addr..addr + len)?
        };
        assert_eq!((counts.present, counts.huge), (len, pmd()));
        mm.munmap(addr, len)
    }

    #[test]
    fn a_private_mapping() -> Result {
        let (byte, device) = last_byte(pmd(), PRIVATE, pmd())?;
        assert_eq!((byte, device.counts()), (b'p', (1, 0, 1)));
        Ok(())
    }
}
