// SPDX-License-Identifier: GPL-2.0

//! Tests of the lock states of an mm, and of what each permits, on a real mm.
//!
//! There is one case for each row of the tables in Documentation/mm/rust-mmap/locking.rst, which
//! names the cases.

use super::empty_mm;
use crate::{
    bindings,
    fs::File,
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    mm::{
        current::{
            CurrentMm,
            MapFlags, //
        },
        desc::{
            Mapping,
            VmaDesc, //
        },
        flags::{
            Protection,
            VmaFlag, //
        },
        iter::{
            MmapLocked,
            VmaView, //
        },
        ops::{
            Install,
            Ordinary,
            PerFile,
            VmOperations, //
        },
        testing::{
            UserMm,
            READ,
            SHARED, //
        },
        virt::VmaRef,
        vma::{
            AdviceFlags,
            StableVma, //
        },
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
        new_condvar,
        new_mutex,
        Arc,
        CondVar,
        Mutex, //
    },
    workqueue::{
        self,
        impl_has_work,
        new_work,
        Work,
        WorkItem, //
    }, //
};
use core::ops::Range;

mod fields;
mod iter;
mod locks;
pub(super) mod signals;
mod threads;
mod unmap_events;
mod user;

/// The protection of two of the VMAs of a [`Layout`].
const READ_WRITE: Protection = Protection::READ_WRITE;

/// A range of 16 pages of an mm with four VMAs: pages 1 and 2, page 3, page 6, and pages 8 to 11.
struct Layout<'t> {
    mm: CurrentMm<'t>,
    base: usize,
}

impl<'t> Layout<'t> {
    const VMAS: [Range<usize>; 4] = [1..3, 3..4, 6..7, 8..12];

    fn new(mut mm: CurrentMm<'t>) -> Result<Self> {
        let len = 16 * PAGE_SIZE;
        let base = mm.vm_mmap(None, 0, len, Protection::NONE, MapFlags::PRIVATE, 0)?;
        mm.vm_munmap(base, len)?;
        let mut layout = Self { mm, base };
        // Neighbours have different protections, so that the kernel does not merge them.
        let prots = [READ_WRITE, Protection::READ, READ_WRITE, Protection::READ];
        for (pages, prot) in Self::VMAS.into_iter().zip(prots) {
            layout.map(pages, prot)?;
        }
        Ok(layout)
    }

    fn map(&mut self, pages: Range<usize>, prot: Protection) -> Result {
        let range = self.range(pages);
        let flags = MapFlags::PRIVATE | MapFlags::FIXED_NOREPLACE;
        let (start, len) = (range.start, range.end - range.start);
        self.mm.vm_mmap(None, start, len, prot, flags, 0)?;
        Ok(())
    }

    fn addr(&self, page: usize) -> usize {
        self.base + page * PAGE_SIZE
    }

    fn range(&self, pages: Range<usize>) -> Range<usize> {
        self.addr(pages.start)..self.addr(pages.end)
    }

    /// Returns the pages of a VMA, as indices in this range.
    fn pages(&self, vma: &StableVma) -> Range<usize> {
        (vma.start() - self.base) / PAGE_SIZE..(vma.end() - self.base) / PAGE_SIZE
    }

    fn all(&self) -> Range<usize> {
        self.range(0..16)
    }
}

/// Returns whether no thread holds the mmap lock.
fn is_unlocked(mm: &MmWithUser) -> bool {
    // SAFETY: The lock is valid as long as the mm is. If this acquires it, this releases it again.
    unsafe {
        let lock = &raw mut (*mm.as_raw()).__bindgen_anon_1.mmap_lock;
        let free = bindings::down_write_trylock(lock) != 0;
        if free {
            bindings::up_write(lock);
        }
        free
    }
}

/// Returns whether the mmap lock can be acquired for reading.
fn is_readable(mm: &MmWithUser) -> bool {
    mm.mmap_read_trylock().is_some()
}

/// Returns the number of readers of a VMA: its reference count without the reference of the mm.
#[cfg(CONFIG_PER_VMA_LOCK)]
fn readers(vma: &StableVma) -> i32 {
    // SAFETY: By the type invariants of `StableVma`, the VMA is alive.
    unsafe { (*vma.as_ptr()).vm_refcnt.refs.counter - 1 }
}

/// Makes a VMA look write-locked to readers without the mmap lock, as after 2^32 write locks.
#[cfg(CONFIG_PER_VMA_LOCK)]
pub(super) fn look_write_locked(mm: &MmWithUser, addr: usize) -> Result {
    let guard = mm.mmap_read_lock();
    let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    // SAFETY: The mm and the VMA are valid, and no other thread uses this mm.
    unsafe {
        (*vma.as_ptr()).vm_lock_seq = (*mm.as_raw()).__bindgen_anon_1.mm_lock_seq.sequence;
    }
    Ok(())
}
