// SPDX-License-Identifier: GPL-2.0

//! Tests of `may_map`, for mappings that grow past the range that `mmap_prepare` has checked.

#[cfg(CONFIG_X86_64)]
use super::{
    revocation::access,
    syscalls::{
        mprotect,
        mremap,
        resize, //
    }, //
};
#[cfg(all(CONFIG_X86_64, CONFIG_TRANSPARENT_HUGEPAGE))]
use crate::mm::ops::HugeOrder;
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
            ClearFlags,
            SetFlags, //
        },
        ops::{
            Access,
            DeviceRef,
            DriverVmaUnderMmap,
            Fault,
            FaultAnswer,
            FaultAround,
            FaultError,
            HugeAnswer,
            HugeFault,
            Ordinary,
            PerFile,
            VmOperations, //
        },
        pgtable::PageCounts,
        testing::{
            UserFile,
            UserMm,
            PRIVATE,
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
use core::ops::Range;

/// A device whose handlers map every page of a folio, also those that `may_map` refuses.
///
/// The first byte of each page is its index.
struct Device {
    folio: ARef<Folio>,
    /// The number of pages that `may_map` permits to map.
    readable: Atomic<usize>,
    /// The number of pages that `may_map` permits to map writable.
    writable: Atomic<usize>,
    /// If not 0, the hook clears MAYWRITE.
    read_only: Atomic<i32>,
    /// If not 0, the hook sets IO, so that `get_user_pages` refuses the mapping.
    io: Atomic<i32>,
    faults: Atomic<i32>,
    arounds: Atomic<i32>,
    inserted: Atomic<i32>,
    accesses: Atomic<i32>,
    /// The number of bytes that were present when the layer last called `access`.
    present: Atomic<usize>,
}

impl Device {
    fn new(order: u32) -> Result<Arc<Self>> {
        let folio = Folio::alloc(order, GFP_KERNEL)?;
        for index in 0..folio.nr_pages() {
            folio.write_at(index * PAGE_SIZE, &[index as u8])?;
        }
        let device = Self {
            folio,
            readable: Atomic::new(usize::MAX),
            writable: Atomic::new(usize::MAX),
            read_only: Atomic::new(0),
            io: Atomic::new(0),
            faults: Atomic::new(0),
            arounds: Atomic::new(0),
            inserted: Atomic::new(0),
            accesses: Atomic::new(0),
            present: Atomic::new(0),
        };
        Ok(Arc::new(device, GFP_KERNEL)?)
    }

    /// Sets how many pages `may_map` permits to map, and to map writable.
    fn permit(&self, readable: usize, writable: usize) {
        self.readable.store(readable, Relaxed);
        self.writable.store(writable, Relaxed);
    }

    /// Returns the first byte of a page of the folio, read without a mapping.
    #[cfg(CONFIG_X86_64)]
    fn first_byte(&self, page: usize) -> Result<u8> {
        let mut byte = [0];
        self.folio.read_at(page * PAGE_SIZE, &mut byte)?;
        Ok(byte[0])
    }

    /// Returns the numbers of faults, of calls of `map_pages`, and of huge faults that have mapped
    /// the folio.
    #[cfg(CONFIG_X86_64)]
    fn calls(&self) -> (i32, i32, i32) {
        (
            self.faults.load(Relaxed),
            self.arounds.load(Relaxed),
            self.inserted.load(Relaxed),
        )
    }
}

struct GrowingFile(Arc<Device>);

#[vtable]
impl MiscDevice for GrowingFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn mmap_prepare<'f>(this: &'f Self, mut desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        desc.set(SetFlags::HUGEPAGE);
        if this.0.io.load(Relaxed) != 0 {
            desc.set(SetFlags::IO);
        }
        if this.0.read_only.load(Relaxed) != 0 {
            desc.try_clear(ClearFlags::MAYWRITE)?;
        }
        Ok(desc.with_ops::<GrowingOps>()?.on_fault())
    }
}

struct GrowingOps;

#[vtable]
impl VmOperations for GrowingOps {
    type File = GrowingFile;
    type Data = PerFile;
    type Memory = Ordinary;

    fn may_map(file: DeviceRef<'_, Self>, pgoffs: Range<usize>, writable: bool) -> Result {
        if pgoffs.end > file.0.readable.load(Relaxed) {
            return Err(ENXIO);
        }
        if writable && pgoffs.end > file.0.writable.load(Relaxed) {
            return Err(EACCES);
        }
        Ok(())
    }

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        let device = &vmf.data().0;
        device.faults.fetch_add(1, Relaxed);
        vmf.return_page(device.folio.clone(), vmf.pgoff())
    }

    fn map_pages(vmf: &FaultAround<Self>) {
        let device = &vmf.data().0;
        device.arounds.fetch_add(1, Relaxed);
        vmf.map(|pgoff| Some((&device.folio, pgoff)));
    }

    fn huge_fault(vmf: &HugeFault<Self>) -> Result<HugeAnswer<'_>, FaultError> {
        let device = &vmf.data().0;
        let answer = vmf.insert_folio(&device.folio)?;
        if matches!(answer, HugeAnswer::Inserted(_)) {
            device.inserted.fetch_add(1, Relaxed);
        }
        Ok(answer)
    }

    fn access(vma: &DriverVmaUnderMmap<Self>, addr: usize, access: Access<'_>) -> Result<usize> {
        let device = &vma.data().0;
        device.accesses.fetch_add(1, Relaxed);
        let present = PageCounts::of(vma, vma.start()..vma.end())?.present;
        device.present.store(present, Relaxed);
        let len = access.len();
        let offset = addr - vma.start() + vma.pgoff() * PAGE_SIZE;
        match access {
            Access::Read(buf) => device.folio.read_at(offset, buf)?,
            Access::Write(buf) => device.folio.write_at(offset, buf)?,
        }
        Ok(len)
    }
}

crate::vm_operations!(GrowingOps, mergeable: GrowingFile);

#[kunit_tests(rust_mm_may_map)]
mod cases {
    use super::*;

    /// The kernel's default fault-around window, in bytes.
    #[cfg(CONFIG_X86_64)]
    const WINDOW: usize = 16 * PAGE_SIZE;

    fn open(mm: &UserMm, order: u32) -> Result<(Arc<Device>, UserFile<'_>)> {
        let device = Device::new(order)?;
        let file = mm.open::<GrowingFile>(KBox::new(GrowingFile(device.clone()), GFP_KERNEL)?)?;
        Ok((device, file))
    }

    /// Maps one page of a device, and grows the mapping to four pages with `mremap`.
    ///
    /// Three pages may be mapped, and `writable` pages may be mapped writable. The mapping keeps
    /// the file open.
    #[cfg(CONFIG_X86_64)]
    fn grown(mm: &UserMm, writable: usize, flags: usize) -> Result<(Arc<Device>, usize)> {
        let (device, file) = open(mm, 2)?;
        device.permit(3, writable);
        let addr = file.mmap(PAGE_SIZE, READ | WRITE, flags, 0)?;
        let addr = resize(mm, addr, PAGE_SIZE, 4 * PAGE_SIZE)?;
        Ok((device, addr))
    }

    /// Reads the first byte of a page through the mapping.
    fn peek(mm: &UserMm, addr: usize, page: usize) -> Result<u8> {
        mm.read::<1>(addr + page * PAGE_SIZE).map(|[byte]| byte)
    }

    #[test]
    fn asked_by_the_hook() -> Result {
        let mm = UserMm::attach()?;
        let (device, file) = open(&mm, 2)?;
        device.permit(3, 2);
        for (pages, prot, flags, expected) in [
            (2, READ | WRITE, SHARED, Ok(())),
            (3, READ | WRITE, SHARED, Err(EACCES)),
            // The mapping could become writable.
            (3, READ, SHARED, Err(EACCES)),
            // A write goes to a copy-on-write page of the process.
            (3, READ | WRITE, PRIVATE, Ok(())),
            (4, READ | WRITE, PRIVATE, Err(ENXIO)),
        ] {
            let mapped = file.mmap(pages * PAGE_SIZE, prot, flags, 0);
            assert_eq!(mapped.map(|_| ()), expected);
            if let Ok(addr) = mapped {
                mm.munmap(addr, pages * PAGE_SIZE)?;
            }
        }
        // The layer asks about the whole range, wherever it starts.
        assert_eq!(file.mmap(2 * PAGE_SIZE, READ, SHARED, 1), Err(EACCES));

        device.read_only.store(1, Relaxed);
        let addr = file.mmap(3 * PAGE_SIZE, READ, SHARED, 0)?;
        assert_eq!(peek(&mm, addr, 2)?, 2);
        mm.munmap(addr, 3 * PAGE_SIZE)?;
        assert_eq!(file.mmap(4 * PAGE_SIZE, READ, SHARED, 0), Err(ENXIO));
        Ok(())
    }

    #[test]
    fn asked_of_a_file_for_reading() -> Result {
        let mm = UserMm::attach()?;
        let device = Device::new(2)?;
        device.permit(3, 0);
        let file = GrowingFile(device.clone());
        let file = mm.open_read_only::<GrowingFile>(KBox::new(file, GFP_KERNEL)?)?;
        let addr = file.mmap(3 * PAGE_SIZE, READ, SHARED, 0)?;
        assert_eq!(peek(&mm, addr, 2)?, 2);
        #[cfg(CONFIG_X86_64)]
        assert_eq!(mprotect(&mm, addr, PAGE_SIZE, READ | WRITE), Err(EACCES));
        mm.munmap(addr, 3 * PAGE_SIZE)
    }

    /// User space may write the page that the hook was asked about, but not the pages that `mremap`
    /// has added.
    #[cfg(CONFIG_X86_64)]
    #[test]
    fn grown_beyond_what_is_writable() -> Result {
        let mm = UserMm::attach()?;
        let (device, addr) = grown(&mm, 1, SHARED)?;
        mm.write(addr, b"w")?;
        assert_eq!(device.calls(), (1, 0, 0));
        for page in 1..4 {
            let at = addr + page * PAGE_SIZE;
            assert_eq!(mm.write(at, b"w"), Err(EFAULT));
            // User space may not read the page either: the mapping is writable.
            assert_eq!(peek(&mm, addr, page), Err(EFAULT));
            // The same after an `mprotect` to read-only, which user space can undo.
            mprotect(&mm, at, PAGE_SIZE, READ)?;
            assert_eq!(peek(&mm, addr, page), Err(EFAULT));
            mprotect(&mm, at, PAGE_SIZE, READ | WRITE)?;
        }
        // The layer has called none of the driver's handlers for these accesses.
        assert_eq!(device.calls(), (1, 0, 0));
        assert_eq!(device.folio.ref_count(), 2);
        assert_eq!(device.first_byte(1)?, 1);
        mm.munmap(addr, 4 * PAGE_SIZE)
    }

    #[cfg(CONFIG_X86_64)]
    #[test]
    fn grown_copy_on_write() -> Result {
        let mm = UserMm::attach()?;
        let (device, addr) = grown(&mm, 0, PRIVATE)?;
        mm.write(addr + PAGE_SIZE, b"w")?;
        assert_eq!(peek(&mm, addr, 1)?, b'w');
        assert_eq!(peek(&mm, addr, 2)?, 2);
        assert_eq!(mm.write(addr + 3 * PAGE_SIZE, b"w"), Err(EFAULT));
        assert_eq!(device.first_byte(1)?, 1);
        mm.munmap(addr, 4 * PAGE_SIZE)
    }

    /// The layer calls `map_pages` only if `may_map` permits all pages around the fault.
    #[cfg(CONFIG_X86_64)]
    #[test]
    fn around_a_fault() -> Result {
        let mm = UserMm::attach()?;
        let (device, file) = open(&mm, 2)?;
        device.permit(3, 3);
        let from = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
        // An address at which all pages are in one fault-around window.
        let addr = (from - 2 * WINDOW) & !(WINDOW - 1);
        mremap(&mm, from, PAGE_SIZE, 4 * PAGE_SIZE, addr)?;
        for page in 0..3 {
            assert_eq!(peek(&mm, addr, page)?, page as u8);
        }
        assert_eq!(peek(&mm, addr, 3), Err(EFAULT));
        assert_eq!(device.calls(), (3, 0, 0));
        assert_eq!(device.folio.ref_count(), 4);

        device.permit(4, 4);
        mm.munmap(addr, PAGE_SIZE)?;
        assert_eq!(peek(&mm, addr, 3)?, 3);
        assert_eq!(device.calls(), (3, 1, 0));
        mm.munmap(addr, 4 * PAGE_SIZE)
    }

    #[cfg(all(CONFIG_X86_64, CONFIG_TRANSPARENT_HUGEPAGE))]
    #[test]
    fn grown_to_a_huge_page() -> Result {
        let mm = UserMm::attach()?;
        let len = HugeOrder::Pmd.len();
        let pages = HugeOrder::Pmd.nr_pages();
        let (device, file) = open(&mm, pages.ilog2())?;
        device.permit(pages / 2, pages / 2);
        let free = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
        mm.munmap(free, PAGE_SIZE)?;
        let aligned = free.next_multiple_of(len) - 2 * len;
        let addr = file.mmap_at(aligned, PAGE_SIZE, READ | WRITE, SHARED, 0)?;
        // The addresses after the mapping are free, so `mremap` grows it in place.
        assert_eq!(resize(&mm, addr, PAGE_SIZE, len)?, addr);
        mm.write(addr + PAGE_SIZE, b"w")?;
        assert_eq!(device.calls(), (1, 0, 0));
        assert_eq!(mm.write(addr + len - PAGE_SIZE, b"w"), Err(EFAULT));
        assert_eq!(device.calls(), (1, 0, 0));
        mm.munmap(addr, len)?;

        device.permit(pages, pages);
        let addr = file.mmap_at(aligned, len, READ | WRITE, SHARED, 0)?;
        mm.write(addr + len - PAGE_SIZE, b"w")?;
        assert_eq!(device.calls(), (1, 0, 1));
        mm.munmap(addr, len)
    }

    #[cfg(CONFIG_X86_64)]
    #[test]
    fn grown_for_a_debugger() -> Result {
        let mm = UserMm::attach()?;
        let (device, file) = open(&mm, 2)?;
        let addr = file.mmap(4 * PAGE_SIZE, READ | WRITE, SHARED, 0)?;
        mm.munmap(addr, 4 * PAGE_SIZE)?;
        device.io.store(1, Relaxed);
        device.permit(2, 2);
        // The kernel grows a mapping with IO only if it moves it.
        let from = file.mmap(PAGE_SIZE, READ | WRITE, SHARED, 0)?;
        let addr = addr - 4 * PAGE_SIZE;
        mremap(&mm, from, PAGE_SIZE, 4 * PAGE_SIZE, addr)?;
        mm.write(addr, b"w")?;
        let mut buf = [0xff; 2];
        assert_eq!(access(&mm, addr + PAGE_SIZE, &mut buf, false), 2);
        assert_eq!(device.present.load(Relaxed), PAGE_SIZE);
        assert_eq!(buf, [1, 0]);
        assert_eq!(access(&mm, addr + 2 * PAGE_SIZE - 2, &mut buf, true), 2);
        // For a range past the permitted pages, the layer does not call the driver.
        assert_eq!(access(&mm, addr + 2 * PAGE_SIZE - 1, &mut buf, false), 0);
        assert_eq!(access(&mm, addr + 2 * PAGE_SIZE, &mut buf, true), 0);
        assert_eq!(device.accesses.load(Relaxed), 2);
        mm.munmap(addr, 4 * PAGE_SIZE)
    }
}
