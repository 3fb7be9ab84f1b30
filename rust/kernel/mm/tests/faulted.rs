// SPDX-License-Identifier: GPL-2.0

//! Tests of pages that are allocated when they are accessed.

use super::threads::elsewhere;
use crate::{
    alloc::NumaNode,
    bindings,
    fs::{
        File,
        Kiocb, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
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
        memory::page_array::PageArray,
        ops::{
            Fault,
            FaultAnswer,
            FaultAround,
            FaultError,
            Ordinary,
            PerFile,
            VmOperations, //
        },
        rmap::AddressSpace,
        testing::{
            UserFile,
            UserMm,
            PRIVATE,
            READ,
            SHARED,
            WRITE, //
        },
        FaultedPages,
        Folio,
        KernelPages, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Arc, //
    },
    time::{
        delay::udelay,
        Delta, //
    }, //
};
use core::ops::Range;

const PAGES: usize = 16;
const LEN: usize = PAGES * PAGE_SIZE;

#[pin_data]
struct Device {
    #[pin]
    pages: FaultedPages<AddressSpace>,
    /// An address space that is not that of the pages.
    other: AddressSpace,
    faults: Atomic<i32>,
    around: Atomic<i32>,
}

impl Device {
    fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            try_pin_init!(Self {
                pages <- FaultedPages::unmapped_from(
                    AddressSpace::new::<Front>(),
                    PAGES,
                    GFP_KERNEL_ACCOUNT,
                ),
                other: AddressSpace::new::<Front>()?,
                faults: Atomic::new(0),
                around: Atomic::new(0),
            }? Error),
            GFP_KERNEL,
        )
    }
}

/// A file of a device.
struct Front {
    device: Arc<Device>,
    /// Whether the file has the wrong address space.
    wrong: bool,
}

#[vtable]
impl MiscDevice for Front {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn address_space<'a>(this: &'a Self, _file: &'a File) -> &'a AddressSpace {
        if this.wrong {
            &this.device.other
        } else {
            this.device.pages.mappings()
        }
    }

    fn read_iter(mut kiocb: Kiocb<'_, KBox<Self>>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let device = kiocb.file().device.clone();
        device.pages.read_iter(kiocb.ki_pos_mut(), iov)
    }

    fn write_iter(mut kiocb: Kiocb<'_, KBox<Self>>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        let device = kiocb.file().device.clone();
        device.pages.write_iter(kiocb.ki_pos_mut(), iov)
    }

    fn mmap_prepare<'f>(_: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        Ok(desc.with_ops::<FrontOps>()?.on_fault())
    }
}

struct FrontOps;

#[vtable]
impl VmOperations for FrontOps {
    type File = Front;
    type Data = PerFile;
    type Memory = Ordinary;

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        let device = &vmf.data().device;
        device.faults.fetch_add(1, Relaxed);
        device.pages.fault(vmf)
    }

    fn map_pages(vmf: &FaultAround<Self>) {
        let device = &vmf.data().device;
        let count = device.pages.map_pages(vmf);
        device.around.fetch_add(count as i32, Relaxed);
    }
}

kernel::vm_operations!(FrontOps);

fn open<'mm>(mm: &'mm UserMm, device: &Arc<Device>) -> Result<UserFile<'mm>> {
    let front = Front {
        device: device.clone(),
        wrong: false,
    };
    mm.open::<Front>(KBox::new(front, GFP_KERNEL)?)
}

#[macros::kunit_tests(rust_mm_faulted)]
mod cases {
    use super::*;

    #[test]
    fn pages_and_holes() -> Result {
        let pages = FaultedPages::new(3, GFP_KERNEL)?;
        assert_eq!((pages.nr_pages(), pages.len()), (3, 3 * PAGE_SIZE));
        assert!(pages.get(0).is_none());
        let page = pages.get_or_make(0)?;
        let again = pages.get_or_make(0)?;
        assert!(core::ptr::eq(&*page, &*again));
        assert_eq!((page.order(), page.ref_count()), (0, 3));
        assert_eq!(pages.nr_present(), 1);
        assert!(pages.holds(0, &page));
        assert!(!pages.holds(1, &page) && !pages.holds(3, &page));
        assert!(!pages.holds(usize::MAX, &page));
        for past in [3, usize::MAX] {
            assert!(pages.get(past).is_none());
            assert!(pages.get_or_make(past).is_err_and(|e| e == EINVAL));
        }
        assert_eq!(pages.nr_present(), 1);

        // The array drops its reference.
        drop((again, pages));
        assert_eq!(page.ref_count(), 1);

        let none = FaultedPages::new(0, GFP_KERNEL)?;
        assert!(none.is_empty() && none.get(0).is_none());
        assert_eq!(none.read_at(0, &mut []), Ok(()));
        assert_eq!(none.write_at(0, b"x"), Err(EINVAL));
        Ok(())
    }

    #[test]
    fn discarded_pages() -> Result {
        let device = Device::new()?;
        let pages = &device.pages;
        for index in 0..PAGES {
            pages.get_or_make(index)?;
        }
        let (kept, discarded) = (pages.get_or_make(4)?, pages.get_or_make(5)?);
        assert_eq!(pages.discard(5..7), 2);
        assert_eq!(pages.nr_present(), PAGES - 2);
        assert_eq!((kept.ref_count(), discarded.ref_count()), (2, 1));
        assert!(pages.holds(4, &kept) && !pages.holds(5, &discarded));
        assert!(pages.get(5).is_none() && pages.get(6).is_none() && pages.get(7).is_some());
        // What is past the end is left out; and so is what is empty.
        for (range, count) in [
            (5..7, 0),
            (PAGES - 1..usize::MAX, 1),
            (PAGES..PAGES + 1, 0),
            (usize::MAX..usize::MAX, 0),
            (3..3, 0),
            (Range { start: 3, end: 2 }, 0),
        ] {
            assert_eq!(pages.discard(range), count);
        }
        assert_eq!(pages.discard_all(), PAGES - 3);
        assert_eq!((pages.nr_present(), kept.ref_count()), (0, 1));
        Ok(())
    }

    /// Leaked references do not make the count of a page wrap around.
    #[test]
    fn references_saturate() -> Result {
        let device = Device::new()?;
        let pages = &device.pages;
        let page = pages.get_or_make(0)?;
        let xchg = |count| {
            let folio: *const Folio = &*page;
            // SAFETY: The folio is valid, and the test sets the count back.
            unsafe { bindings::rust_mm_test_xchg_folio_refs(folio.cast_mut().cast(), count) }
        };
        assert_eq!(xchg(0x6000_0000), 2);
        let leaked = pages.get(0);
        let saturated = xchg(2) as u32;
        core::mem::forget(leaked);
        assert_eq!(saturated, 0xb000_0000);
        Ok(())
    }

    #[test]
    fn copies() -> Result {
        let device = Device::new()?;
        let pages = &device.pages;
        let mut out = [0xff; 6];

        // Across a hole and a page, in both orders.
        pages.write_at(2 * PAGE_SIZE, b"page")?;
        pages.read_at(2 * PAGE_SIZE - 2, &mut out)?;
        assert_eq!(&out, b"\0\0page");
        pages.write_at(3 * PAGE_SIZE - 2, b"e2")?;
        pages.read_at(3 * PAGE_SIZE - 3, &mut out)?;
        assert_eq!(&out, b"\0e2\0\0\0");
        assert_eq!(pages.nr_present(), 1);

        // The border of two pages.
        pages.write_at(5 * PAGE_SIZE - 3, b"border")?;
        pages.read_at(5 * PAGE_SIZE - 3, &mut out)?;
        assert_eq!(&out, b"border");
        assert_eq!(pages.nr_present(), 3);

        // The end.
        pages.write_at(LEN - 6, b"theend")?;
        pages.read_at(LEN - 6, &mut out)?;
        assert_eq!(&out, b"theend");
        for offset in [LEN - 5, LEN, usize::MAX - 5, usize::MAX] {
            assert_eq!(pages.write_at(offset, b"theend"), Err(EINVAL));
            assert_eq!(pages.read_at(offset, &mut out), Err(EINVAL));
        }
        assert_eq!(pages.nr_present(), 4);
        Ok(())
    }

    #[test]
    fn read_and_write() -> Result {
        let mm = UserMm::attach()?;
        let device = Device::new()?;
        let file = open(&mm, &device)?;
        let mut buf = [0xff; 8];
        let (border, end) = (PAGE_SIZE as i64, LEN as i64);

        assert_eq!(file.pread(&mut buf, border - 4)?, 8);
        assert_eq!((buf, device.pages.nr_present()), ([0; 8], 0));
        assert_eq!(file.pwrite(b"over the", border - 4)?, 8);
        assert_eq!(device.pages.nr_present(), 2);
        assert_eq!(file.pread(&mut buf, border - 5)?, 8);
        assert_eq!(buf, *b"\0over th");
        // From a page into a hole.
        assert_eq!(file.pwrite(b"last", 2 * border - 4)?, 4);
        assert_eq!(file.pread(&mut buf, 2 * border - 5)?, 8);
        assert_eq!(buf, *b"\0last\0\0\0");
        assert_eq!(device.pages.nr_present(), 2);

        // The copies end at the end.
        assert_eq!(file.pwrite(b"end, and more", end - 4)?, 4);
        buf = [0xff; 8];
        assert_eq!(file.pread(&mut buf, end - 5)?, 5);
        assert_eq!(buf, *b"\0end,\xff\xff\xff");
        for past in [end, end + 1, i64::MAX - 100] {
            assert_eq!(file.pread(&mut buf, past)?, 0);
            assert_eq!(file.pwrite(&buf, past), Err(ENOSPC));
            assert_eq!(file.pwrite(&[], past)?, 0);
        }
        assert_eq!(device.pages.nr_present(), 3);
        Ok(())
    }

    #[test]
    fn faults() -> Result {
        let mm = UserMm::attach()?;
        let device = Device::new()?;
        let pages = &device.pages;
        let file = open(&mm, &device)?;
        let addr = file.mmap(LEN + PAGE_SIZE, READ | WRITE, SHARED, 0)?;
        // At another page offset.
        let other = file.mmap(2 * PAGE_SIZE, READ, SHARED, 2)?;

        mm.write(addr + 2 * PAGE_SIZE, b"user")?;
        assert_eq!(mm.read(other)?, *b"user");
        assert_eq!(mm.read(other + PAGE_SIZE)?, [0; 4]);
        assert_eq!(pages.nr_present(), 2);
        pages.write_at(3 * PAGE_SIZE, b"kernel")?;
        assert_eq!(mm.read(other + PAGE_SIZE)?, *b"kernel");
        // The page has a reference of the array, two of entries, and this one.
        let page = pages.get(2).ok_or(ENOENT)?;
        assert_eq!(page.ref_count(), 4);

        // Past the end.
        assert_eq!(mm.read::<1>(addr + LEN), Err(EFAULT));

        // Unmapped from both mappings.
        assert_eq!(pages.discard(2..3), 1);
        assert_eq!(page.ref_count(), 1);
        assert_eq!(mm.read(other)?, [0; 4]);
        mm.write(addr + 2 * PAGE_SIZE, b"anew")?;
        assert_eq!(mm.read(other)?, *b"anew");
        assert!(!pages.holds(2, &page));
        let mut out = [0; 4];
        page.read_at(0, &mut out)?;
        assert_eq!(&out, b"user");
        // Its neighbour is as it was.
        assert_eq!(mm.read(other + PAGE_SIZE)?, *b"kernel");

        // Pages that are mapped outlive the array.
        let page = pages.get(3).ok_or(ENOENT)?;
        let refs = page.ref_count();
        assert_eq!(pages.discard_all(), 2);
        assert!(refs > 2 && page.ref_count() == 1);
        mm.munmap(other, 2 * PAGE_SIZE)?;
        mm.munmap(addr, LEN + PAGE_SIZE)
    }

    #[test]
    fn pages_around_a_fault() -> Result {
        let mm = UserMm::attach()?;
        let device = Device::new()?;
        let file = open(&mm, &device)?;
        for index in (0..PAGES).filter(|index| index % 4 != 3) {
            device.pages.write_at(index * PAGE_SIZE, &[index as u8])?;
        }
        let addr = file.mmap(LEN, READ, SHARED, 0)?;
        for index in (0..PAGES).filter(|index| index % 4 != 3) {
            assert_eq!(mm.read(addr + index * PAGE_SIZE)?, [index as u8]);
        }
        // The mapping spans one or two page tables, and all pages are in one or two windows.
        assert!(device.around.load(Relaxed) > 0);
        assert_eq!(device.faults.load(Relaxed), 0);
        assert_eq!(device.pages.nr_present(), PAGES - PAGES / 4);
        // Holes are left to `fault`.
        assert_eq!(mm.read(addr + 3 * PAGE_SIZE)?, [0]);
        assert_eq!(device.faults.load(Relaxed), 1);
        // All are unmapped.
        let page = device.pages.get(2).ok_or(ENOENT)?;
        assert_eq!(page.ref_count(), 3);
        device.pages.discard_all();
        assert_eq!(page.ref_count(), 1);
        assert_eq!(mm.read(addr + 2 * PAGE_SIZE)?, [0]);
        mm.munmap(addr, LEN)
    }

    #[test]
    fn private_mapping() -> Result {
        let mm = UserMm::attach()?;
        let device = Device::new()?;
        let pages = &device.pages;
        let file = open(&mm, &device)?;
        let addr = file.mmap(LEN, READ | WRITE, PRIVATE, 0)?;
        pages.write_at(0, b"page")?;
        mm.write(addr, b"P")?;
        assert_eq!(mm.read(addr)?, *b"Page");
        let mut out = [0; 4];
        pages.read_at(0, &mut out)?;
        assert_eq!(&out, b"page");
        // The copy remains; what is not copied is unmapped.
        pages.write_at(PAGE_SIZE, b"next")?;
        assert_eq!(mm.read(addr + PAGE_SIZE)?, *b"next");
        let page = pages.get(1).ok_or(ENOENT)?;
        pages.discard_all();
        assert_eq!(page.ref_count(), 1);
        assert_eq!(mm.read(addr)?, *b"Page");
        assert_eq!(mm.read(addr + PAGE_SIZE)?, [0; 4]);
        mm.munmap(addr, LEN)
    }

    /// Pages are not mapped by files from which they could not be unmapped.
    #[test]
    fn file_with_another_address_space() -> Result {
        let mm = UserMm::attach()?;
        let device = Device::new()?;
        device.pages.write_at(0, b"page")?;
        let front = Front {
            device: device.clone(),
            wrong: true,
        };
        let file = mm.open::<Front>(KBox::new(front, GFP_KERNEL)?)?;
        let addr = file.mmap(LEN, READ | WRITE, SHARED, 0)?;
        assert_eq!(mm.read::<1>(addr), Err(EFAULT));
        assert_eq!(mm.write(addr + PAGE_SIZE, b"x"), Err(EFAULT));
        assert_eq!(device.around.load(Relaxed), 0);
        assert_eq!(device.pages.nr_present(), 1);
        mm.munmap(addr, LEN)
    }

    #[test]
    fn node() -> Result {
        // Each node that is online. The VM of the tests has two.
        for nid in 0..bindings::MAX_NUMNODES.min(8) as i32 {
            let node = NumaNode::new(nid)?;
            let folio = match Folio::alloc_on(node, 0, GFP_KERNEL) {
                Err(err) if err == EINVAL => continue,
                folio => folio?,
            };
            assert_eq!(folio.nid(), nid);
            let pages = KernelPages::new_on(node, 1, GFP_KERNEL)?;
            let page = pages.page(0).ok_or(EINVAL)?;
            // SAFETY: The page is one of order 0, which is a folio. The array has a reference to it
            // while it is borrowed.
            let folio: &Folio = unsafe { Folio::from_raw(page.as_ptr().cast()) };
            assert_eq!(folio.nid(), nid);
            let pages = FaultedPages::new(1, GFP_KERNEL)?;
            pages.set_node(node)?;
            assert_eq!(pages.get_or_make(0)?.nid(), nid);
        }

        let pages = FaultedPages::new(2, GFP_KERNEL)?;
        pages.set_node(NumaNode::new(0)?)?;
        assert_eq!(pages.get_or_make(0)?.nid(), 0);
        // No machine of ours has that many nodes.
        if let Ok(last) = NumaNode::new(bindings::MAX_NUMNODES as i32 - 1) {
            let expected = match bindings::MAX_NUMNODES {
                1 => Ok(()),
                _ => Err(EINVAL),
            };
            assert_eq!(pages.set_node(last), expected);
        }
        pages.set_node(NumaNode::NO_NODE)?;
        pages.get_or_make(1)?;
        Ok(())
    }

    /// Two threads that make the same pages get the same pages.
    #[test]
    fn made_by_two_threads() -> Result {
        const MANY: usize = 512;
        for _ in 0..8 {
            let pages = Arc::new(FaultedPages::new(MANY, GFP_KERNEL)?, GFP_KERNEL)?;
            let theirs = pages.clone();
            let outcome = elsewhere(move || {
                for index in 0..MANY {
                    theirs.write_at(index * PAGE_SIZE, b"t")?;
                }
                Ok(())
            })?;
            for index in 0..MANY {
                pages.write_at(index * PAGE_SIZE + 1, b"o")?;
            }
            outcome.wait()?;
            assert_eq!(pages.nr_present(), MANY);
            let mut both = [0; 2];
            for index in 0..MANY {
                pages.read_at(index * PAGE_SIZE, &mut both)?;
                assert_eq!(&both, b"to");
                assert_eq!(pages.get_or_make(index)?.ref_count(), 2);
            }
        }
        Ok(())
    }

    /// A page that another thread discards is not mapped afterwards, and references to it are
    /// counted.
    ///
    /// The other thread marks each page that it makes with the number of its round, and announces
    /// the number. After that, the user of the mapping must not see the mark of an earlier round,
    /// only a hole.
    #[test]
    fn discarded_while_it_is_accessed() -> Result {
        const ROUNDS: u32 = 20_000;
        /// The byte after the mark; a page that has no mark yet has a zero there.
        const SECOND: u8 = 0xa5;
        /// One byte, since two bytes of a page can be of two rounds when they are read.
        fn mark(round: u32) -> u8 {
            (round % 255) as u8 + 1
        }

        let mm = UserMm::attach()?;
        let device = Device::new()?;
        let file = open(&mm, &device)?;
        let addr = file.mmap(LEN, READ | WRITE, SHARED, 0)?;
        let announced = Arc::new(Atomic::new(0u32), GFP_KERNEL)?;
        let reads = Arc::new(Atomic::new(0u32), GFP_KERNEL)?;

        let (theirs, announces, accesses) = (device.clone(), announced.clone(), reads.clone());
        let outcome = elsewhere(move || {
            let round = |number: u32| {
                theirs.pages.discard(1..2);
                theirs.pages.write_at(PAGE_SIZE, &[mark(number), SECOND])?;
                announces.store(number, Release);
                // Other rounds follow each other at once, and meet a fault of the round before.
                // Here, a page that such a fault has mapped in vain remains mapped for some time.
                if number % 4 == 0 {
                    let before = accesses.load(Relaxed);
                    for _ in 0..200 {
                        if accesses.load(Relaxed).wrapping_sub(before) > 2 {
                            break;
                        }
                        udelay(Delta::from_micros(1));
                    }
                }
                Ok(())
            };
            let result = (1..=ROUNDS).try_for_each(round);
            // Also if a round has failed, so that the other thread ends.
            announces.store(ROUNDS, Release);
            result
        })?;
        let (mut stale, mut broken, mut seen) = (0, 0, 0);
        loop {
            let least = announced.load(Acquire);
            // Faults, mostly: through `map_pages` or `fault`, as the page is there or not.
            let [found] = mm.read(addr + PAGE_SIZE)?;
            reads.fetch_add(1, Relaxed);
            // The round after the last one that was announced may have begun.
            let rounds = least..=announced.load(Acquire) + 1;
            // The marks of more rounds than that can be the same.
            if rounds.clone().count() < 100 {
                seen += 1;
                if found != 0 && !rounds.map(mark).any(|mark| mark == found) {
                    stale += 1;
                }
            }
            if let Some(page) = device.pages.get(1) {
                // The reference keeps the page, also if it is discarded.
                let mut second = [0];
                page.read_at(1, &mut second)?;
                if ![0, SECOND].contains(&second[0]) {
                    broken += 1;
                }
            }
            if least == ROUNDS {
                break;
            }
        }
        outcome.wait()?;
        assert!(seen > 100);
        assert_eq!((stale, broken), (0, 0));
        assert_eq!(device.pages.nr_present(), 1);
        let page = device.pages.get(1).ok_or(ENOENT)?;
        device.pages.discard_all();
        assert_eq!(page.ref_count(), 1);
        mm.munmap(addr, LEN)
    }
}
