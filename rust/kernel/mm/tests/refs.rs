// SPDX-License-Identifier: GPL-2.0

//! Reference counts near their limits.
//!
//! Nobody can take that many references in a test, so the count is set.

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

/// The first count with which a folio is not mapped once more.
pub(super) const TOO_MANY: i32 = 1 << 30;
/// From where on the count of a folio saturates, and where it is then.
const FOLIO: (i32, i32) = (0x6000_0000, 0xb000_0000_u32 as i32);
/// The same of an mm: the kernel must not see what is not positive.
const MM: (i32, i32) = (0x4000_0000, 0x6000_0000);

/// A count that is set to something for a time.
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

    /// Returns what it is now, which becomes `count`.
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
    // SAFETY: The cases keep the folio, and set its count back before they drop what they have.
    unsafe { bindings::rust_mm_test_xchg_folio_refs(*folio, count) }
}

fn xchg_mm_count(mm: &*mut bindings::mm_struct, count: i32) -> i32 {
    // SAFETY: The cases use the current mm, and set its count back.
    unsafe { bindings::rust_mm_test_xchg_mm_count(*mm, count) }
}

fn xchg_mm_users(mm: &*mut bindings::mm_struct, count: i32) -> i32 {
    // SAFETY: The cases use the current mm, and set its count back.
    unsafe { bindings::rust_mm_test_xchg_mm_users(*mm, count) }
}

/// Clones and drops near the limit, and looks at the count.
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
    // What is below is counted.
    count.xchg(from - 2);
    let one = clone();
    is(from - 1)?;
    drop(one);
    is(from - 2)?;
    // Who counts next sees that it is there.
    count.xchg(from - 1);
    let one = clone();
    let two = clone();
    is(saturated)?;
    // Whatever is dropped, it stays.
    drop(one);
    drop(two);
    is(saturated)?;
    // Also if C has counted on without a look, up to where one more would be zero.
    for counted in [from, i32::MAX, i32::MIN, -1] {
        count.xchg(counted);
        drop(clone());
        is(saturated)?;
    }
    Ok(())
}

/// How a fault is answered.
#[derive(Clone, Copy)]
enum Way {
    Page,
    LockedPage,
    InsertPage,
    /// By fault-around, if it can be.
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
        // The page table is there, which fault-around needs.
        mm.read::<1>(addr)?;
        for way in [Way::Page, Way::LockedPage, Way::InsertPage, Way::Around] {
            refs.way.store(way as i32, Relaxed);
            {
                let count = Count::set(refs.folio.as_ptr(), xchg_folio, TOO_MANY);
                assert_eq!(mm.read::<1>(addr + PAGE_SIZE), Err(EFAULT));
                assert_eq!(mm.write(addr + PAGE_SIZE, b"x"), Err(EFAULT));
                // Nothing has been kept of the tries.
                assert_eq!(count.xchg(-1), TOO_MANY);
                assert_eq!(mm.read::<1>(addr + PAGE_SIZE), Err(EFAULT));
            }
            assert!(LockedFolio::try_new(refs.folio.clone()).is_ok());
            assert_eq!(refs.folio.ref_count(), 2);
        }
        // One less is fine.
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
                // A reference that the handler has for itself counts, too.
                TOO_MANY - 2,
            );
            mm.read::<1>(addr + page * PAGE_SIZE)?;
            let mapped = count.xchg(0) - (TOO_MANY - 2);
            // Fault-around stops where there is one too many.
            assert!(mapped == 1 || matches!(way, Way::Around) && mapped == 2);
            let calls = i32::from(!matches!(way, Way::Around));
            assert!(refs.faults.load(Relaxed) - faults <= calls + 1);
            drop(count);
            // What is mapped has its reference.
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
        // The second of two.
        let second = pages.page(1).ok_or(EINVAL)?;
        // SAFETY: The array owns the page.
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
            }
            vma.insert_pages(addr, pages.slice(0, 2)?)?;
            vma.insert_page(addr + 2 * PAGE_SIZE, &folio, 0)?;
        }
        mm.munmap(addr, len)?;
        assert_eq!(folio.ref_count(), 1);

        // Nor when the mapping is made.
        let third = probe.pages.page(2).ok_or(EINVAL)?;
        // SAFETY: The array owns the page.
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
        // What breaks a promise: two zones that exclude each other, an allocation that must not fail
        // and may not wait, the last reserves. (`__GFP_SKIP_ZERO` is there with KASAN_HW_TAGS alone.)
        for bit in [
            bindings::___GFP_DMA_BIT,
            bindings::___GFP_DMA32_BIT,
            bindings::___GFP_NOFAIL_BIT,
            bindings::___GFP_MEMALLOC_BIT,
        ] {
            assert_eq!(known.as_raw() & (1 << bit), 0);
        }
        assert!(known.contains(GFP_KERNEL | GFP_ATOMIC | __GFP_ZERO));
        // The allocator is asked for what is left, and may not wait.
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
