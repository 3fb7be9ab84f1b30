// SPDX-License-Identifier: GPL-2.0

//! Tests of the callbacks of userfaultfd.
//!
//! The cases call the table of a mapping as `mm/userfaultfd.c` does. The selftest `rust_memfile`
//! has user space call it.

use super::{
    filemap::{
        cache,
        count,
        refs, //
    },
    refs::{
        xchg_folio,
        Count,
        TOO_MANY, //
    }, //
};
use crate::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    fs::memory_file::{
        MemoryFile,
        Options, //
    },
    mm::{
        filemap::NewFolio,
        ops::FaultError,
        testing::{
            UserMm,
            READ,
            SHARED,
            WRITE, //
        },
        uffd::{
            AddFolio,
            AddedFolio,
            AllocFolio,
            FillFolio,
            FindFolio,
            FoundFolio,
            RemoveFolio,
            UffdAnswer,
            UffdFault,
            UffdModes,
            UffdOps,
            UffdVma, //
        }, //
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
use core::ptr::NonNull;

const PAGE: u64 = PAGE_SIZE as u64;
const LEN: usize = 4 * PAGE_SIZE;

/// How the callbacks of a file answer, and how often the kernel has called them.
struct Probe {
    /// An error of `alloc_folio`, of `filemap_add` before and after it has added the folio, of
    /// `get_folio_noalloc`, and of `fault`; or 0.
    alloc: Atomic<i32>,
    before: Atomic<i32>,
    after: Atomic<i32>,
    find: Atomic<i32>,
    /// The page offset that the last callback has got.
    index: Atomic<usize>,
    /// The order of what `alloc_folio` allocates.
    order: Atomic<u32>,
    removals: Atomic<i32>,
    faults: Atomic<i32>,
    /// The modes in which the VMA of the last fault was registered.
    raised: Atomic<u32>,
    /// Whether the last fault was a write.
    write: Atomic<u32>,
    /// How `fault` answers.
    answer: Atomic<u32>,
}

const LAYER: u32 = 0;
const FOLIO: u32 = 1;
const ERROR: u32 = 2;
const MISSING: u32 = 3;
const MINOR: u32 = 4;

impl Probe {
    fn new() -> Result<Arc<Self>> {
        let probe = Self {
            alloc: Atomic::new(0),
            before: Atomic::new(0),
            after: Atomic::new(0),
            find: Atomic::new(0),
            index: Atomic::new(0),
            order: Atomic::new(0),
            removals: Atomic::new(0),
            faults: Atomic::new(0),
            raised: Atomic::new(0),
            write: Atomic::new(0),
            answer: Atomic::new(LAYER),
        };
        Ok(Arc::new(probe, GFP_KERNEL)?)
    }
}

/// Outside of the cases, there are no assertions of KUnit.
fn check(is: bool) -> Result {
    is.then_some(()).ok_or(EBADF)
}

fn result(of: &Atomic<i32>) -> Result {
    to_result(of.load(Relaxed))
}

/// A type of file that overrides all callbacks.
struct Probed;

#[vtable]
impl UffdOps for Probed {
    type Data = Arc<Probe>;

    fn can_userfault(vma: &UffdVma<Self>, modes: UffdModes) -> bool {
        vma.is_shared() && !modes.contains(UffdModes::MINOR)
    }

    fn alloc_folio(fill: &AllocFolio<Self>) -> Result<NewFolio> {
        let probe = fill.data();
        result(&probe.alloc)?;
        probe.index.store(fill.index(), Relaxed);
        check(fill.vma().pgoff_at(fill.address()) == Some(fill.index()))?;
        match probe.order.load(Relaxed) {
            0 => fill.alloc(),
            order => fill.cache().alloc(fill.index(), order),
        }
    }

    fn filemap_add<'a>(
        fill: &'a AddFolio<Self>,
        mut folio: FillFolio<'a>,
    ) -> Result<AddedFolio<'a>> {
        let probe = fill.data();
        result(&probe.before)?;
        check(fill.vma().pgoff_at(fill.address()) == Some(fill.index()))?;
        let mut first = [0];
        folio.read_at(0, &mut first)?;
        folio.write_at(1, &first)?;
        let added = fill.add(folio)?;
        check(added.index() == fill.index() && !added.is_mapped())?;
        probe.index.store(fill.index(), Relaxed);
        result(&probe.after)?;
        Ok(added)
    }

    fn filemap_remove(fill: &RemoveFolio<Self>, folio: &AddedFolio<'_>) {
        let probe = fill.data();
        probe.index.store(folio.index(), Relaxed);
        probe.removals.fetch_add(1, Relaxed);
    }

    fn get_folio_noalloc(page: &FindFolio<Self>) -> Result<FoundFolio<'_>> {
        let probe = page.data();
        result(&probe.find)?;
        probe.index.store(page.index(), Relaxed);
        let folio = page.find()?.ok_or(ENOENT)?;
        check(core::ptr::eq(folio.cache(), page.cache()))?;
        Ok(folio)
    }

    fn fault(fault: &UffdFault<Self>) -> Result<UffdAnswer<'_>, FaultError> {
        let probe = fault.data();
        probe.faults.fetch_add(1, Relaxed);
        probe.index.store(fault.index(), Relaxed);
        probe.write.store(u32::from(fault.is_write()), Relaxed);
        probe.raised.store(fault.vma().modes().bits(), Relaxed);
        check(fault.vma().pgoff_at(fault.address()) == Some(fault.index()))?;
        // The kernel copies for user space.
        check(!fault.is_user() && core::ptr::eq(fault.cache(), fault.vma().cache()))?;
        let layer = || fault.leave_to_layer();
        match probe.answer.load(Relaxed) {
            FOLIO => {
                let folio = fault.find_or_add()?;
                folio.write_at(0, b"filled by fault")?;
                Ok(folio.into())
            }
            ERROR => Err(FaultError::SigBus),
            MISSING => Ok(fault.missing().map_or_else(layer, UffdAnswer::from)),
            MINOR => Ok(fault.minor().map_or_else(layer, UffdAnswer::from)),
            _ => Ok(layer()),
        }
    }
}

crate::memory_file_type!(Probed);

/// A type of file that overrides nothing.
struct Simple;

#[vtable]
impl UffdOps for Simple {
    type Data = ();
}

crate::memory_file_type!(Simple);

const ALL: Options = Options::new().userfault(UffdModes::all());

fn probed(options: Options) -> Result<(Arc<Probe>, ARef<MemoryFile<Probed>>)> {
    let probe = Probe::new()?;
    let file = MemoryFile::new(c"rust_mm_test", 4 * PAGE, options, probe.clone())?;
    Ok((probe, file))
}

/// A mapping, whose callbacks the case calls with the mmap lock held.
struct Filler<'a> {
    mm: &'a UserMm,
    addr: usize,
}

impl Filler<'_> {
    /// Calls a function with the VMA and its table.
    fn with<R>(
        &self,
        f: impl FnOnce(*mut bindings::vm_area_struct, &bindings::vm_uffd_ops) -> Result<R>,
    ) -> Result<R> {
        let guard = self.mm.current().mmap_read_lock();
        let vma = guard.vma_lookup(self.addr).ok_or(EFAULT)?.as_ptr();
        // SAFETY: The mmap lock is held. The mapping of a memory file has a table, which exists for
        // as long as the file does.
        let ops = unsafe { &*(*(*vma).vm_ops).uffd_ops };
        f(vma, ops)
    }

    /// Allocates a folio for a page, as C does.
    fn alloc(&self, page: usize) -> Result<NonNull<bindings::folio>> {
        self.with(|vma, ops| {
            let alloc = ops.alloc_folio.ok_or(EINVAL)?;
            // SAFETY: The address is in the VMA, which is locked.
            NonNull::new(unsafe { alloc(vma, self.addr + page * PAGE_SIZE) }).ok_or(ENOMEM)
        })
    }

    /// Fills a folio and adds it; the folio is freed if this fails.
    fn add(&self, page: usize, folio: NonNull<bindings::folio>, data: &[u8]) -> Result {
        // SAFETY: The folio is new, and nothing else has it.
        let new = unsafe { NewFolio::from_raw(folio) }.filled(data)?;
        // The reference remains C's.
        let folio = new.into_raw().as_ptr();
        let added = self.with(|vma, ops| {
            let add = ops.filemap_add.ok_or(EINVAL)?;
            // SAFETY: The folio is from `alloc_folio` and is filled; the address is in the VMA.
            to_result(unsafe { add(folio, vma, self.addr + page * PAGE_SIZE) })
        });
        if added.is_err() {
            // SAFETY: The folio has a reference, which is C's. Its lock is free, as C expects.
            unsafe {
                check(count(folio) == 1 && bindings::folio_trylock(folio))?;
                bindings::folio_unlock(folio);
                bindings::folio_put_saturating(folio);
            }
        }
        added
    }

    /// Fills a page, as C does, but for the mapping of the page.
    fn fill(&self, page: usize, data: &[u8]) -> Result<NonNull<bindings::folio>> {
        let folio = self.alloc(page)?;
        self.add(page, folio, data)?;
        Ok(folio)
    }

    /// Does what C does after it has mapped the page.
    fn finish(&self, folio: NonNull<bindings::folio>) {
        // SAFETY: The folio was added, so it is locked; the reference is the one that C would give
        // to the page table entry.
        unsafe {
            bindings::folio_unlock(folio.as_ptr());
            bindings::folio_put_saturating(folio.as_ptr());
        }
    }

    /// Reverts a fill, as C does if it cannot map the page.
    fn remove(&self, folio: NonNull<bindings::folio>) -> Result {
        self.with(|vma, ops| {
            let remove = ops.filemap_remove.ok_or(EINVAL)?;
            // SAFETY: The folio was added and is locked.
            unsafe { remove(folio.as_ptr(), vma) };
            Ok(())
        })?;
        // SAFETY: The folio has a reference, which is C's. Its lock is free, as C expects.
        unsafe {
            let folio = folio.as_ptr();
            check(count(folio) == 1 && bindings::folio_trylock(folio))?;
            bindings::folio_unlock(folio);
            bindings::folio_put_saturating(folio);
        }
        Ok(())
    }

    /// Returns whether the folio with a page is found for `UFFDIO_CONTINUE`.
    fn find(&self, page: usize) -> Result {
        self.with(|vma, ops| {
            let find = ops.get_folio_noalloc.ok_or(EINVAL)?;
            // SAFETY: The VMA keeps the file, and the file the inode.
            let folio = from_err_ptr(unsafe { find((*(*vma).vm_file).f_inode, page) })?;
            // SAFETY: The folio is locked, with a reference.
            unsafe {
                check(!bindings::folio_trylock(folio))?;
                bindings::folio_unlock(folio);
                bindings::folio_put_saturating(folio);
            }
            Ok(())
        })
    }

    fn can(&self, bits: &[u32]) -> Result<bool> {
        let flags = bits.iter().fold(0, |flags, bit| flags | 1 << bit);
        self.with(|vma, ops| {
            // SAFETY: The VMA is locked.
            Ok(unsafe { ops.can_userfault.ok_or(EINVAL)?(vma, flags) })
        })
    }

    /// Sets flags of the VMA, which then looks as if it were registered.
    fn register(&self, bit: u32, registered: bool) -> Result {
        let guard = self.mm.current().mmap_write_lock();
        let vma = guard.vma_lookup(self.addr).ok_or(EFAULT)?.start_write();
        // SAFETY: The VMA is write-locked.
        unsafe {
            if registered {
                bindings::vm_flags_set(vma.as_ptr(), 1 << bit);
            } else {
                bindings::vm_flags_clear(vma.as_ptr(), 1 << bit);
            }
        }
        Ok(())
    }
}

#[macros::kunit_tests(rust_mm_uffd)]
mod cases {
    use super::*;

    #[test]
    fn fills() -> Result {
        let mm = UserMm::attach()?;
        let (probe, file) = probed(ALL)?;
        let user = mm.file(file.clone().into());
        let addr = user.mmap(LEN - PAGE_SIZE, READ | WRITE, SHARED, 1)?;
        let filler = Filler { mm: &mm, addr };

        let folio = filler.fill(1, b"user")?;
        assert_eq!(probe.index.load(Relaxed), 2);
        assert!(cache(&file).try_get_locked(2).is_err_and(|e| e == EAGAIN));
        filler.finish(folio);
        {
            let folio = cache(&file).get_locked(2)?.ok_or(EFAULT)?;
            assert_eq!((refs(&folio), folio.is_dirty()), (2, true));
        }
        // The callback has written the second byte.
        assert_eq!(mm.read(addr + PAGE_SIZE)?, *b"uuer");

        let folio = filler.alloc(1)?;
        assert_eq!(filler.add(1, folio, b"x"), Err(EEXIST));
        assert_eq!(file.nr_pages(), 1);
        assert_eq!(probe.removals.load(Relaxed), 0);
        Ok(())
    }

    #[test]
    fn fills_that_fail() -> Result {
        let mm = UserMm::attach()?;
        let (probe, file) = probed(ALL.huge())?;
        let addr = mm.file(file.clone().into()).mmap(LEN, READ, SHARED, 0)?;
        let filler = Filler { mm: &mm, addr };

        probe.alloc.store(EPERM.to_errno(), Relaxed);
        assert_eq!(filler.alloc(0), Err(ENOMEM));
        probe.alloc.store(0, Relaxed);
        #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
        {
            // More than the page that C fills.
            probe.order.store(2, Relaxed);
            assert_eq!(filler.alloc(0), Err(ENOMEM));
            probe.order.store(0, Relaxed);
        }
        probe.before.store(EPERM.to_errno(), Relaxed);
        assert_eq!(filler.fill(0, b"x"), Err(EPERM));
        probe.before.store(0, Relaxed);
        // The folio is removed again.
        probe.after.store(EDOM.to_errno(), Relaxed);
        assert_eq!(filler.fill(0, b"x"), Err(EDOM));
        assert_eq!(file.nr_pages(), 0);
        probe.after.store(0, Relaxed);
        assert_eq!(probe.removals.load(Relaxed), 0);

        let folio = filler.fill(3, b"x")?;
        assert_eq!(file.nr_pages(), 1);
        filler.remove(folio)?;
        assert_eq!(probe.removals.load(Relaxed), 1);
        assert_eq!((probe.index.load(Relaxed), file.nr_pages()), (3, 0));
        assert_eq!(mm.read(addr + 3 * PAGE_SIZE)?, [0]);
        Ok(())
    }

    /// The file becomes smaller between the two steps of a fill.
    #[test]
    fn truncated_while_it_is_filled() -> Result {
        let mm = UserMm::attach()?;
        let (_, file) = probed(ALL)?;
        let addr = mm.file(file.clone().into()).mmap(LEN, READ, SHARED, 0)?;
        let filler = Filler { mm: &mm, addr };
        let folio = filler.alloc(3)?;
        // SAFETY: The file is open.
        to_result(unsafe {
            bindings::vfs_truncate(
                &raw const (*file.file().as_ptr()).__bindgen_anon_1.f_path,
                PAGE as i64,
            )
        })?;
        assert_eq!(filler.add(3, folio, b"x"), Err(EFAULT));
        assert_eq!(filler.alloc(3), Err(ENOMEM));
        assert_eq!(file.nr_pages(), 0);
        assert_eq!(filler.find(3), Err(EFAULT));
        Ok(())
    }

    #[test]
    fn finds() -> Result {
        let mm = UserMm::attach()?;
        let (probe, file) = probed(ALL)?;
        let addr = mm.file(file.clone().into()).mmap(LEN, READ, SHARED, 0)?;
        let filler = Filler { mm: &mm, addr };
        assert_eq!(filler.find(1), Err(ENOENT));
        assert_eq!(file.nr_pages(), 0);
        file.write_at(PAGE, b"page")?;
        filler.find(1)?;
        assert_eq!(probe.index.load(Relaxed), 1);
        assert_eq!(refs(&cache(&file).get_locked(1)?.ok_or(EFAULT)?), 2);
        assert_eq!(filler.find(4), Err(EFAULT));
        {
            let folio = cache(&file).get(1).ok_or(EFAULT)?;
            let _count = Count::set(folio.as_ptr(), xchg_folio, TOO_MANY);
            assert_eq!(filler.find(1), Err(EFAULT));
        }
        filler.find(1)?;
        probe.find.store(EPERM.to_errno(), Relaxed);
        assert_eq!(filler.find(1), Err(EPERM));
        Ok(())
    }

    #[test]
    fn modes() -> Result {
        const MISSING: u32 = bindings::VMA_UFFD_MISSING_BIT;
        const MINOR: u32 = bindings::VMA_UFFD_MINOR_BIT;
        const WP: u32 = bindings::VMA_UFFD_WP_BIT;
        let mm = UserMm::attach()?;

        // The driver and the file both have a say.
        let (_, file) = probed(Options::new().userfault(UffdModes::MISSING | UffdModes::MINOR))?;
        let addr = mm.file(file.into()).mmap(LEN, READ, SHARED, 0)?;
        let filler = Filler { mm: &mm, addr };
        assert!(filler.can(&[MISSING])? && filler.can(&[])?);
        assert!(!filler.can(&[WP])? && !filler.can(&[MISSING, WP])?);
        assert!(!filler.can(&[MISSING, MINOR])?);

        // Without a callback, the file decides.
        let options = Options::new().userfault(UffdModes::MISSING | UffdModes::WRITE_PROTECT);
        let file = MemoryFile::<Simple>::new(c"rust_mm_test", PAGE, options, ())?;
        let addr = mm.file(file.into()).mmap(LEN, READ, SHARED, 0)?;
        let filler = Filler { mm: &mm, addr };
        assert!(filler.can(&[MISSING, WP])? && !filler.can(&[MINOR])?);
        Ok(())
    }

    #[test]
    fn of_the_layer() -> Result {
        let mm = UserMm::attach()?;
        let file = MemoryFile::<Simple>::new(c"rust_mm_test", 4 * PAGE, ALL, ())?;
        let addr = mm.file(file.clone().into()).mmap(LEN, READ, SHARED, 0)?;
        let filler = Filler { mm: &mm, addr };
        let folio = filler.fill(2, b"user")?;
        filler.finish(folio);
        assert_eq!(mm.read(addr + 2 * PAGE_SIZE)?, *b"user");
        let folio = filler.alloc(2)?;
        assert_eq!(filler.add(2, folio, b"x"), Err(EEXIST));
        filler.find(2)?;
        {
            let folio = cache(&file).get(2).ok_or(EFAULT)?;
            // No processor has a reference to it, which it would drop while the count is set.
            //
            // SAFETY: `folio` has a reference.
            unsafe { count(folio.as_ptr()) };
            let _count = Count::set(folio.as_ptr(), xchg_folio, TOO_MANY);
            assert_eq!(filler.find(2), Err(ENOENT));
        }
        assert!(filler.find(1).is_err());
        let folio = filler.fill(1, b"x")?;
        filler.remove(folio)?;
        assert_eq!(file.nr_pages(), 1);
        // A page past the end. Nothing else changes the size of this file.
        let past_end = cache(&file).add_past_end(cache(&file).alloc(0, 0)?.zeroed(), 4);
        drop(past_end.map_err(|(_, e)| e)?);
        assert_eq!(filler.find(4), Err(ENOENT));
        Ok(())
    }

    #[test]
    fn faults() -> Result {
        let mm = UserMm::attach()?;
        let (probe, file) = probed(ALL)?;
        let addr = mm
            .file(file.clone().into())
            .mmap(LEN + PAGE_SIZE, READ, SHARED, 0)?;

        assert_eq!(mm.read(addr + 2 * PAGE_SIZE)?, [0]);
        assert_eq!(
            (probe.faults.load(Relaxed), probe.index.load(Relaxed)),
            (1, 2)
        );
        probe.answer.store(FOLIO, Relaxed);
        assert_eq!(mm.read(addr)?, *b"filled by fault");
        assert_eq!(refs(&cache(&file).get_locked(0)?.ok_or(EFAULT)?), 3);
        probe.answer.store(ERROR, Relaxed);
        assert_eq!(mm.read::<1>(addr + 3 * PAGE_SIZE), Err(EFAULT));
        // Past the end of the file.
        for answer in [LAYER, FOLIO, MISSING] {
            probe.answer.store(answer, Relaxed);
            assert_eq!(mm.read::<1>(addr + LEN), Err(EFAULT));
        }
        mm.munmap(addr, LEN + PAGE_SIZE)?;
        assert_eq!(refs(&cache(&file).get_locked(0)?.ok_or(EFAULT)?), 2);
        Ok(())
    }

    /// Without a userfaultfd, the kernel ends a fault that is raised with SIGBUS.
    #[test]
    fn raised() -> Result {
        const MISSING_BIT: u32 = bindings::VMA_UFFD_MISSING_BIT;
        const MINOR_BIT: u32 = bindings::VMA_UFFD_MINOR_BIT;
        let mm = UserMm::attach()?;
        let (probe, file) = probed(ALL)?;
        let user = mm.file(file.clone().into());
        let addr = user.mmap(LEN, READ | WRITE, SHARED, 0)?;
        let filler = Filler { mm: &mm, addr };
        probe.answer.store(MISSING, Relaxed);
        // The VMA is not registered: the driver cannot raise the fault.
        assert_eq!(mm.read(addr)?, [0]);
        assert_eq!(
            (probe.raised.load(Relaxed), probe.write.load(Relaxed)),
            (0, 0)
        );

        // Writes, since a read maps what is in the page cache next to it.
        filler.register(MISSING_BIT, true)?;
        assert_eq!(mm.write(addr + PAGE_SIZE, b"x"), Err(EFAULT));
        assert_eq!(
            (probe.raised.load(Relaxed), probe.write.load(Relaxed)),
            (UffdModes::MISSING.bits(), 1)
        );
        assert_eq!((probe.faults.load(Relaxed), file.nr_pages()), (2, 1));
        // The layer would map this page.
        file.write_at(2 * PAGE, b"page")?;
        assert_eq!(mm.write(addr + 2 * PAGE_SIZE, b"x"), Err(EFAULT));

        // The layer raises it as well.
        probe.answer.store(LAYER, Relaxed);
        assert_eq!(mm.write(addr + PAGE_SIZE, b"x"), Err(EFAULT));
        assert_eq!(file.nr_pages(), 2);
        filler.register(MISSING_BIT, false)?;
        filler.register(MINOR_BIT, true)?;
        assert_eq!(mm.read::<1>(addr + 2 * PAGE_SIZE), Err(EFAULT));
        // That is not a minor fault: the page is missing.
        assert_eq!(mm.read(addr + PAGE_SIZE)?, [0]);
        // The driver raises it nevertheless.
        probe.answer.store(MINOR, Relaxed);
        assert_eq!(mm.read::<1>(addr + 3 * PAGE_SIZE), Err(EFAULT));
        assert_eq!(file.nr_pages(), 3);
        filler.register(MINOR_BIT, false)?;
        assert_eq!(mm.read(addr + 2 * PAGE_SIZE)?, *b"page");
        assert_eq!(mm.read(addr + 3 * PAGE_SIZE)?, [0]);
        Ok(())
    }
}
