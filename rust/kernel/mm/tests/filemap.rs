// SPDX-License-Identifier: GPL-2.0

//! Tests of page caches and their folios, with those of memory files.

use super::{
    refs::{
        xchg_folio,
        Count, //
    },
    threads::elsewhere, //
};
use crate::{
    bindings,
    fs::memory_file::{
        MemoryFile,
        Options, //
    },
    mm::{
        filemap::{
            LockedCacheFolio,
            PageCache, //
        },
        memory::Folio,
        testing::{
            UserMm,
            PRIVATE,
            READ,
            SHARED,
            WRITE, //
        },
        uffd::UffdOps, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::aref::ARef,
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

const PAGE: u64 = PAGE_SIZE as u64;

/// A type of memory file that overrides nothing.
struct Simple;

#[vtable]
impl UffdOps for Simple {
    type Data = ();
}

crate::memory_file_type!(Simple);

fn file(pages: u64, options: Options) -> Result<ARef<MemoryFile<Simple>>> {
    MemoryFile::new(c"rust_mm_test", pages * PAGE, options, ())
}

/// Returns the page cache of a memory file.
pub(super) fn cache<T: UffdOps>(file: &MemoryFile<T>) -> &PageCache {
    // SAFETY: The file has a reference to its inode, and the page cache of a memory file has the
    // invariants of a `PageCache`.
    unsafe { PageCache::from_raw((*file.file().as_ptr()).f_mapping) }
}

/// Returns the number of references to a folio, without those of processors that have yet to put it
/// on the LRU list.
///
/// # Safety
///
/// The caller must have a reference.
pub(super) unsafe fn count(folio: *mut bindings::folio) -> usize {
    // SAFETY: By the safety requirements of this function, the folio has a reference. The cases may
    // sleep.
    unsafe {
        bindings::lru_add_drain_all();
        Folio::from_raw(folio).ref_count()
    }
}

/// Returns the number of references to a folio.
pub(super) fn refs(folio: &LockedCacheFolio<'_>) -> usize {
    // SAFETY: The folio has a reference while it is borrowed.
    unsafe { count(folio.as_ptr()) }
}

/// Returns the bytes at the start of a folio.
fn start<const N: usize>(folio: &LockedCacheFolio<'_>) -> Result<[u8; N]> {
    let mut out = [0xff; N];
    folio.read_at(0, &mut out)?;
    Ok(out)
}

#[macros::kunit_tests(rust_mm_filemap)]
mod cases {
    use super::*;

    #[test]
    fn states() -> Result {
        let file = file(4, Options::new())?;
        let cache = cache(&file);
        assert_eq!((cache.size(), cache.size_in_pages()), (4 * PAGE, 4));
        assert!(cache.get(1).is_none() && cache.get_locked(1)?.is_none());

        let folio = cache.add(cache.alloc(0, 0)?.filled(b"abc")?, 1);
        let folio = folio.map_err(|(_, e)| e)?;
        assert_eq!((folio.index(), folio.order(), folio.nr_pages()), (1, 0, 1));
        assert_eq!(folio.len(), PAGE_SIZE);
        assert_eq!(folio.offset_of(1), Some(0));
        assert_eq!((folio.offset_of(0), folio.offset_of(2)), (None, None));
        assert_eq!(start(&folio)?, *b"abc\0");
        // One reference is that of the page cache.
        assert_eq!((refs(&folio), cache.nr_pages()), (2, 1));
        assert!(!folio.is_mapped());
        assert!(core::ptr::eq(folio.cache(), cache));

        folio.write_at(PAGE_SIZE - 1, b"z")?;
        folio.zero(1, 1)?;
        assert_eq!(start(&folio)?, *b"a\0c\0");
        assert_eq!(folio.write_at(PAGE_SIZE - 1, b"xy"), Err(EINVAL));
        assert_eq!(folio.zero(PAGE_SIZE, 1), Err(EINVAL));
        assert_eq!(folio.read_at(usize::MAX, &mut [0; 2]), Err(EINVAL));

        let unlocked = folio.unlock();
        assert!(unlocked.is_cached());
        let removed = unlocked.lock().map_err(|(_, e)| e)?.remove();
        assert_eq!(cache.nr_pages(), 0);
        let mut last = [0];
        removed.read_at(removed.len() - 1, &mut last)?;
        assert_eq!(last, *b"z");
        assert!(cache.get(1).is_none());
        Ok(())
    }

    #[test]
    fn additions_that_fail() -> Result {
        let file = file(2, Options::new())?;
        let cache = cache(&file);
        drop(cache.get_or_add(0)?);

        // The folio comes back, as it was, and can be added elsewhere.
        let folio = cache.alloc(0, 0)?.filled(b"kept")?;
        let (folio, e) = cache.add(folio, 0).err().ok_or(EINVAL)?;
        assert_eq!(e, EEXIST);
        let (mut folio, e) = cache.add(folio, 2).err().ok_or(EINVAL)?;
        assert_eq!(e, EFAULT);
        folio.write_at(4, b"!")?;
        let (folio, e) = cache.add(folio, usize::MAX).err().ok_or(EINVAL)?;
        assert_eq!((e, cache.nr_pages()), (EFAULT, 1));
        let mut out = [0; 6];
        folio.read_at(0, &mut out)?;
        assert_eq!(out, *b"kept!\0");
        let added = cache.add(folio, 1).map_err(|(_, e)| e)?;
        assert_eq!(start(&added)?, *b"kept!\0");
        drop(added);

        assert!(cache.get_or_add(2).is_err_and(|e| e == EFAULT));
        // The same if the file becomes smaller between the two looks at the size.
        for (index, error) in [(2, EFAULT), (0, EEXIST)] {
            let folio = cache.alloc(0, 0)?.filled(b"late")?;
            assert!(cache.fill(folio, index).is_err_and(|e| e == error));
            assert_eq!((cache.nr_pages(), cache.get(2).is_none()), (2, true));
        }
        // No folio of two pages in this file, and none that is larger than any.
        assert!(cache.alloc(0, 1).is_err_and(|e| e == EINVAL));
        assert!(cache.alloc(0, u32::MAX).is_err_and(|e| e == EINVAL));
        assert!(cache.alloc(0, 0)?.filled(&[1; PAGE_SIZE]).is_ok());
        let mut long = KVec::from_elem(0u8, PAGE_SIZE + 1, GFP_KERNEL)?;
        assert!(cache.alloc(0, 0)?.filled(&long).is_err_and(|e| e == EINVAL));
        assert_eq!(file.read_at(0, &mut long)?, PAGE_SIZE + 1);
        assert_eq!(long[PAGE_SIZE], b'k');
        Ok(())
    }

    #[test]
    fn locked_once() -> Result {
        let file = file(1, Options::new())?;
        let cache = cache(&file);
        let folio = cache.get_or_add(0)?;
        assert!(cache.try_get_locked(0).is_err_and(|e| e == EAGAIN));
        let (second, e) = cache.get(0).ok_or(EFAULT)?.try_lock().err().ok_or(EINVAL)?;
        assert_eq!((e, refs(&folio)), (EAGAIN, 3));
        drop(folio);
        let folio = second.try_lock().map_err(|(_, e)| e)?;
        assert_eq!(refs(&folio), 2);
        drop(folio);
        assert!(cache.try_get_locked(0)?.is_some());
        assert!(cache.try_get_locked(1)?.is_none());
        Ok(())
    }

    #[test]
    fn gone_when_it_is_locked() -> Result {
        let file = file(2, Options::new())?;
        let cache = cache(&file);
        cache.get_or_add(1)?.write_at(0, b"old")?;
        let (first, second) = (cache.get(1).ok_or(EFAULT)?, cache.get(1).ok_or(EFAULT)?);
        file.punch_hole(PAGE..2 * PAGE)?;
        assert!(!first.is_cached());
        let (first, e) = first.lock().err().ok_or(EINVAL)?;
        assert_eq!(e, ENOENT);
        // Another folio in its place does not make the old one come back.
        cache.get_or_add(1)?.write_at(0, b"new")?;
        assert!(first.try_lock().is_err_and(|(_, e)| e == ENOENT));
        assert!(second.lock().is_err_and(|(_, e)| e == ENOENT));
        assert_eq!(start(&cache.get_or_add(1)?)?, *b"new");
        Ok(())
    }

    /// What is locked stays in the page cache: a thread that punches a hole waits.
    #[test]
    fn holes_wait_for_the_lock() -> Result {
        let file = file(2, Options::new())?;
        let cache = cache(&file);
        let first = cache.get_or_add(0)?;
        first.write_at(0, b"locked")?;
        drop(cache.get_or_add(1)?);
        let theirs = file.clone();
        let hole = elsewhere(move || theirs.punch_hole(0..2 * PAGE))?;
        // The other thread removes the second page only if it has removed the first one.
        for _ in 0..10 {
            // SAFETY: The case may sleep.
            unsafe { bindings::msleep(1) };
            assert!(cache.get(0).ok_or(EFAULT)?.is_cached());
        }
        assert_eq!(start(&first)?, *b"locked");
        drop(first);
        hole.wait()?;
        assert_eq!(cache.nr_pages(), 0);
        Ok(())
    }

    #[test]
    fn dirty() -> Result {
        let unevictable = file(1, Options::new())?;
        assert!(cache(&unevictable).get_or_add(0)?.is_dirty());
        let file = file(4, Options::new().evictable())?;
        let cache = cache(&file);
        let mm = UserMm::attach()?;
        let addr = mm
            .file(file.clone().into())
            .mmap(4 * PAGE_SIZE, READ | WRITE, SHARED, 0)?;

        let zeroes = cache.get_or_add(0)?;
        assert!(!zeroes.is_dirty());
        zeroes.write_at(0, b"x")?;
        assert!(zeroes.is_dirty());
        drop(zeroes);
        let filled = cache
            .add(cache.alloc(0, 0)?.filled(b"x")?, 1)
            .map_err(|(_, e)| e)?;
        assert!(filled.is_dirty());
        drop(filled);
        let mut zeroes = cache.alloc(0, 0)?.zeroed();
        zeroes.write_at(0, b"x")?;
        let written = cache.add(zeroes, 2).map_err(|(_, e)| e)?;
        assert!(written.is_dirty());
        drop(written);
        // The kernel learns of what user space writes when it unmaps the page.
        assert_eq!(mm.read(addr + 3 * PAGE_SIZE)?, [0]);
        assert!(!cache.get_or_add(3)?.is_dirty());
        mm.write(addr + 3 * PAGE_SIZE, b"x")?;
        mm.munmap(addr, 4 * PAGE_SIZE)?;
        assert!(cache.get_or_add(3)?.is_dirty());
        Ok(())
    }

    #[test]
    fn removed_from_mappings() -> Result {
        let file = file(2, Options::new())?;
        let cache = cache(&file);
        let mm = UserMm::attach()?;
        let user = mm.file(file.clone().into());
        let addr = user.mmap(2 * PAGE_SIZE, READ | WRITE, SHARED, 0)?;
        let other = user.mmap(PAGE_SIZE, READ, SHARED, 1)?;
        let private = user.mmap(PAGE_SIZE, READ | WRITE, PRIVATE, 1)?;
        mm.write(addr + PAGE_SIZE, b"page")?;
        assert_eq!(mm.read(other)?, *b"page");
        assert_eq!(mm.read(private)?, *b"page");

        let folio = cache.get_locked(1)?.ok_or(EFAULT)?;
        assert!(folio.is_mapped());
        let removed = folio.remove();
        assert_eq!(cache.nr_pages(), 0);
        // Each mapping faults in a new page.
        for at in [addr + PAGE_SIZE, other, private] {
            assert_eq!(mm.read(at)?, [0; 4]);
        }
        let mut out = [0; 4];
        removed.read_at(0, &mut out)?;
        assert_eq!(out, *b"page");

        // A copy-on-write page remains mapped.
        mm.write(private, b"copy")?;
        drop(cache.get_locked(1)?.ok_or(EFAULT)?.remove());
        assert_eq!(mm.read(private)?, *b"copy");
        assert_eq!(mm.read(other)?, [0; 4]);
        Ok(())
    }

    /// A folio gets bytes of user space, and nothing of what was in the memory before.
    #[test]
    fn filled_from_user() -> Result {
        let file = file(2, Options::new())?;
        let cache = cache(&file);
        let mm = UserMm::attach()?;
        let addr = mm
            .file(file.clone().into())
            .mmap(PAGE_SIZE, READ | WRITE, SHARED, 0)?;
        mm.write(addr, b"from user space")?;
        let reader = |len| UserSlice::new(UserPtr::from_addr(addr), len).reader();

        // This memory is likely to be what is allocated next.
        drop(cache.alloc(0, 0)?.filled(&[0xaa; PAGE_SIZE])?);
        let folio = cache.alloc(0, 0)?.filled_from_user(&mut reader(15), 9)?;
        let (mut first, mut last) = ([0xff; 10], [0xff]);
        folio.read_at(0, &mut first)?;
        folio.read_at(PAGE_SIZE - 1, &mut last)?;
        assert_eq!((&first, &last), (b"from user\0", b"\0"));
        assert!(cache.add(folio, 1).map_err(|(_, e)| e)?.is_dirty());

        let fill = |from, len| cache.alloc(0, 0)?.filled_from_user(&mut reader(from), len);
        // The slice ends before that, the folio does, and nothing is mapped.
        assert_eq!(fill(4, 5).err(), Some(EFAULT));
        assert_eq!(fill(PAGE_SIZE + 1, PAGE_SIZE + 1).err(), Some(EINVAL));
        mm.munmap(addr, PAGE_SIZE)?;
        assert_eq!(fill(4, 4).err(), Some(EFAULT));
        Ok(())
    }

    /// A folio that a writer changes while it has the lock, and user space through a mapping.
    #[test]
    fn shared_with_user_space() -> Result {
        let file = file(1, Options::new())?;
        let mm = UserMm::attach()?;
        let addr = mm
            .file(file.clone().into())
            .mmap(PAGE_SIZE, READ | WRITE, SHARED, 0)?;
        mm.write(addr, b"from user space")?;
        let folio = cache(&file).get_locked(0)?.ok_or(EFAULT)?;
        assert_eq!(start(&folio)?, *b"from user space");
        folio.write_at(0, b"FROM")?;
        assert_eq!(mm.read(addr)?, *b"FROM user");
        Ok(())
    }

    #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
    #[test]
    fn large() -> Result {
        let file = file(16, Options::new().huge())?;
        let cache = cache(&file);
        let folio = cache.alloc(0, 2)?.filled(b"large")?;
        assert_eq!(
            (folio.order(), folio.nr_pages(), folio.len()),
            (2, 4, 4 * PAGE_SIZE)
        );
        // Not at a multiple of its size.
        let (folio, e) = cache.add(folio, 5).err().ok_or(EINVAL)?;
        assert_eq!(e, EINVAL);
        let (folio, e) = cache.add(folio, 16).err().ok_or(EINVAL)?;
        assert_eq!(e, EFAULT);
        let folio = cache.add(folio, 4).map_err(|(_, e)| e)?;
        assert_eq!((folio.index(), cache.nr_pages(), refs(&folio)), (4, 4, 5));
        assert_eq!(folio.offset_of(7), Some(3 * PAGE_SIZE));
        assert_eq!((folio.offset_of(3), folio.offset_of(8)), (None, None));
        folio.write_at(3 * PAGE_SIZE, b"end")?;
        drop(folio);

        // Each of its pages finds it.
        let folio = cache.get_locked(7)?.ok_or(EFAULT)?;
        assert_eq!(folio.index(), 4);
        drop(folio);
        let mm = UserMm::attach()?;
        let addr = mm
            .file(file.clone().into())
            .mmap(16 * PAGE_SIZE, READ, SHARED, 0)?;
        assert_eq!(mm.read(addr + 7 * PAGE_SIZE)?, *b"end");
        let (_, e) = cache
            .add(cache.alloc(0, 0)?.zeroed(), 6)
            .err()
            .ok_or(EINVAL)?;
        assert_eq!(e, EEXIST);
        drop(cache.get_locked(5)?.ok_or(EFAULT)?.remove());
        assert!(cache.get(4).is_none() && cache.get(7).is_none());
        assert_eq!(mm.read(addr + 7 * PAGE_SIZE)?, [0; 3]);
        Ok(())
    }

    /// References that Rust code takes saturate, as those to other folios do.
    #[test]
    fn many_references() -> Result {
        let file = file(1, Options::new())?;
        let cache = cache(&file);
        let folio = cache.get_or_add(0)?;
        assert_eq!(refs(&folio), 2);
        {
            let count = Count::set(folio.as_ptr(), xchg_folio, 0x6000_0000);
            // Already when the reference is taken: it may never be dropped.
            let second = cache.get(0).ok_or(EFAULT)?;
            assert_eq!(count.xchg(0x6000_0000) as u32, 0xb000_0000);
            drop(second);
            assert_eq!(count.xchg(0x6000_0000) as u32, 0xb000_0000);
        }
        assert_eq!(refs(&folio), 2);
        Ok(())
    }
}
