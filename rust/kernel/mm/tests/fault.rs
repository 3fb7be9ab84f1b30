// SPDX-License-Identifier: GPL-2.0

//! Tests of what a fault handler may do besides returning a page, on a real mm.

use crate::{
    bindings,
    fs::{
        File,
        ReleasedFile, //
    },
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
            DeviceRef,
            Fault,
            FaultAnswer,
            FaultAround,
            FaultError,
            HugeAnswer,
            HugeFault,
            HugeOrder,
            MappedArea,
            Mixed,
            MmuPageSize,
            Ordinary,
            PerFile,
            Pfn,
            PfnMkwriteFault,
            VmOperations, //
        },
        pgtable::{
            FaultAccess,
            Handled,
            PageCounts, //
        },
        revoke::Revocation,
        rmap::AddressSpace,
        testing::{
            UserFile,
            UserMm,
            FIRMWARE_DATE,
            PRIVATE,
            READ,
            SHARED,
            WRITE, //
        },
        Cache,
        DeviceMemory,
        Folio, //
    },
    page::{
        PAGE_MASK,
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
    },
    task::Task, //
};

const PAGES: usize = 64;
/// The kernel's default fault-around window, in pages.
const WINDOW: usize = 16;

/// A device with memory of each kind, and the arguments and number of its callbacks' calls.
#[pin_data]
struct Device {
    /// The first byte of each folio is its index.
    folios: KVec<ARef<Folio>>,
    firmware: DeviceMemory,
    faults: Atomic<i32>,
    arounds: Atomic<i32>,
    /// The first page offset that the last call of `map_pages` was asked for.
    first: Atomic<usize>,
    /// The end of these page offsets.
    end: Atomic<usize>,
    #[pin]
    revocation: Revocation,
}

impl Device {
    fn new() -> Result<Arc<Self>> {
        let mut folios = KVec::with_capacity(PAGES, GFP_KERNEL)?;
        for index in 0..PAGES {
            let folio = Folio::alloc(0, GFP_KERNEL)?;
            folio.write_at(0, &[index as u8])?;
            folios.push(folio, GFP_KERNEL)?;
        }
        // SAFETY: The range is the firmware's ROM, which user space may read and cannot change.
        let firmware = unsafe { DeviceMemory::from_phys(0xf0000, 0x10000) }?;
        Arc::pin_init(
            try_pin_init!(Self {
                folios,
                firmware,
                faults: Atomic::new(0),
                arounds: Atomic::new(0),
                first: Atomic::new(0),
                end: Atomic::new(0),
                revocation <- Revocation::new::<AroundFile>(),
            }? Error),
            GFP_KERNEL,
        )
    }

    fn page(&self, pgoff: usize) -> Option<(&Folio, usize)> {
        self.folios.get(pgoff).map(|folio| (&**folio, 0))
    }

    fn counts(&self) -> (i32, i32) {
        (self.faults.load(Relaxed), self.arounds.load(Relaxed))
    }

    /// Returns whether only the device holds references to its folios.
    fn is_idle(&self) -> bool {
        self.folios.iter().all(|folio| folio.ref_count() == 1)
    }
}

/// Makes a fault end with SIGSEGV, which the case notices, if a handler's expectation is wrong.
fn check(right: bool) -> Result<(), FaultError> {
    match right {
        true => Ok(()),
        false => Err(FaultError::SigSegv),
    }
}

/// Defines a file type with the given action and fault handlers.
macro_rules! fault_file {
    (
        $file:ident, $ops:ident, $memory:ty,
        $desc:ident => $map:expr, $fault:expr $(, $around:expr)?
    ) => {
        struct $file(Arc<Device>);

        #[vtable]
        impl MiscDevice for $file {
            type Ptr = KBox<Self>;

            fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
                Err(ENODEV)
            }

            fn address_space<'a>(this: &'a Self, _file: &'a File) -> &'a AddressSpace {
                this.0.revocation.address_space()
            }

            fn mmap_prepare<'f>(
                _file: &'f Self,
                $desc: VmaDesc<'f, Self>,
            ) -> Result<Mapping<'f, Self>> {
                Ok($map)
            }
        }

        struct $ops;

        #[vtable]
        impl VmOperations for $ops {
            type File = $file;
            type Data = PerFile;
            type Memory = $memory;

            fn mapped(_file: DeviceRef<'_, Self>, _area: &MappedArea) -> Result<PerFile> {
                Ok(PerFile)
            }

            fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
                vmf.data().0.faults.fetch_add(1, Relaxed);
                let fault: fn(&Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> = $fault;
                fault(vmf)
            }

            $(fn map_pages(vmf: &FaultAround<Self>) {
                let device = &vmf.data().0;
                device.arounds.fetch_add(1, Relaxed);
                device.first.store(vmf.pgoffs().start, Relaxed);
                device.end.store(vmf.pgoffs().end, Relaxed);
                let around: fn(&FaultAround<Self>) = $around;
                around(vmf)
            })?
        }

        crate::vm_operations!($ops);
    };
}

fault_file!(
    AroundFile, AroundOps, Ordinary,
    desc => desc.with_ops::<AroundOps>()?.on_fault(),
    |vmf| {
        let (folio, index) = vmf.data().0.page(vmf.pgoff()).ok_or(FaultError::SigBus)?;
        vmf.return_page(folio.into(), index)
    },
    |vmf| {
        let device = &vmf.data().0;
        vmf.map(|pgoff| {
            // A nested call must map nothing.
            vmf.map(|_| device.page(0));
            // Leave out every fourth page.
            device.page(pgoff).filter(|_| pgoff % 4 != 3)
        });
    }
);

fault_file!(
    CowFile, CowOps, Ordinary,
    desc => desc.with_ops::<CowOps>()?.on_fault(),
    |vmf| {
        if let Some(copy) = vmf.cow_page() {
            check(copy.write_at(PAGE_SIZE - 1, b"xy").is_err())?;
            copy.write_at(PAGE_SIZE - 2, b"xy")?;
            return Ok(copy.into());
        }
        let (folio, index) = vmf.data().0.page(vmf.pgoff()).ok_or(FaultError::SigBus)?;
        Ok(vmf.insert_page(folio, index)?.into())
    }
);

fault_file!(
    MixedFile, MixedOps, Mixed,
    desc => desc.with_ops::<MixedOps>()?.on_fault(),
    |vmf| {
        let device = &vmf.data().0;
        match vmf.pgoff() % 2 {
            0 => {
                let (folio, index) = device.page(vmf.pgoff()).ok_or(FaultError::SigBus)?;
                vmf.return_page(folio.into(), index)
            }
            _ => {
                let pfns = device.firmware.pfns().slice(15, 1)?;
                check(vmf.insert_mixed(pfns, 1).is_err())?;
                Ok(vmf.insert_mixed(pfns, 0)?.into())
            }
        }
    }
);

fault_file!(
    PfnFile, PfnOps, Pfn,
    desc => {
        let mut desc = desc;
        desc.deny_cow()?;
        let cache = match desc.pgoff() {
            WRITE_COMBINED => Cache::WriteCombined,
            NON_CACHED => Cache::NonCached,
            _ => Cache::Cached,
        };
        desc.with_ops::<PfnOps>()?.on_pfn_fault(cache)
    },
    |vmf| {
        let device = &vmf.data().0;
        let vma = vmf.vma();
        let pfns = device.firmware.pfns().slice(0, 16)?;
        if vmf.pgoff() == 0 {
            // Map the next pages as well.
            for index in 1..8 {
                vma.insert_pfn(vma.start() + (index << PAGE_SHIFT), pfns, index)?;
            }
            check(vma.insert_pfn(vma.start(), pfns, 16) == Err(EINVAL))?;
            check(vma.insert_pfn(vma.start() + 1, pfns, 0) == Err(EINVAL))?;
            check(vma.insert_pfn(vma.end(), pfns, 0) == Err(EINVAL))?;
        }
        if vmf.pgoff() == 15 {
            check(vmf.insert_pfn_cached(pfns, 16, Cache::NonCached).is_err())?;
            return Ok(vmf.insert_pfn_cached(pfns, 15, Cache::NonCached)?.into());
        }
        Ok(vmf.insert_pfn(pfns, vmf.pgoff())?.into())
    }
);

/// The page offset from which [`PfnFile`] makes write-combined mappings.
const WRITE_COMBINED: usize = 32;
/// The page offset from which [`PfnFile`] makes uncached mappings.
const NON_CACHED: usize = 64;

/// A file that maps PFNs by PMD mappings, at an address where no device responds.
struct HugeFile(Arc<Device>, DeviceMemory);

/// The page offset from which mappings of [`HugeFile`] are populated at mmap time.
const FILLED: usize = 1 << 20;

/// A physical address between the RAM of a VM with up to 2 GiB and its devices.
const NOWHERE: u64 = 0xa000_0000;

#[vtable]
impl MiscDevice for HugeFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn mmap_prepare<'f>(this: &'f Self, mut desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        desc.deny_cow()?;
        if let Some(first) = desc.pgoff().checked_sub(FILLED) {
            let range = desc.range();
            let desc = desc.with_ops::<HugeOps>()?;
            return desc.io_remap_range(range, &this.1, first, Cache::NonCached);
        }
        Ok(desc.with_ops::<HugeOps>()?.on_io_fault(Cache::NonCached))
    }
}

struct HugeOps;

#[vtable]
impl VmOperations for HugeOps {
    type File = HugeFile;
    type Data = PerFile;
    type Memory = Pfn;

    const NAME: Option<&'static CStr> = Some(c"[huge]");
    const PAGESIZE: MmuPageSize = MmuPageSize::Pmd;

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        let HugeFile(device, memory) = vmf.data();
        device.faults.fetch_add(1, Relaxed);
        let pfns = memory.pfns().slice(0, memory.pfns().nr_pages())?;
        match vmf.pgoff() % 4 {
            3 => Ok(vmf
                .insert_pfn_cached(pfns, vmf.pgoff(), Cache::Cached)?
                .into()),
            _ => Ok(vmf.insert_pfn(pfns, vmf.pgoff())?.into()),
        }
    }

    fn huge_fault(vmf: &HugeFault<Self>) -> Result<HugeAnswer<'_>, FaultError> {
        let HugeFile(device, memory) = vmf.data();
        let start = vmf.address() & !(vmf.order().len() - 1);
        let Some(first) = vmf.vma().pgoff_at(start) else {
            return Ok(HugeAnswer::Fallback);
        };
        // Map the second half page by page.
        if first >= HugeOrder::Pmd.nr_pages() {
            return Ok(HugeAnswer::Fallback);
        }
        device.arounds.fetch_add(1, Relaxed);
        // The layer must check that the whole PMD is in the VMA.
        vmf.insert_pfns(memory.pfns().all(), first)
    }

    fn pfn_mkwrite(vmf: &PfnMkwriteFault<Self>) -> Result<(), FaultError> {
        let HugeFile(device, _) = vmf.data();
        check(vmf.is_write())?;
        let page = vmf.address() & PAGE_MASK;
        check(PageCounts::of(vmf, page..page + PAGE_SIZE)?.present == PAGE_SIZE)?;
        device.first.store(vmf.pgoff(), Relaxed);
        device.end.fetch_add(1, Relaxed);
        match vmf.pgoff() % 2 {
            0 => Ok(()),
            _ => Err(FaultError::SigBus),
        }
    }
}

crate::vm_operations!(HugeOps);

/// A file that checks its address space in `release`.
struct ClosedFile(Arc<Device>);

#[vtable]
impl MiscDevice for ClosedFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn address_space<'a>(this: &'a Self, _file: &'a File) -> &'a AddressSpace {
        this.0.revocation.address_space()
    }

    fn release(this: KBox<Self>, file: &ReleasedFile) {
        let device = this.0.clone();
        drop(this);
        let file: *const bindings::file = core::ptr::from_ref(file).cast();
        // SAFETY: A file in `release` is valid and still has its inode.
        let own = unsafe { (*file).f_mapping == (*(*file).f_inode).i_mapping };
        device.faults.store(1 + i32::from(own), Relaxed);
    }
}

#[kunit_tests(rust_mm_fault)]
mod cases {
    use super::*;

    const LEN: usize = PAGES * PAGE_SIZE;

    fn open<'mm, T>(
        mm: &'mm UserMm,
        file: fn(Arc<Device>) -> T,
    ) -> Result<(Arc<Device>, UserFile<'mm>)>
    where
        T: MiscDevice<Ptr = KBox<T>> + 'static,
    {
        let device = Device::new()?;
        let file = mm.open::<T>(KBox::new(file(device.clone()), GFP_KERNEL)?)?;
        Ok((device, file))
    }

    fn huge_file(mm: &UserMm) -> Result<(Arc<Device>, UserFile<'_>)> {
        let device = Device::new()?;
        // SAFETY: No RAM and no device is at that address, so user space may have it.
        let memory = unsafe { DeviceMemory::from_phys(NOWHERE, 2 * HugeOrder::Pmd.len()) }?;
        let file = HugeFile(device.clone(), memory);
        let file = mm.open::<HugeFile>(KBox::new(file, GFP_KERNEL)?)?;
        Ok((device, file))
    }

    /// Reads the first byte of a page through the mapping.
    fn peek(mm: &UserMm, addr: usize, page: usize) -> Result<u8> {
        mm.read::<1>(addr + page * PAGE_SIZE).map(|[byte]| byte)
    }

    #[test]
    fn pages_around_a_fault() -> Result {
        let mm = UserMm::attach()?;
        let (device, file) = open(&mm, AroundFile)?;
        let addr = file.mmap(LEN, READ, SHARED, 0)?;
        let file_pages = || {
            // SAFETY: The mm of the current thread is valid.
            unsafe { bindings::rust_mm_test_file_pages((*Task::current_raw()).mm) }
        };
        let before = file_pages();
        // The mapping spans one or two page tables, which depends on its address.
        assert_eq!(peek(&mm, addr, 0)?, 0);
        assert_eq!(device.counts().0, 0);
        for page in 0..PAGES {
            assert_eq!(usize::from(peek(&mm, addr, page)?), page);
        }
        let (faults, arounds) = device.counts();
        // The kernel calls `fault` for each page that was left out.
        let left_out = (PAGES / 4) as i32;
        assert_eq!(faults, left_out);
        // The kernel calls `map_pages` for each of these pages, and once for each window.
        assert!(arounds >= left_out + (PAGES / WINDOW) as i32);
        assert!(arounds <= left_out + (PAGES / WINDOW) as i32 + 4);
        // Each folio is mapped once, and the mm counts each page.
        assert!(device.folios.iter().all(|folio| folio.ref_count() == 2));
        assert_eq!(file_pages(), before + PAGES as isize);
        mm.munmap(addr, LEN)?;
        assert!(device.is_idle());
        assert_eq!(file_pages(), before);
        Ok(())
    }

    /// The pages are mapped also if there is no page table: the kernel has allocated one before it
    /// calls `map_pages`.
    #[test]
    fn first_pages_of_a_page_table() -> Result {
        let mm = UserMm::attach()?;
        let (device, file) = open(&mm, AroundFile)?;
        let table = HugeOrder::Pmd.len();
        let free = file.mmap(2 * table, READ, SHARED, 0)?;
        mm.munmap(free, 2 * table)?;
        // No other mapping has a page in the region of this page table.
        let addr = file.mmap_at(free.next_multiple_of(table), LEN, READ, SHARED, 0)?;
        assert_eq!(peek(&mm, addr, 1)?, 1);
        assert_eq!(peek(&mm, addr, 2)?, 2);
        assert_eq!(device.counts(), (0, 1));
        mm.munmap(addr, LEN)?;
        assert!(device.is_idle());
        Ok(())
    }

    /// The kernel calls `fault` for the page that is accessed, unless `map_pages` has mapped that
    /// one: pages around it do not count.
    #[test]
    fn page_that_is_not_mapped_around() -> Result {
        let mm = UserMm::attach()?;
        let (device, file) = open(&mm, AroundFile)?;
        let addr = file.mmap(LEN, READ, SHARED, 0)?;
        // There may be two page tables. Make sure that both are there.
        peek(&mm, addr, 0)?;
        peek(&mm, addr, PAGES - 1)?;
        device.revocation.address_space().unmap(0, PAGES);
        let at = addr + 3 * PAGE_SIZE;
        let guard = mm.current().mmap_read_lock();
        let Handled::Done(guard) = guard.handle_mm_fault(at, FaultAccess::Read) else {
            return Err(EIO);
        };
        assert!(guard.folio_walk(at).is_some());
        drop(guard);
        mm.munmap(addr, LEN)
    }

    #[test]
    fn pages_around_a_fault_stay_in_the_mapping() -> Result {
        let mm = UserMm::attach()?;
        let (device, file) = open(&mm, AroundFile)?;
        let addr = file.mmap(3 * PAGE_SIZE, READ, SHARED, 5)?;
        for page in 0..3 {
            assert_eq!(usize::from(peek(&mm, addr, page)?), 5 + page);
        }
        let asked = device.first.load(Relaxed)..device.end.load(Relaxed);
        assert!(5 <= asked.start && asked.end <= 8);
        assert!(device.folios.iter().enumerate().all(|(index, folio)| {
            folio.ref_count() == 1 + usize::from((5..8).contains(&index))
        }));
        mm.munmap(addr, 3 * PAGE_SIZE)?;
        assert!(device.is_idle());
        Ok(())
    }

    #[test]
    fn pages_around_a_fault_of_a_revoked_device() -> Result {
        let mm = UserMm::attach()?;
        let (device, file) = open(&mm, AroundFile)?;
        let addr = file.mmap(LEN, READ, SHARED, 0)?;
        assert_eq!(peek(&mm, addr, 1)?, 1);
        assert_eq!(peek(&mm, addr, 2)?, 2);
        device.revocation.revoke();
        assert!(device.is_idle());
        let before = device.counts();
        assert_eq!(peek(&mm, addr, 1), Err(EFAULT));
        assert_eq!(device.counts(), before);
        assert!(device.is_idle());
        device.revocation.restore();
        assert_eq!(peek(&mm, addr, 1)?, 1);
        mm.munmap(addr, LEN)
    }

    #[test]
    fn private_copy_by_the_driver() -> Result {
        let mm = UserMm::attach()?;
        let (device, file) = open(&mm, CowFile)?;
        let addr = file.mmap(LEN, READ | WRITE, PRIVATE, 0)?;
        // A first access that writes: the handler fills the copy-on-write page.
        mm.write(addr + PAGE_SIZE, b"new")?;
        assert_eq!(mm.read(addr + PAGE_SIZE)?, *b"new\0");
        assert_eq!(mm.read(addr + 2 * PAGE_SIZE - 3)?, *b"\0xy");
        assert!(device.is_idle());
        // A write after a read: the kernel copies the page that is mapped.
        assert_eq!(peek(&mm, addr, 2)?, 2);
        mm.write(addr + 2 * PAGE_SIZE + 1, b"!")?;
        assert_eq!(mm.read(addr + 2 * PAGE_SIZE)?, [2, b'!', 0]);
        assert!(device.is_idle());
        assert_eq!(device.counts().0, 2);
        // A shared mapping has no copy-on-write page.
        let shared = file.mmap(LEN, READ | WRITE, SHARED, 0)?;
        mm.write(shared + PAGE_SIZE, b"new")?;
        assert_eq!(mm.read(shared + 2 * PAGE_SIZE - 2)?, [0, 0]);
        mm.munmap(shared, LEN)?;
        mm.munmap(addr, LEN)?;
        assert!(device.is_idle());
        Ok(())
    }

    #[test]
    fn frames_among_folios() -> Result {
        let mm = UserMm::attach()?;
        let (device, file) = open(&mm, MixedFile)?;
        let addr = file.mmap(4 * PAGE_SIZE, READ | WRITE, PRIVATE, 0)?;
        let date = addr + PAGE_SIZE + (FIRMWARE_DATE & (PAGE_SIZE - 1));
        assert_eq!(peek(&mm, addr, 2)?, 2);
        let [_, _, slash, _, _, second] = mm.read(date)?;
        assert_eq!((slash, second), (b'/', b'/'));
        // A write makes a copy-on-write page of one PFN; the page with the other PFN is unchanged.
        mm.write(date, b"xx")?;
        assert_eq!(mm.read(date)?, *b"xx/");
        let [_, _, other] = mm.read(date + 2 * PAGE_SIZE)?;
        assert_eq!(other, b'/');
        mm.munmap(addr, 4 * PAGE_SIZE)?;
        assert!(device.is_idle());
        Ok(())
    }

    #[test]
    fn address_space_of_a_closed_file() -> Result {
        let mm = UserMm::attach()?;
        let (device, file) = open(&mm, ClosedFile)?;
        // `drop` on a kernel thread would leave the release to a worker.
        //
        // SAFETY: This drops the reference that `file` owns, and `file` itself is not dropped.
        unsafe { bindings::__fput_sync(core::mem::ManuallyDrop::new(file).as_ptr()) };
        assert_eq!(device.faults.load(Relaxed), 2);
        Ok(())
    }

    #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
    #[test]
    fn frames_beside_a_huge_entry() -> Result {
        let mm = UserMm::attach()?;
        let (device, file) = huge_file(&mm)?;
        let huge = HugeOrder::Pmd.len();
        let free = file.mmap(3 * huge, READ, SHARED, 0)?;
        mm.munmap(free, 3 * huge)?;
        let addr = file.mmap_at(free.next_multiple_of(huge), 2 * huge, READ, SHARED, 0)?;

        peek(&mm, addr, 3)?;
        assert_eq!(device.counts(), (0, 1));
        peek(&mm, addr + huge, 0)?;
        assert_eq!(device.counts(), (1, 1));

        {
            let vma = mm.current().lock_driver_vma::<HugeOps>(addr).ok_or(ESRCH)?;
            let HugeFile(_, memory) = vma.data();
            let nr = memory.pfns().nr_pages();
            let pfns = memory.pfns().slice(0, nr)?;
            // A PMD mapping remains as it is; the layer must not take it for a table.
            vma.insert_pfn(addr + PAGE_SIZE, pfns, 1)?;
            vma.insert_pfn(addr + huge + PAGE_SIZE, pfns, nr / 2 + 1)?;
        }
        peek(&mm, addr, 1)?;
        peek(&mm, addr + huge, 1)?;
        assert_eq!(device.counts(), (1, 1));

        {
            let vma = mm.current().lock_driver_vma::<HugeOps>(addr).ok_or(ESRCH)?;
            let HugeFile(_, memory) = vma.data();
            vma.insert_pfns(addr, memory.pfns().all())?;
        }
        let guard = mm.current().mmap_read_lock();
        let first = NOWHERE as usize >> PAGE_SHIFT;
        let is_right = |page| {
            let found = guard.follow_pfnmap(addr + page * PAGE_SIZE);
            found.is_ok_and(|found| found.pfn == first + page)
        };
        let right = (0..2 * huge / PAGE_SIZE).all(is_right);
        drop(guard);
        assert!(right);
        peek(&mm, addr + huge, 511)?;
        assert_eq!(device.counts(), (1, 1));
        mm.munmap(addr, 2 * huge)
    }

    #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
    #[test]
    fn huge_entries_of_frames() -> Result {
        let mm = UserMm::attach()?;
        let (device, file) = huge_file(&mm)?;
        let huge = HugeOrder::Pmd.len();
        let free = file.mmap(2 * huge, READ, SHARED, 0)?;
        mm.munmap(free, 2 * huge)?;
        let addr = free.next_multiple_of(huge);

        // Unmapping a page splits the PMD mapping; the other pages remain mapped.
        file.mmap_at(addr, huge, READ, SHARED, 0)?;
        peek(&mm, addr, 3)?;
        assert_eq!(device.counts(), (0, 1));
        mm.munmap(addr + PAGE_SIZE, PAGE_SIZE)?;
        peek(&mm, addr, 3)?;
        assert_eq!(peek(&mm, addr, 1), Err(EFAULT));
        let faults = device.counts().0;
        mm.munmap(addr, huge)?;

        // The VMA ends inside the PMD: the layer must map nothing past the end of the VMA.
        file.mmap_at(addr, huge - PAGE_SIZE, READ, SHARED, 0)?;
        peek(&mm, addr, 0)?;
        assert_eq!(device.counts(), (faults + 1, 2));
        assert_eq!(peek(&mm, addr, huge / PAGE_SIZE - 1), Err(EFAULT));
        mm.munmap(addr, huge - PAGE_SIZE)?;

        // The PFNs are not aligned as the addresses are: the layer must fall back to one page.
        file.mmap_at(addr, huge, READ, SHARED, 1)?;
        peek(&mm, addr, 0)?;
        assert_eq!(device.counts(), (faults + 2, 3));
        mm.munmap(addr, huge)
    }

    #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
    #[test]
    fn write_through_a_huge_entry_of_frames() -> Result {
        let mm = UserMm::attach()?;
        let (device, file) = huge_file(&mm)?;
        let huge = HugeOrder::Pmd.len();
        let free = file.mmap(2 * huge, READ | WRITE, SHARED, 0)?;
        mm.munmap(free, 2 * huge)?;
        let addr = file.mmap_at(free.next_multiple_of(huge), huge, READ | WRITE, SHARED, 0)?;
        // The mapping uses write-notify, so its PMD mapping is read-only, and so would be another
        // one: the layer must map the written page by itself.
        peek(&mm, addr, 0)?;
        assert_eq!((device.counts(), device.end.load(Relaxed)), ((0, 1), 0));
        mm.write(addr + 2 * PAGE_SIZE, b"no device")?;
        assert_eq!((device.counts(), device.end.load(Relaxed)), ((1, 2), 1));
        assert_eq!(device.first.load(Relaxed), 2);
        mm.munmap(addr, huge)
    }

    #[test]
    fn frames_that_are_there_from_the_beginning() -> Result {
        let mm = UserMm::attach()?;
        let (device, file) = huge_file(&mm)?;
        let nr = 2 * HugeOrder::Pmd.nr_pages();
        let addr = file.mmap(2 * PAGE_SIZE, READ, SHARED, FILLED + nr - 2)?;
        peek(&mm, addr, 0)?;
        peek(&mm, addr, 1)?;
        assert_eq!(device.counts(), (0, 0));
        mm.munmap(addr, 2 * PAGE_SIZE)?;
        let beyond = file.mmap(2 * PAGE_SIZE, READ, SHARED, FILLED + nr - 1);
        assert_eq!(beyond, Err(EINVAL));
        Ok(())
    }

    #[test]
    fn first_write_to_a_frame() -> Result {
        let mm = UserMm::attach()?;
        let (device, file) = huge_file(&mm)?;
        let half = HugeOrder::Pmd.nr_pages();
        let addr = file.mmap(4 * PAGE_SIZE, READ | WRITE, SHARED, half)?;
        mm.write(addr, b"no device")?;
        assert_eq!((device.counts().0, device.end.load(Relaxed)), (1, 1));
        assert_eq!(device.first.load(Relaxed), half);
        mm.write(addr, b"again")?;
        // A write after a read: no second `fault`, but `pfn_mkwrite` is called.
        peek(&mm, addr, 2)?;
        assert_eq!((device.counts().0, device.end.load(Relaxed)), (2, 1));
        mm.write(addr + 2 * PAGE_SIZE, b"x")?;
        assert_eq!((device.counts().0, device.end.load(Relaxed)), (2, 2));
        // The driver refuses the write.
        assert_eq!(mm.write(addr + PAGE_SIZE, b"x"), Err(EFAULT));
        assert_eq!(device.first.load(Relaxed), half + 1);
        // With a cache mode of its own, too, an entry becomes writable only by a write.
        peek(&mm, addr, 3)?;
        assert_eq!(mm.write(addr + 3 * PAGE_SIZE, b"x"), Err(EFAULT));
        assert_eq!(device.first.load(Relaxed), half + 3);
        mm.munmap(addr, 4 * PAGE_SIZE)
    }

    #[test]
    fn name_and_page_size() -> Result {
        let mm = UserMm::attach()?;
        let (_device, file) = huge_file(&mm)?;
        let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
        {
            let guard = mm.current().mmap_read_lock();
            let vma = guard.vma_lookup(addr).ok_or(EFAULT)?.as_ptr();
            // SAFETY: The guard holds the mmap lock, so the VMA and its operations are valid, and
            // both callbacks may be called.
            let (name, pagesize) = unsafe {
                let ops = &*(*vma).vm_ops;
                (
                    ops.name.ok_or(EINVAL)?(vma),
                    ops.pagesize.ok_or(EINVAL)?(vma),
                )
            };
            // SAFETY: `name` returns a static C string.
            assert!(unsafe { CStr::from_char_ptr(name) } == c"[huge]");
            assert_eq!(pagesize, HugeOrder::Pmd.len());
        }
        mm.munmap(addr, PAGE_SIZE)?;

        // The table of operations without a name and a page size has neither callback.
        let (_device, file) = open(&mm, AroundFile)?;
        let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
        {
            let guard = mm.current().mmap_read_lock();
            let vma = guard.vma_lookup(addr).ok_or(EFAULT)?.as_ptr();
            // SAFETY: The guard holds the mmap lock, so the VMA and its operations are valid.
            let ops = unsafe { &*(*vma).vm_ops };
            assert!(ops.name.is_none() && ops.pagesize.is_none());
        }
        mm.munmap(addr, PAGE_SIZE)
    }

    #[cfg(CONFIG_X86)]
    #[test]
    fn cache_modes() -> Result {
        const PWT: usize = 1 << 3;
        const PCD: usize = 1 << 4;
        let mm = UserMm::attach()?;
        let (_device, file) = open(&mm, PfnFile)?;
        let mut cached = 0;
        // Without PAT, x86 has no write-combining mode and uses the uncached mode instead.
        let combined = match cfg!(CONFIG_X86_PAT) {
            true => PWT,
            false => PCD,
        };
        for (pgoff, mode) in [(0, 0), (WRITE_COMBINED, combined), (NON_CACHED, PCD)] {
            let addr = file.mmap(PAGE_SIZE, READ, SHARED, pgoff)?;
            let prot = {
                let guard = mm.current().mmap_read_lock();
                let vma = guard.vma_lookup(addr).ok_or(EFAULT)?.as_ptr();
                // SAFETY: The guard holds the mmap lock, so the VMA is valid.
                unsafe { (*vma).vm_page_prot.pgprot }
            };
            cached = if mode == 0 { prot } else { cached };
            assert_eq!(prot, cached | mode);
            mm.munmap(addr, PAGE_SIZE)?;
        }
        assert_eq!(cached & (PWT | PCD), 0);
        Ok(())
    }

    #[test]
    fn frames_around_a_fault() -> Result {
        let mm = UserMm::attach()?;
        let (device, file) = open(&mm, PfnFile)?;
        let addr = file.mmap(16 * PAGE_SIZE, READ, SHARED, 0)?;
        for page in 0..8 {
            peek(&mm, addr, page)?;
        }
        assert_eq!(device.counts().0, 1);
        let [_, _, slash] = mm.read(addr + FIRMWARE_DATE)?;
        assert_eq!(slash, b'/');
        assert_eq!(device.counts().0, 2);
        device.revocation.revoke();
        assert_eq!(peek(&mm, addr, 3), Err(EFAULT));
        mm.munmap(addr, 16 * PAGE_SIZE)
    }

    /// PFNs that are inserted together get into two page tables, and leave an entry as it is.
    #[test]
    fn frames_in_two_tables() -> Result {
        let mm = UserMm::attach()?;
        let (device, file) = open(&mm, PfnFile)?;
        let table = HugeOrder::Pmd.len();
        let free = file.mmap(3 * table, READ, SHARED, 0)?;
        mm.munmap(free, 3 * table)?;
        let start = free.next_multiple_of(table) + table - 5 * PAGE_SIZE;
        let addr = file.mmap_at(start, 16 * PAGE_SIZE, READ, SHARED, 1)?;
        // The handler maps the PFN that the page offset, 7, says.
        peek(&mm, addr, 6)?;
        let first = device.firmware.pfns().start_pfn();
        {
            let vma = mm.current().lock_driver_vma::<PfnOps>(addr).ok_or(ESRCH)?;
            let pfns = device.firmware.pfns().slice(0, 16)?;
            assert_eq!(vma.insert_pfns(addr + PAGE_SIZE, pfns), Err(EINVAL));
            assert_eq!(vma.insert_pfns(addr - PAGE_SIZE, pfns), Err(EINVAL));
            assert_eq!(
                vma.insert_pfns(addr + 1, device.firmware.pfns().slice(0, 1)?),
                Err(EINVAL)
            );
            assert_eq!(
                vma.insert_pfns(addr, device.firmware.pfns().slice(0, 0)?),
                Err(EINVAL)
            );
            vma.insert_pfns(addr, pfns)?;
        }
        let guard = mm.current().mmap_read_lock();
        let is_right = |page| {
            let expected = first + if page == 6 { 7 } else { page };
            let found = guard.follow_pfnmap(addr + page * PAGE_SIZE);
            found.is_ok_and(|found| found.pfn == expected && !found.writable)
        };
        let right = (0..16).all(is_right);
        drop(guard);
        assert!(right);
        let [_, _, slash] = mm.read(addr + FIRMWARE_DATE)?;
        assert_eq!(slash, b'/');
        assert_eq!(device.counts().0, 1);

        device.revocation.revoke();
        {
            let vma = mm.current().lock_driver_vma::<PfnOps>(addr).ok_or(ESRCH)?;
            let pfns = device.firmware.pfns().slice(0, 16)?;
            assert_eq!(vma.insert_pfns(addr, pfns), Err(ENODEV));
        }
        assert_eq!(peek(&mm, addr, 3), Err(EFAULT));
        mm.munmap(addr, 16 * PAGE_SIZE)
    }
}
