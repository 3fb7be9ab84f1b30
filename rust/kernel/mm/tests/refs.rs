// SPDX-License-Identifier: GPL-2.0

//! Tests of reference counts near their limits.
//!
//! A test cannot take that many references, so it sets the count.

use super::{
    FilledFile,
    FilledOps,
    Probe, //
};
use crate::{
    alloc::{
        flags::__GFP_ZERO,
        Flags, //
    },
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
        memory::{
            gfp,
            page_array::PageArray, //
        },
        ops::{
            Fault,
            FaultAnswer,
            FaultAround,
            FaultError,
            Ordinary,
            PerFile,
            VmOperations, //
        },
        testing::{
            UserMm,
            PRIVATE,
            READ,
            SHARED,
            WRITE, //
        },
        Folio,
        KernelPages,
        LockedFolio,
        Mm,
        MmWithUser, //
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

/// The lowest reference count with which the layer does not map a folio again.
pub(super) const TOO_MANY: i32 = 1 << 30;
/// The count from which that of a folio saturates, and the value that it then gets.
const FOLIO: (i32, i32) = (0x6000_0000, 0xb000_0000_u32 as i32);
/// The same for an mm, whose count must always be positive for C.
const MM: (i32, i32) = (0x4000_0000, 0x6000_0000);

/// A reference count that the test has set, until it drops this value.
pub(super) struct Count<T> {
    of: T,
    xchg: fn(&T, i32) -> i32,
    before: i32,
}

impl<T> Count<T> {
    pub(super) fn set(of: T, xchg: fn(&T, i32) -> i32, count: i32) -> Self {
        let before = xchg(&of, count);
        Self { of, xchg, before }
    }

    /// Sets the count, and returns the old one.
    pub(super) fn xchg(&self, count: i32) -> i32 {
        (self.xchg)(&self.of, count)
    }
}

impl<T> Drop for Count<T> {
    fn drop(&mut self) {
        self.xchg(self.before);
    }
}

pub(super) fn xchg_folio(folio: &*mut bindings::folio, count: i32) -> i32 {
    // SAFETY: The cases hold a reference to the folio, and restore its count before they drop that.
    unsafe { bindings::rust_mm_test_xchg_folio_refs(*folio, count) }
}

fn xchg_mm_count(mm: &*mut bindings::mm_struct, count: i32) -> i32 {
    // SAFETY: The mm is the current one, and the cases restore its count.
    unsafe { bindings::rust_mm_test_xchg_mm_count(*mm, count) }
}

fn xchg_mm_users(mm: &*mut bindings::mm_struct, count: i32) -> i32 {
    // SAFETY: The mm is the current one, and the cases restore its count.
    unsafe { bindings::rust_mm_test_xchg_mm_users(*mm, count) }
}

/// Checks the count after clones and drops near the limit.
fn saturates<T: Copy, R>(
    count: &Count<T>,
    (from, saturated): (i32, i32),
    clone: impl Fn() -> R,
) -> Result {
    let is = |expected: i32| match count.xchg(expected) {
        found if found == expected => Ok(()),
        found => {
            pr_err!("the count is {found}, not {expected}\n");
            Err(ERANGE)
        }
    };
    // Below the limit, clones and drops are counted.
    count.xchg(from - 2);
    let one = clone();
    is(from - 1)?;
    drop(one);
    is(from - 2)?;
    // At the limit, the next clone saturates the count.
    count.xchg(from - 1);
    let one = clone();
    let two = clone();
    is(saturated)?;
    // Drops do not change a saturated count.
    drop(one);
    drop(two);
    is(saturated)?;
    // The same if C has counted past the limit, up to one below the wrap to zero.
    for counted in [from, i32::MAX, i32::MIN, -1] {
        count.xchg(counted);
        drop(clone());
        is(saturated)?;
    }
    Ok(())
}

/// How the handler answers a fault.
#[derive(Clone, Copy)]
enum Way {
    Page,
    LockedPage,
    InsertPage,
    /// The layer maps the page in `map_pages`, if possible.
    Around,
}

struct Refs {
    folio: ARef<Folio>,
    way: Atomic<i32>,
    faults: Atomic<i32>,
}

struct RefsFile(Arc<Refs>);

#[vtable]
impl MiscDevice for RefsFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn mmap_prepare<'f>(_: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        Ok(desc.with_ops::<RefsOps>()?.on_fault())
    }
}

struct RefsOps;

#[vtable]
impl VmOperations for RefsOps {
    type File = RefsFile;
    type Data = PerFile;
    type Memory = Ordinary;

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        let RefsFile(refs) = vmf.data();
        refs.faults.fetch_add(1, Relaxed);
        match refs.way.load(Relaxed) {
            way if way == Way::LockedPage as i32 => {
                vmf.return_locked_page(LockedFolio::new(refs.folio.clone()), 0)
            }
            way if way == Way::InsertPage as i32 => Ok(vmf.insert_page(&refs.folio, 0)?.into()),
            _ => vmf.return_page(refs.folio.clone(), 0),
        }
    }

    fn map_pages(vmf: &FaultAround<Self>) {
        let RefsFile(refs) = vmf.data();
        if refs.way.load(Relaxed) == Way::Around as i32 {
            vmf.map(|_| Some((&refs.folio, 0)));
        }
    }
}

crate::vm_operations!(RefsOps);

#[kunit_tests(rust_mm_refs)]
mod cases {
    use super::*;

    #[test]
    fn folio_saturates() -> Result {
        let folio = Folio::alloc(0, GFP_KERNEL)?;
        {
            let count = Count::set(folio.as_ptr(), xchg_folio, 1);
            saturates(&count, FOLIO, || folio.clone())?;
        }
        assert_eq!(folio.ref_count(), 1);
        Ok(())
    }

    #[test]
    fn mm_saturates() -> Result {
        let mm = UserMm::attach()?;
        let current: &MmWithUser = mm.current();
        {
            let count = Count::set(current.as_raw(), xchg_mm_count, 2);
            saturates(&count, MM, || ARef::<Mm>::from(&**current))?;
        }
        {
            let count = Count::set(current.as_raw(), xchg_mm_users, 2);
            saturates(&count, MM, || ARef::<MmWithUser>::from(current))?;
            saturates(&count, MM, || current.mmget_not_zero())?;
            saturates(&count, MM, || {
                MmWithUser::into_mmput_async(ARef::<MmWithUser>::from(current))
            })?;
            count.xchg(MM.1);
            let one = MmWithUser::into_mmput_async(ARef::<MmWithUser>::from(current));
            saturates(&count, MM, || one.clone())?;
        }
        Ok(())
    }

    fn open(mm: &UserMm) -> Result<(Arc<Refs>, usize)> {
        let refs = Refs {
            folio: Folio::alloc(0, GFP_KERNEL)?,
            way: Atomic::new(Way::Page as i32),
            faults: Atomic::new(0),
        };
        let refs = Arc::new(refs, GFP_KERNEL)?;
        let file = mm.open::<RefsFile>(KBox::new(RefsFile(refs.clone()), GFP_KERNEL)?)?;
        let addr = file.mmap(LEN, READ | WRITE, SHARED, 0)?;
        Ok((refs, addr))
    }

    const LEN: usize = 8 * PAGE_SIZE;

    #[test]
    fn folio_with_too_many_is_not_mapped() -> Result {
        let mm = UserMm::attach()?;
        let (refs, addr) = open(&mm)?;
        // Fault in a page, since fault-around needs the page table.
        mm.read::<1>(addr)?;
        for way in [Way::Page, Way::LockedPage, Way::InsertPage, Way::Around] {
            refs.way.store(way as i32, Relaxed);
            {
                let count = Count::set(refs.folio.as_ptr(), xchg_folio, TOO_MANY);
                assert_eq!(mm.read::<1>(addr + PAGE_SIZE), Err(EFAULT));
                assert_eq!(mm.write(addr + PAGE_SIZE, b"x"), Err(EFAULT));
                // The refused faults have left no references.
                assert_eq!(count.xchg(-1), TOO_MANY);
                assert_eq!(mm.read::<1>(addr + PAGE_SIZE), Err(EFAULT));
            }
            assert!(LockedFolio::try_new(refs.folio.clone()).is_ok());
            assert_eq!(refs.folio.ref_count(), 2);
        }
        // With fewer references, the layer maps the folio.
        for (page, way) in [
            (1, Way::Page),
            (2, Way::LockedPage),
            (3, Way::InsertPage),
            (4, Way::Around),
        ] {
            refs.way.store(way as i32, Relaxed);
            let faults = refs.faults.load(Relaxed);
            let count = Count::set(
                refs.folio.as_ptr(),
                xchg_folio,
                // The handler's own reference counts, too.
                TOO_MANY - 2,
            );
            mm.read::<1>(addr + page * PAGE_SIZE)?;
            let mapped = count.xchg(0) - (TOO_MANY - 2);
            // Fault-around maps the folio until it has too many references.
            assert!(mapped == 1 || matches!(way, Way::Around) && mapped == 2);
            let calls = i32::from(!matches!(way, Way::Around));
            assert!(refs.faults.load(Relaxed) - faults <= calls + 1);
            drop(count);
            // Take the references of the mapped pages, which the count is reset without.
            for _ in 0..mapped {
                core::mem::forget(refs.folio.clone());
            }
        }
        mm.munmap(addr, LEN)?;
        assert_eq!(refs.folio.ref_count(), 1);
        Ok(())
    }

    #[test]
    fn private_copies_are_refused_as_well() -> Result {
        let mm = UserMm::attach()?;
        let (refs, addr) = open(&mm)?;
        mm.munmap(addr, LEN)?;
        let file = mm.open::<RefsFile>(KBox::new(RefsFile(refs.clone()), GFP_KERNEL)?)?;
        let addr = file.mmap(PAGE_SIZE, READ | WRITE, PRIVATE, 0)?;
        {
            let _count = Count::set(refs.folio.as_ptr(), xchg_folio, TOO_MANY);
            assert_eq!(mm.write(addr, b"x"), Err(EFAULT));
        }
        mm.write(addr, b"x")?;
        assert_eq!(refs.folio.ref_count(), 1);
        mm.munmap(addr, PAGE_SIZE)
    }

    #[test]
    fn pages_with_too_many_are_not_inserted() -> Result {
        let mm = UserMm::attach()?;
        let probe = Probe::new()?;
        let file = mm.open::<FilledFile>(KBox::new(FilledFile(probe.clone()), GFP_KERNEL)?)?;
        let len = 4 * PAGE_SIZE;
        let addr = file.mmap(len, READ, SHARED, 0)?;
        let folio = Folio::alloc(0, GFP_KERNEL)?;
        let pages = KernelPages::new(2, GFP_KERNEL)?;
        // The folio of the second page.
        let second = pages.page(1).ok_or(EINVAL)?;
        // SAFETY: The array owns the page, so the page is valid.
        let second = unsafe { bindings::page_folio(second.as_ptr()) };
        {
            let vma = mm
                .current()
                .lock_driver_vma::<FilledOps>(addr)
                .ok_or(ESRCH)?;
            vma.zap(addr, len)?;
            {
                let _one = Count::set(folio.as_ptr(), xchg_folio, TOO_MANY);
                let _two = Count::set(second, xchg_folio, TOO_MANY);
                assert_eq!(vma.insert_page(addr, &folio, 0), Err(ENOMEM));
                assert_eq!(vma.insert_pages(addr, pages.slice(0, 2)?), Err(ENOMEM));
                let good = Folio::alloc(0, GFP_KERNEL)?;
                assert_eq!(vma.insert_folios(addr, &[&good, &folio]), Err(ENOMEM));
                assert_eq!(good.ref_count(), 1);
            }
            vma.insert_pages(addr, pages.slice(0, 2)?)?;
            vma.insert_page(addr + 2 * PAGE_SIZE, &folio, 0)?;
        }
        mm.munmap(addr, len)?;
        assert_eq!(folio.ref_count(), 1);

        // The same for a mapping that is populated at mmap time.
        let third = probe.pages.page(2).ok_or(EINVAL)?;
        // SAFETY: The array owns the page, so the page is valid.
        let third = unsafe { bindings::page_folio(third.as_ptr()) };
        {
            let _count = Count::set(third, xchg_folio, TOO_MANY);
            assert_eq!(file.mmap(len, READ, SHARED, 0), Err(ENOMEM));
            let addr = file.mmap(2 * PAGE_SIZE, READ, SHARED, 0)?;
            mm.munmap(addr, 2 * PAGE_SIZE)?;
        }
        let addr = file.mmap(len, READ, SHARED, 0)?;
        mm.munmap(addr, len)
    }

    #[test]
    fn flags_without_a_name() -> Result {
        let all = |flags: Flags| (flags | !flags).as_raw();
        assert_eq!(all(GFP_KERNEL), u32::MAX);
        let known = gfp::known(GFP_KERNEL | !GFP_KERNEL);
        // Flags that are unsafe to pass on: two zones that exclude each other, an allocation that
        // must not fail and may not wait, the emergency reserves. (`__GFP_SKIP_ZERO` exists only
        // with KASAN_HW_TAGS.)
        for bit in [
            bindings::___GFP_DMA_BIT,
            bindings::___GFP_DMA32_BIT,
            bindings::___GFP_NOFAIL_BIT,
            bindings::___GFP_MEMALLOC_BIT,
        ] {
            assert_eq!(known.as_raw() & (1 << bit), 0);
        }
        assert!(known.contains(GFP_KERNEL | GFP_ATOMIC | __GFP_ZERO));
        // The layer passes the other flags to the allocator, which may not wait.
        for order in 0..2 {
            let folio = match Folio::alloc(order, !GFP_KERNEL) {
                Ok(folio) => folio,
                Err(err) => return if err == ENOMEM { Ok(()) } else { Err(err) },
            };
            let mut out = [1; 8];
            folio.read_at(folio.len() - 8, &mut out)?;
            assert_eq!(out, [0; 8]);
        }
        match KernelPages::new(1, !GFP_KERNEL) {
            Err(err) if err != ENOMEM => Err(err),
            _ => Ok(()),
        }
    }
}
