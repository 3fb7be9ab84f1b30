// SPDX-License-Identifier: GPL-2.0

//! Mapping and unmapping from within the kernel.
//!
//! What `mmap(2)` and its kin do, the kernel can do in the mm of the process for which it
//! works: [`CurrentMm`]. In that of another process it can do neither. It can lock and read it, through
//! an [`ARef<MmWithUser>`](crate::sync::aref::ARef), which keeps the mm in use. Dropping the
//! last of those tears the mm down and sleeps. Do it with no lock held, or see
//! [`MmWithUser::into_mmput_async`].
//!
//! C source: [`mm/util.c`](srctree/mm/util.c)

use super::MmWithUser;
use crate::{
    bindings,
    error::to_result,
    fs::File,
    mm::flags::Protection,
    page::{
        PAGE_MASK,
        PAGE_SHIFT, //
    },
    prelude::*,
    task::{
        CurrentTask,
        Task, //
    },
    types::NotThreadSafe, //
};
use core::{
    ops::{
        BitOr,
        Deref, //
    },
    ptr, //
};

/// The mm that the current thread works in.
///
/// The methods here take the mmap lock themselves, so it must not be held. They take `&mut self`, so
/// a guard that comes from the same value is in the way; one that comes from another reference to
/// the mm is a deadlock, which lockdep reports.
///
/// # Invariants
///
/// `mm` is the mm of the current thread.
///
/// # Examples
///
/// ```
/// use kernel::{mm::{current::MapFlags, flags::Protection, testing::UserMm}, page::PAGE_SIZE};
///
/// let user = UserMm::attach()?;
/// let task = kernel::current!();
/// let mut mm = task.user_mm().ok_or(EINVAL)?;
///
/// let addr = mm.vm_mmap(None, 0, PAGE_SIZE, Protection::READ_WRITE, MapFlags::PRIVATE, 0)?;
/// mm.populate(addr, PAGE_SIZE)?;
/// assert_eq!(user.read(addr)?, [0]);
///
/// assert!(mm.lock_vma(addr).is_some_and(|vma| vma.is_anonymous()));
/// mm.vm_munmap(addr, PAGE_SIZE)?;
/// assert!(mm.lock_vma(addr).is_none());
/// # Ok::<(), Error>(())
/// ```
pub struct CurrentMm<'t> {
    mm: &'t MmWithUser,
    // Another thread can have another mm, or none.
    _not_send: NotThreadSafe,
}

impl Deref for CurrentMm<'_> {
    type Target = MmWithUser;

    #[inline]
    fn deref(&self) -> &MmWithUser {
        self.mm
    }
}

impl MmWithUser {
    /// Is this the mm that the current thread works in?
    #[inline(never)]
    pub(in crate::mm) fn is_current(&self) -> bool {
        // SAFETY: The current task is valid, and its mm is changed by itself only.
        ptr::eq(self.as_raw(), unsafe { (*Task::current_raw()).mm })
    }
}

impl CurrentTask {
    /// Returns the mm of the current thread, to be changed. A kernel thread has none.
    ///
    /// # Examples
    ///
    /// See [`CurrentMm`].
    #[inline]
    pub fn user_mm(&self) -> Option<CurrentMm<'_>> {
        // INVARIANT: It is that of the current thread, and stays it during the borrow.
        self.mm().map(|mm| CurrentMm {
            mm,
            _not_send: NotThreadSafe,
        })
    }
}

impl CurrentMm<'_> {
    /// `mmap(2)`, except that the offset is in pages. Without a file, the memory is anonymous.
    ///
    /// Returns the address, which is `addr` only with [`MapFlags::FIXED`] or
    /// [`MapFlags::FIXED_NOREPLACE`].
    ///
    /// # Context
    ///
    /// Sleeps. No mmap lock and no VMA lock of the mm may be held.
    ///
    /// # Errors
    ///
    /// As the system call; [`EINTR`] if a fatal signal has come; [`EBADF`] if the file is being opened
    /// or released, or could not be opened.
    ///
    /// # Examples
    ///
    /// See [`CurrentMm`].
    #[inline(never)]
    pub fn vm_mmap(
        &mut self,
        file: Option<&File>,
        addr: usize,
        len: usize,
        prot: Protection,
        flags: MapFlags,
        pgoff: usize,
    ) -> Result<usize> {
        let offset = pgoff.checked_mul(1 << PAGE_SHIFT).ok_or(EOVERFLOW)?;
        // The kernel takes for granted that there is a file descriptor, or was one.
        let held = file.map(File::try_get_opened).transpose()?;
        let file = held
            .as_deref()
            .map_or(ptr::null_mut(), |file| file.as_ptr());
        // SAFETY: By the type invariants, the current thread has an address space. The file is open,
        // and we have a reference, or there is none. The arguments are what user space could say.
        let addr = unsafe { bindings::vm_mmap(file, addr, len, prot.0, flags.0, offset) };
        if addr > usize::MAX - bindings::MAX_ERRNO as usize {
            return Err(Error::from_errno(addr as isize as c_int));
        }
        Ok(addr)
    }

    /// `munmap(2)`.
    ///
    /// # Context
    ///
    /// As [`vm_mmap`](Self::vm_mmap).
    ///
    /// # Errors
    ///
    /// As the system call; [`EINTR`] if a fatal signal has come.
    ///
    /// # Examples
    ///
    /// See [`CurrentMm`].
    #[inline(never)]
    pub fn vm_munmap(&mut self, addr: usize, len: usize) -> Result {
        // SAFETY: By the type invariants, the current thread has an mm.
        to_result(unsafe { bindings::vm_munmap(addr, len) })
    }

    /// Faults pages in, for writing where the mapping is writable and private.
    ///
    /// Leaves out what is not mapped, and what has no pages to fault in: device memory.
    ///
    /// # Context
    ///
    /// As [`vm_mmap`](Self::vm_mmap). Takes the mmap lock for reading. No lock that a driver's fault
    /// handler takes may be held.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the range is not whole pages, or wraps around.
    /// - [`EFAULT`] or [`ENOMEM`] if a page cannot be had.
    /// - [`EINTR`] if a fatal signal comes meanwhile.
    ///
    /// # Examples
    ///
    /// See [`CurrentMm`].
    // Not exported to modules.
    #[inline(never)]
    pub fn populate(&mut self, addr: usize, len: usize) -> Result {
        if (addr | len) & !PAGE_MASK != 0 || addr.checked_add(len).is_none() {
            return Err(EINVAL);
        }
        // SAFETY: By the type invariants, the current thread has an mm. The range consists
        // of whole pages and does not wrap around.
        to_result(unsafe { bindings::__mm_populate(addr, len, 0) })
    }
}

/// How to map: `MAP_*`. Has to have one of [`PRIVATE`](Self::PRIVATE) and [`SHARED`](Self::SHARED).
///
/// # Examples
///
/// ```
/// use kernel::mm::current::MapFlags;
///
/// let here = MapFlags::PRIVATE | MapFlags::FIXED_NOREPLACE;
/// assert!(here != MapFlags::PRIVATE);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MapFlags(usize);

impl MapFlags {
    /// Writes are not seen by others.
    pub const PRIVATE: Self = Self(bindings::MAP_PRIVATE as usize);
    /// Writes go to the file.
    pub const SHARED: Self = Self(bindings::MAP_SHARED as usize);
    /// At this address, in place of what is there.
    pub const FIXED: Self = Self(bindings::MAP_FIXED as usize);
    /// At this address, or not at all.
    pub const FIXED_NOREPLACE: Self = Self(bindings::MAP_FIXED_NOREPLACE as usize);
    /// Fault the pages in.
    pub const POPULATE: Self = Self(bindings::MAP_POPULATE as usize);
    /// Lock the pages into memory.
    pub const LOCKED: Self = Self(bindings::MAP_LOCKED as usize);
    /// Do not charge the memory, where that is allowed.
    pub const NORESERVE: Self = Self(bindings::MAP_NORESERVE as usize);
}

impl BitOr for MapFlags {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
