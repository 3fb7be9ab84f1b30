// SPDX-License-Identifier: GPL-2.0

//! Tests of memory files.
//!
//! What needs system calls or userfaultfd is tested by the selftests `rust_memfile`.

use crate::{
    bindings,
    error::to_result,
    fs::{
        anon_inode,
        file::flags::O_RDWR,
        memory_file::{
            Memory,
            MemoryFile,
            Options,
            Seals, //
        },
        File,
        FileOperations, //
    },
    mm::{
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
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    }, //
};

const PAGE: u64 = PAGE_SIZE as u64;

#[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
use super::threads::elsewhere;
use super::{
    filemap::{
        cache,
        count, //
    },
    lock::signals::while_dying,
    refs::{
        xchg_folio,
        Count,
        TOO_MANY, //
    }, //
};

/// The data of a file, which counts how often it is dropped.
struct Counter(Arc<Atomic<i32>>);

impl Drop for Counter {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// A type of memory file with data.
struct Counted;

#[vtable]
impl UffdOps for Counted {
    type Data = KBox<Counter>;
}

crate::memory_file_type!(Counted);

/// A type of memory file without data.
struct Simple;

#[vtable]
impl UffdOps for Simple {
    type Data = ();
}

crate::memory_file_type!(Simple);

/// Another one, with the same content.
struct Other;

#[vtable]
impl UffdOps for Other {
    type Data = ();
}

crate::memory_file_type!(Other);

/// A file that is no memory file.
struct Bare;

#[vtable]
impl FileOperations for Bare {
    type Ptr = KBox<Self>;
}

fn make(pages: u64, options: Options) -> Result<ARef<MemoryFile<Simple>>> {
    MemoryFile::new(c"rust_mm_test", pages * PAGE, options, ())
}

/// Returns the bytes at a position.
fn bytes<const N: usize>(file: &MemoryFile<Simple>, pos: u64) -> Result<[u8; N]> {
    let mut out = [0xff; N];
    assert_eq!(file.read_at(pos, &mut out)?, N);
    Ok(out)
}

fn fallocate(file: &File, mode: u32, start: u64, len: u64) -> Result {
    // SAFETY: The file is open.
    to_result(unsafe {
        bindings::vfs_fallocate(file.as_ptr(), mode as c_int, start as i64, len as i64)
    })
}

fn seek(file: &File, offset: u64, whence: u32) -> i64 {
    // SAFETY: The file is open.
    unsafe { bindings::vfs_llseek(file.as_ptr(), offset as i64, whence as c_int) }
}

fn truncate(file: &File, size: u64) -> Result {
    // SAFETY: The file is open, so it has its path.
    to_result(unsafe {
        let path = &raw const (*file.as_ptr()).__bindgen_anon_1.f_path;
        bindings::vfs_truncate(path, size as i64)
    })
}

/// Drops from the page cache what reclaim may drop.
fn reclaim(file: &MemoryFile<Simple>) {
    // SAFETY: The function has no requirements.
    unsafe { bindings::lru_add_drain_all() };
    // SAFETY: The file is open.
    unsafe { bindings::invalidate_mapping_pages(cache(file).as_ptr(), 0, usize::MAX) };
}

/// Frees a page that is not zero, which is likely to be the next that is allocated.
fn soil(file: &MemoryFile<Simple>) -> Result {
    drop(cache(file).alloc(0, 0)?.filled(&[0xaa; PAGE_SIZE])?);
    Ok(())
}

/// Returns how many bytes of a page are not zero.
fn soiled(file: &MemoryFile<Simple>, page: u64) -> Result<usize> {
    let mut out = KVec::from_elem(0xffu8, PAGE_SIZE, GFP_KERNEL)?;
    file.read_at(page * PAGE, &mut out)?;
    Ok(out.iter().filter(|&&byte| byte != 0).count())
}

/// Returns how many pages the kernel counts as dirty.
#[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
fn dirty_pages() -> i64 {
    const INDEX: usize = bindings::node_stat_item_NR_FILE_DIRTY as usize;
    // SAFETY: The counter is a static that other threads write at the same time.
    unsafe { (&raw const bindings::vm_node_stat[INDEX].counter).read_volatile() }
}

#[kunit_tests(rust_mm_memory_file)]
mod cases {
    use super::*;

    #[test]
    fn contents() -> Result {
        let file = make(3, Options::new())?;
        assert_eq!((file.size(), file.nr_pages()), (3 * PAGE, 0));
        // A hole is read, and remains one.
        assert_eq!(bytes(&file, PAGE - 1)?, [0; 2]);
        assert_eq!(file.nr_pages(), 0);

        assert_eq!(file.write_at(PAGE - 2, b"bytes")?, 5);
        assert_eq!(file.nr_pages(), 2);
        assert_eq!(bytes(&file, PAGE - 3)?, *b"\0bytes\0");
        // The end of the file, and what is past it.
        assert_eq!(file.read_at(3 * PAGE - 1, &mut [0; 4])?, 1);
        assert_eq!(file.read_at(3 * PAGE, &mut [0; 4])?, 0);
        assert_eq!(file.read_at(u64::MAX, &mut [0; 4])?, 0);

        // A write makes the file larger, and leaves a hole.
        assert_eq!(file.write_at(5 * PAGE, b"end")?, 3);
        assert_eq!((file.size(), file.nr_pages()), (5 * PAGE + 3, 3));
        assert_eq!(bytes(&file, 5 * PAGE)?, *b"end");
        assert_eq!(file.write_at(u64::MAX, b"x"), Err(EFBIG));
        assert_eq!(file.write_at(i64::MAX as u64, b"xy"), Err(EFBIG));
        Ok(())
    }

    #[test]
    fn mapped() -> Result {
        let mm = UserMm::attach()?;
        let file = make(2, Options::new())?;
        let user = mm.file(file.clone().into());
        let addr = user.mmap(3 * PAGE_SIZE, READ | WRITE, SHARED, 0)?;
        let private = user.mmap(PAGE_SIZE, READ | WRITE, PRIVATE, 0)?;

        assert_eq!(mm.read(addr)?, [0]);
        mm.write(addr + 1, b"written")?;
        assert_eq!(bytes(&file, 0)?, *b"\0written");
        file.write_at(0, b"X")?;
        assert_eq!(mm.read(addr)?, *b"X");
        assert_eq!(mm.read(private)?, *b"X");
        mm.write(private, b"private")?;
        assert_eq!(bytes(&file, 0)?, *b"Xwritten");
        assert_eq!(file.nr_pages(), 1);

        // The file ends before that, until it grows.
        assert_eq!(mm.read::<1>(addr + 2 * PAGE_SIZE), Err(EFAULT));
        file.write_at(2 * PAGE, b"grown")?;
        assert_eq!(mm.read(addr + 2 * PAGE_SIZE)?, *b"grown");
        Ok(())
    }

    #[test]
    fn holes() -> Result {
        let mm = UserMm::attach()?;
        let file = make(4, Options::new())?;
        let user = mm.file(file.clone().into());
        let addr = user.mmap(4 * PAGE_SIZE, READ | WRITE, SHARED, 0)?;
        for page in 0..4 {
            mm.write(addr + page * PAGE_SIZE, &[b'x'; 8])?;
        }
        assert_eq!(file.nr_pages(), 4);

        // One whole page, and parts of two others.
        file.punch_hole(PAGE + 4..3 * PAGE + 4)?;
        assert_eq!(file.nr_pages(), 3);
        assert_eq!(mm.read(addr + PAGE_SIZE)?, *b"xxxx\0\0\0\0");
        assert_eq!(bytes(&file, 2 * PAGE)?, [0; 8]);
        assert_eq!(mm.read(addr + 3 * PAGE_SIZE)?, *b"\0\0\0\0xxxx");
        assert_eq!(file.nr_pages(), 3);
        assert_eq!(seek(file.file(), 0, bindings::SEEK_HOLE), 2 * PAGE as i64);
        assert_eq!(
            seek(file.file(), 2 * PAGE, bindings::SEEK_DATA),
            3 * PAGE as i64
        );
        assert_eq!(seek(file.file(), 0, bindings::SEEK_END), 4 * PAGE as i64);
        assert_eq!(
            seek(file.file(), 4 * PAGE, bindings::SEEK_DATA),
            i64::from(ENXIO.to_errno())
        );

        // The hole is accessed, and is none afterwards.
        assert_eq!(mm.read(addr + 2 * PAGE_SIZE)?, [0; 8]);
        assert_eq!(file.nr_pages(), 4);
        assert_eq!(file.punch_hole(PAGE..PAGE), Err(EINVAL));
        assert_eq!(file.punch_hole(0..u64::MAX), Err(EINVAL));
        Ok(())
    }

    #[test]
    fn allocated() -> Result {
        let file = make(1, Options::new().evictable())?;
        fallocate(file.file(), 0, PAGE / 2, 2 * PAGE)?;
        assert_eq!((file.size(), file.nr_pages()), (5 * PAGE / 2, 3));
        assert_eq!(bytes(&file, 2 * PAGE)?, [0; 8]);

        // Pages past the end are not part of the file, until it grows.
        let keep = bindings::FALLOC_FL_KEEP_SIZE;
        fallocate(file.file(), keep, 4 * PAGE, PAGE)?;
        assert_eq!((file.size(), file.nr_pages()), (5 * PAGE / 2, 4));
        assert_eq!(file.read_at(4 * PAGE, &mut [0])?, 0);
        file.write_at(4 * PAGE, b"x")?;
        assert_eq!((file.size(), file.nr_pages()), (4 * PAGE + 1, 4));

        // What was there is zeroed, and a hole is allocated.
        fallocate(
            file.file(),
            bindings::FALLOC_FL_ZERO_RANGE,
            3 * PAGE,
            2 * PAGE,
        )?;
        assert_eq!((file.size(), file.nr_pages()), (5 * PAGE, 5));
        assert_eq!(bytes(&file, 4 * PAGE)?, [0]);

        let punch = bindings::FALLOC_FL_PUNCH_HOLE | keep;
        fallocate(file.file(), punch, 0, 5 * PAGE)?;
        assert_eq!((file.size(), file.nr_pages()), (5 * PAGE, 0));
        let collapse = bindings::FALLOC_FL_COLLAPSE_RANGE;
        assert_eq!(fallocate(file.file(), collapse, 0, PAGE), Err(EOPNOTSUPP));
        Ok(())
    }

    /// What `fallocate` has allocated is not reclaimed, although it is still zero.
    #[test]
    fn allocated_pages_stay() -> Result {
        let mm = UserMm::attach()?;
        let file = make(8, Options::new().evictable())?;
        fallocate(file.file(), 0, 0, 4 * PAGE)?;
        let addr = mm
            .file(file.clone().into())
            .mmap(8 * PAGE_SIZE, READ, SHARED, 0)?;
        assert_eq!(mm.read(addr + 5 * PAGE_SIZE)?, [0]);
        mm.munmap(addr, 8 * PAGE_SIZE)?;
        assert_eq!(file.nr_pages(), 5);

        reclaim(&file);
        assert_eq!(file.nr_pages(), 4);
        Ok(())
    }

    /// What was written to a page is not reclaimed, although the page was zero before.
    #[test]
    fn written_pages_stay() -> Result {
        let file = make(2, Options::new().evictable())?;
        drop(cache(&file).get_or_add(0)?);
        drop(cache(&file).get_or_add(1)?);
        file.write_at(0, b"x")?;
        reclaim(&file);
        assert_eq!((file.nr_pages(), bytes(&file, 0)?), (1, *b"x"));
        Ok(())
    }

    /// Pages that the file ends before are not accessible, although they are in the page cache.
    #[test]
    fn past_the_end() -> Result {
        let mm = UserMm::attach()?;
        let file = make(1, Options::new())?;
        fallocate(file.file(), bindings::FALLOC_FL_KEEP_SIZE, 0, 4 * PAGE)?;
        assert_eq!((file.size(), file.nr_pages()), (PAGE, 4));
        let user = mm.file(file.clone().into());
        let addr = user.mmap(4 * PAGE_SIZE, READ | WRITE, SHARED, 0)?;
        let last = addr + 3 * PAGE_SIZE;
        assert_eq!(mm.read::<1>(last), Err(EFAULT));
        assert_eq!(mm.write(last, b"x"), Err(EFAULT));
        file.write_at(3 * PAGE, b"grown")?;
        assert_eq!(mm.read(last)?, *b"grown");
        truncate(file.file(), 2 * PAGE)?;
        assert_eq!(mm.read::<1>(last), Err(EFAULT));
        assert_eq!(file.nr_pages(), 2);
        Ok(())
    }

    /// What was in the memory before is nowhere to be seen.
    #[test]
    fn nothing_of_before() -> Result {
        let mm = UserMm::attach()?;
        let file = make(4, Options::new())?;
        let user = mm.file(file.clone().into());
        let addr = user.mmap(4 * PAGE_SIZE, READ, SHARED, 0)?;
        soil(&file)?;
        file.write_at(100, b"x")?;
        soil(&file)?;
        fallocate(file.file(), 0, PAGE, PAGE)?;
        soil(&file)?;
        assert_eq!(mm.read(addr + 3 * PAGE_SIZE - 1)?, [0]);
        soil(&file)?;
        let folio = cache(&file).alloc(0, 0)?.filled(b"x")?;
        drop(cache(&file).add(folio, 3).map_err(|(_, e)| e)?);
        assert_eq!(file.nr_pages(), 4);
        let soiled = |page| soiled(&file, page);
        assert_eq!(
            (soiled(0)?, soiled(1)?, soiled(2)?, soiled(3)?),
            (1, 0, 0, 1)
        );
        Ok(())
    }

    /// A folio with too many references is not mapped.
    #[test]
    fn many_references() -> Result {
        let mm = UserMm::attach()?;
        let file = make(1, Options::new())?;
        file.write_at(0, b"page")?;
        let user = mm.file(file.clone().into());
        let addr = user.mmap(PAGE_SIZE, READ | WRITE, SHARED, 0)?;
        let folio = cache(&file).get(0).ok_or(EFAULT)?;
        // SAFETY: `folio` has a reference.
        assert_eq!(unsafe { count(folio.as_ptr()) }, 2);
        {
            let count = Count::set(folio.as_ptr(), xchg_folio, TOO_MANY);
            // A write, since for a read the kernel maps what is in the page cache, without a call.
            assert_eq!(mm.write(addr, b"P"), Err(EFAULT));
            assert_eq!(count.xchg(TOO_MANY), TOO_MANY);
        }
        mm.write(addr, b"P")?;
        assert_eq!(mm.read(addr)?, *b"Page");
        Ok(())
    }

    /// A fatal signal ends what may take long, after one page.
    #[test]
    fn fatal_signal() -> Result {
        let file = make(8, Options::new())?;
        let mut data = KVec::from_elem(b'x', 2 * PAGE_SIZE, GFP_KERNEL)?;
        // A hole, and then what is there.
        for _ in 0..2 {
            let written = while_dying(|| file.write_at(0, &data));
            assert_eq!((written, file.nr_pages()), (Ok(PAGE_SIZE), 1));
        }
        // What is there, and then a hole.
        for pos in [0, PAGE] {
            assert_eq!(while_dying(|| file.read_at(pos, &mut data)), Ok(PAGE_SIZE));
        }
        let allocated = while_dying(|| fallocate(file.file(), 0, 4 * PAGE, 2 * PAGE));
        assert_eq!((allocated, file.nr_pages()), (Err(EINTR), 2));
        Ok(())
    }

    /// Broken memory is neither read nor written, nor mapped.
    #[cfg(CONFIG_MEMORY_FAILURE)]
    #[test]
    fn broken_memory() -> Result {
        let mm = UserMm::attach()?;
        let file = make(2, Options::new())?;
        file.write_at(0, b"first")?;
        file.write_at(PAGE, b"second")?;
        let user = mm.file(file.clone().into());
        let addr = user.mmap(2 * PAGE_SIZE, READ | WRITE, SHARED, 0)?;
        let folio = cache(&file).get(1).ok_or(EFAULT)?;
        let break_it = |broken| {
            // SAFETY: `folio` has a reference.
            unsafe { bindings::rust_mm_test_set_hwpoison(folio.as_ptr().cast(), broken) };
        };

        break_it(true);
        let reads = (
            file.read_at(PAGE, &mut [0; 2]),
            file.read_at(PAGE - 1, &mut [0; 2]),
        );
        let writes = (file.write_at(PAGE, b"x"), file.write_at(PAGE - 1, b"xy"));
        let mapped = mm.read::<1>(addr + PAGE_SIZE);
        break_it(false);
        // What is in front of it is transferred.
        assert_eq!(reads, (Err(EIO), Ok(1)));
        assert_eq!(writes, (Err(EIO), Ok(1)));
        assert_eq!(mapped, Err(EFAULT));
        // SAFETY: `folio` has a reference.
        assert_eq!(unsafe { count(folio.as_ptr()) }, 2);
        assert_eq!(bytes(&file, PAGE - 1)?, *b"xsecond");
        assert_eq!(mm.read(addr + PAGE_SIZE)?, *b"second");
        Ok(())
    }

    /// A stacked file system has the mapping refer to its own file.
    #[test]
    fn mapping_of_another_file() -> Result {
        let (file, other) = (make(1, Options::new())?, make(1, Options::new())?);
        // SAFETY: The descriptor is plain data.
        let mut desc: bindings::vm_area_desc = unsafe { core::mem::zeroed() };
        desc.file = file.file().as_ptr();
        // SAFETY: The file is open. The hook uses nothing of the descriptor but the files.
        let prepare = unsafe {
            let hook = (*(*desc.file).f_op).mmap_prepare.ok_or(EINVAL)?;
            move |desc: &mut bindings::vm_area_desc| to_result(hook(desc))
        };
        desc.vm_file = other.file().as_ptr();
        assert_eq!(prepare(&mut desc), Err(ENODEV));
        assert!(desc.vm_ops.is_null());
        desc.vm_file = desc.file;
        prepare(&mut desc)?;
        assert!(!desc.vm_ops.is_null());
        Ok(())
    }

    #[test]
    fn seals() -> Result {
        let file = make(1, Options::new())?;
        assert_eq!(file.seals(), Seals::SEAL);
        assert_eq!(make(1, Options::new().sealable())?.seals(), Seals::NONE);

        let file = make(2, Options::new().sealed(Seals::WRITE))?;
        assert_eq!(file.write_at(0, b"x"), Err(EPERM));
        assert_eq!(file.punch_hole(0..PAGE), Err(EPERM));
        assert_eq!(
            fallocate(file.file(), bindings::FALLOC_FL_ZERO_RANGE, 0, PAGE),
            Err(EPERM)
        );
        fallocate(file.file(), 0, 0, PAGE)?;

        let file = make(2, Options::new().sealed(Seals::GROW | Seals::SEAL))?;
        assert_eq!(fallocate(file.file(), 0, PAGE, 2 * PAGE), Err(EPERM));
        assert_eq!(file.write_at(2 * PAGE, b"x"), Err(EPERM));
        assert_eq!(file.write_at(2 * PAGE - 1, b"xy"), Err(EPERM));
        assert_eq!(file.write_at(2 * PAGE - 1, b"x")?, 1);
        assert_eq!(truncate(file.file(), 3 * PAGE), Err(EPERM));
        assert_eq!(file.size(), 2 * PAGE);
        let file = make(2, Options::new().sealed(Seals::SHRINK))?;
        assert_eq!(truncate(file.file(), PAGE), Err(EPERM));
        truncate(file.file(), 3 * PAGE)?;
        assert_eq!(file.size(), 3 * PAGE);
        Ok(())
    }

    #[test]
    fn read_only() -> Result {
        let mm = UserMm::attach()?;
        let file = make(1, Options::new().read_only())?;
        file.write_at(0, b"image")?;
        let user = mm.file(file.into());
        assert_eq!(user.mmap(PAGE_SIZE, READ | WRITE, SHARED, 0), Err(EACCES));
        let addr = user.mmap(PAGE_SIZE, READ, SHARED, 0)?;
        assert_eq!(mm.read(addr)?, *b"image");
        Ok(())
    }

    #[test]
    fn types() -> Result {
        let file = make(1, Options::new())?;
        assert!(Memory::<Simple>::of(file.file()).is_some());
        assert!(Memory::<Other>::of(file.file()).is_none());
        assert!(Memory::<Counted>::of(file.file()).is_none());
        let bare = anon_inode::getfile::<Bare>(c"[test]", KBox::new(Bare, GFP_KERNEL)?, O_RDWR)?;
        assert!(Memory::<Simple>::of(&bare).is_none());
        Ok(())
    }

    #[test]
    fn too_large() -> Result {
        let dropped = Arc::new(Atomic::new(0), GFP_KERNEL)?;
        let data = KBox::new(Counter(dropped.clone()), GFP_KERNEL)?;
        let file = MemoryFile::<Counted>::new(c"rust_mm_test", 1 << 63, Options::new(), data);
        assert_eq!(file.err(), Some(EFBIG));
        assert_eq!(dropped.load(Relaxed), 1);
        Ok(())
    }

    #[test]
    fn data_and_pages_are_freed() -> Result {
        let mm = UserMm::attach()?;
        let dropped = Arc::new(Atomic::new(0), GFP_KERNEL)?;
        let data = KBox::new(Counter(dropped.clone()), GFP_KERNEL)?;
        let file = MemoryFile::<Counted>::new(c"rust_mm_test", PAGE, Options::new(), data)?;
        assert!(core::ptr::eq(&*file.data().0, &*dropped));
        let addr = mm
            .file(file.into())
            .mmap(PAGE_SIZE, READ | WRITE, SHARED, 0)?;
        mm.write(addr, b"x")?;
        // The mapping keeps both.
        assert_eq!(dropped.load(Relaxed), 0);
        mm.munmap(addr, PAGE_SIZE)?;
        for _ in 0..5000 {
            if dropped.load(Relaxed) != 0 {
                break;
            }
            // SAFETY: This thread holds no lock, so it may sleep.
            unsafe { bindings::msleep(1) };
        }
        assert_eq!(dropped.load(Relaxed), 1);
        Ok(())
    }

    #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
    #[test]
    fn huge() -> Result {
        let mm = UserMm::attach()?;
        let file = make(1024, Options::new().huge())?;
        let user = mm.file(file.clone().into());
        let addr = user.mmap(1024 * PAGE_SIZE, READ | WRITE, SHARED, 0)?;
        mm.write(addr + 5 * PAGE_SIZE, b"huge")?;
        // If there is no memory for a large folio, there are smaller ones.
        let pages = file.nr_pages();
        assert!(pages > 1 && pages.is_power_of_two());
        assert_eq!(bytes(&file, 5 * PAGE)?, *b"huge");

        // A part of a large folio becomes a hole.
        file.punch_hole(6 * PAGE..7 * PAGE)?;
        assert_eq!(mm.read(addr + 5 * PAGE_SIZE)?, *b"huge");
        assert_eq!(mm.read(addr + 6 * PAGE_SIZE)?, [0; 4]);

        // One write, over the end of the first block and the start of the second.
        let data = KVVec::from_elem(b'x', 700 * PAGE_SIZE, GFP_KERNEL)?;
        assert_eq!(file.write_at(100 * PAGE + 7, &data)?, data.len());
        assert_eq!(bytes(&file, 100 * PAGE + 6)?, *b"\0x");
        assert_eq!(bytes(&file, 800 * PAGE + 6)?, *b"x\0");
        assert_eq!(mm.read(addr + 600 * PAGE_SIZE)?, *b"xxxx");
        assert_eq!(bytes(&file, 5 * PAGE)?, *b"huge");
        Ok(())
    }

    /// The last pages that a file can have: the sum of their offset and their length overflows.
    #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
    #[test]
    fn huge_at_the_last_offset() -> Result {
        const SIZE: u64 = i64::MAX as u64;
        const START: u64 = (1 << 63) - 2 * PAGE;
        let file = MemoryFile::<Simple>::new(c"rust_mm_test", SIZE, Options::new().huge(), ())?;
        fallocate(file.file(), 0, START, SIZE - START)?;
        assert_eq!((file.size(), file.nr_pages()), (SIZE, 2));
        assert_eq!(file.write_at(START + 1, b"last")?, 4);
        assert_eq!(bytes(&file, START)?, *b"\0last\0");

        // A fault, with room for a large folio at the end of the file.
        let mm = UserMm::attach()?;
        let file = MemoryFile::<Simple>::new(c"rust_mm_test", SIZE, Options::new().huge(), ())?;
        let user = mm.file(file.clone().into());
        let index = (START / PAGE) as usize;
        let addr = user.mmap(PAGE_SIZE, READ | WRITE, SHARED, index)?;
        mm.write(addr, b"mapped")?;
        assert_eq!(bytes(&file, START)?, *b"mapped");
        truncate(file.file(), 0)?;
        assert_eq!(file.nr_pages(), 0);
        Ok(())
    }

    /// The size is not written while another thread may be splitting a folio that is beyond it: the
    /// kernel would look at the old size first, and then at the new one.
    #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
    #[test]
    fn truncated_while_split() -> Result {
        let file = make(16, Options::new().huge())?;
        let folio = cache(&file).alloc(0, 2)?.zeroed();
        let folio = cache(&file).add(folio, 8).map_err(|(_, e)| e)?;
        let theirs = file.clone();
        let truncation = elsewhere(move || truncate(theirs.file(), PAGE))?;
        let mut same = true;
        for _ in 0..30 {
            // SAFETY: The case may sleep.
            unsafe { bindings::msleep(1) };
            same &= file.size() == 16 * PAGE;
        }
        drop(folio);
        truncation.wait()?;
        assert!(same);
        assert_eq!((file.size(), file.nr_pages()), (PAGE, 0));
        Ok(())
    }

    #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
    #[test]
    fn huge_truncated() -> Result {
        let mm = UserMm::attach()?;
        let file = make(512, Options::new().huge())?;
        let user = mm.file(file.clone().into());
        let addr = user.mmap(512 * PAGE_SIZE, READ | WRITE, SHARED, 0)?;
        mm.write(addr + 5 * PAGE_SIZE, b"huge")?;
        mm.write(addr + 300 * PAGE_SIZE, b"gone")?;
        let dirty = dirty_pages();
        truncate(file.file(), 5 * PAGE + 2)?;
        assert_eq!(file.nr_pages(), 6);
        // The pages were never counted. Some room is for the rest of the system.
        assert!((dirty_pages() - dirty).abs() < 256);
        assert_eq!(mm.read(addr + 5 * PAGE_SIZE)?, *b"hu\0\0");
        assert_eq!(mm.read::<1>(addr + 6 * PAGE_SIZE), Err(EFAULT));

        // The file grows again, and what was there does not come back.
        truncate(file.file(), 512 * PAGE)?;
        assert_eq!(mm.read(addr + 300 * PAGE_SIZE)?, [0; 4]);

        // A folio with a reference is not split, nor is one in which the file ends already.
        let file = make(512, Options::new().huge())?;
        fallocate(file.file(), 0, 0, 512 * PAGE)?;
        file.write_at(5 * PAGE, b"huge")?;
        file.write_at(300 * PAGE, b"gone")?;
        let pages = file.nr_pages();
        let folio = cache(&file).get(5).ok_or(EFAULT)?;
        truncate(file.file(), 5 * PAGE + 2)?;
        drop(folio);
        truncate(file.file(), 5 * PAGE + 1)?;
        assert!((dirty_pages() - dirty).abs() < 256);
        if pages == 512 {
            assert_eq!(file.nr_pages(), 512);
        }
        truncate(file.file(), 512 * PAGE)?;
        assert_eq!(bytes(&file, 5 * PAGE)?, *b"h\0\0\0");
        assert_eq!(bytes(&file, 300 * PAGE)?, [0; 4]);
        Ok(())
    }
}
