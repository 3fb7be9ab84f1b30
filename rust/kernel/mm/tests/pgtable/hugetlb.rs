// SPDX-License-Identifier: GPL-2.0

//! Tests of walks of hugetlb memory.

use super::PMD;
use crate::{
    bindings,
    error::from_err_ptr,
    fs::File,
    mm::{
        current::MapFlags,
        flags::Protection,
        pgtable::{
            Entry,
            Hole,
            Level,
            LockedEntry,
            PageWalk,
            State, //
        },
        testing::UserMm,
        MmapReadGuard, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::aref::ARef, //
};
use core::{
    ops::ControlFlow,
    ptr::NonNull, //
};

const LEN: usize = 4 * PMD;

/// A hugetlb file without pages.
struct Memory(ARef<File>);

impl Memory {
    fn new() -> Result<Self> {
        // SAFETY: The function may be called in process context. It returns a new file or an error.
        let file = from_err_ptr(unsafe { bindings::rust_mm_test_hugetlb_file(LEN) })?;
        // SAFETY: The file is valid, and this hands its only reference to the `ARef`. User space
        // does not have the file, so it has no active `fdget_pos` region.
        let file = unsafe { ARef::from_raw(NonNull::new_unchecked(file.cast())) };
        Ok(Self(file))
    }

    /// Sets how many surplus huge pages the kernel may allocate for the file.
    fn allow(&self, pages: usize) {
        // SAFETY: `rust_mm_test_hugetlb_file` has made the file, so it is a hugetlb file.
        unsafe { bindings::rust_mm_test_allow_hugetlb(self.0.as_ptr(), pages) };
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.allow(0);
    }
}

/// A walker that calls `folio_walk` for each hole.
struct Curious<'a, 'b> {
    guard: &'a MmapReadGuard<'b>,
    entries: KVec<Entry>,
    holes: usize,
}

#[vtable]
impl PageWalk for Curious<'_, '_> {
    type Break = ();

    fn hugetlb(&mut self, entry: &LockedEntry<'_>) -> ControlFlow<()> {
        match self.entries.push(**entry, GFP_ATOMIC) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    fn hole(&mut self, hole: Hole) -> ControlFlow<()> {
        self.holes += 1;
        match self.guard.folio_walk(hole.range.start) {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }
}

#[kunit_tests(rust_mm_walk_hugetlb)]
mod cases {
    use super::*;

    /// Returns the entries of a range, and the number of holes.
    fn walk(mm: &UserMm, addr: usize, len: usize) -> Result<(KVec<Entry>, usize)> {
        let guard = mm.current().mmap_read_lock();
        let mut walker = Curious {
            guard: &guard,
            entries: KVec::new(),
            holes: 0,
        };
        assert_eq!(guard.walk_page_range(addr..addr + len, &mut walker)?, None);
        Ok((walker.entries, walker.holes))
    }

    /// The walker may call `folio_walk` for a hole, which takes the hugetlb VMA lock.
    ///
    /// C holds this lock from one entry to the next, so the layer must drop it around `hole`.
    #[test]
    fn holes_in_hugetlb_memory() -> Result {
        let user = UserMm::attach()?;
        let task = kernel::current!();
        let mut mm = task.user_mm().ok_or(EINVAL)?;
        let memory = Memory::new()?;
        let flags = MapFlags::SHARED | MapFlags::NORESERVE;
        let addr = mm.vm_mmap(Some(&memory.0), 0, LEN, Protection::READ_WRITE, flags, 0)?;
        let (entries, holes) = walk(&user, addr, LEN)?;
        assert_eq!((entries.len(), holes), (0, 4));
        mm.vm_munmap(addr, LEN)
    }

    #[test]
    fn hugetlb_memory() -> Result {
        let user = UserMm::attach()?;
        let task = kernel::current!();
        let mut mm = task.user_mm().ok_or(EINVAL)?;
        let memory = Memory::new()?;
        let mut map = |flags: MapFlags| {
            let flags = flags | MapFlags::NORESERVE;
            mm.vm_mmap(Some(&memory.0), 0, LEN, Protection::READ_WRITE, flags, 0)
        };
        let shared = map(MapFlags::SHARED)?;
        let private = map(MapFlags::PRIVATE)?;
        memory.allow(1);
        user.write(shared + PMD + PAGE_SIZE, b"huge")?;
        assert_eq!(user.read(private + PMD + PAGE_SIZE)?, *b"huge");

        let (entries, _) = walk(&user, shared, LEN)?;
        let present = entries.iter().find(|entry| entry.is_present());
        let entry = present.ok_or(EFAULT)?;
        assert_eq!(entry.range(), shared + PMD..shared + 2 * PMD);
        assert_eq!(entry.level(), Level::Pmd);
        assert!(entry.is_writable() && entry.is_dirty() && entry.is_young());
        let pfn = entry.pfn().ok_or(EFAULT)?;
        // The other entries are none, or missing.
        for entry in &entries {
            assert!(entry.state() == State::Present || entry.state() == State::None);
        }
        assert_eq!(entries.iter().filter(|e| e.is_present()).count(), 1);

        // For a part of a huge page, the walk reports that part.
        let (entries, holes) = walk(&user, shared + PMD + PAGE_SIZE, 2 * PAGE_SIZE)?;
        assert_eq!((entries.len(), holes), (1, 0));
        assert_eq!(entries[0].addr(), shared + PMD + PAGE_SIZE);
        assert_eq!(entries[0].len(), 2 * PAGE_SIZE);
        assert_eq!(entries[0].pfn(), Some(pfn + 1));

        // The private mapping maps the same page, until the process writes to it.
        let (entries, _) = walk(&user, private + PMD, PMD)?;
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].pfn(), Some(pfn));
        assert!(!entries[0].is_writable() && !entries[0].is_dirty());

        mm.vm_munmap(private, LEN)?;
        mm.vm_munmap(shared, LEN)
    }
}
