// SPDX-License-Identifier: GPL-2.0

//! Mapping and unmapping from within the kernel.
//!
//! In the mm of the process that it works for, [`CurrentMm`], the kernel can do what `mmap(2)` and
//! `munmap(2)` do. In the mm of another process, it cannot. It can lock and read that mm through an
//! [`ARef<MmWithUser>`](crate::sync::aref::ARef), which keeps the mm in use.
//!
//! Dropping the last such reference tears the mm down and sleeps. The caller must then hold no
//! lock, or drop the reference with [`MmWithUser::into_mmput_async`].
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
/// # Context
///
/// The methods take the mmap lock, so the caller must not hold it. They take `&mut self`, so the
/// compiler rejects a call while a guard exists that was taken through the same value. A guard that
/// was taken through another reference to the mm leads to a deadlock, which lockdep reports.
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
    // Another thread can have another mm, or no mm.
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
    /// Returns whether this is the mm that the current thread works in.
    #[inline(never)]
    pub(in crate::mm) fn is_current(&self) -> bool {
        // SAFETY: The current task is valid. Only the task itself changes its `mm`.
        ptr::eq(self.as_raw(), unsafe { (*Task::current_raw()).mm })
    }
}

impl CurrentTask {
    /// Returns the mm of the current thread, for changing it, or [`None`] in a kernel thread.
    ///
    /// # Examples
    ///
    /// See [`CurrentMm`].
    #[inline]
    pub fn user_mm(&self) -> Option<CurrentMm<'_>> {
        // INVARIANT: `self.mm()` is the mm of the current thread, and remains so while `self` is
        // borrowed.
        self.mm().map(|mm| CurrentMm {
            mm,
            _not_send: NotThreadSafe,
        })
    }
}

impl CurrentMm<'_> {
    /// Maps a file, or anonymous memory if there is no file, as `mmap(2)` does, but with the offset
    /// in pages.
    ///
    /// Returns the start address. `addr` is only a hint, except with [`MapFlags::FIXED`] and
    /// [`MapFlags::FIXED_NOREPLACE`].
    ///
    /// # Context
    ///
    /// Sleeps. The caller must hold neither the mmap lock nor a VMA lock of the mm, nor a lock that
    /// the driver of `file` takes in its `mmap_prepare` or `mapped`, nor, with
    /// [`MapFlags::POPULATE`] or [`MapFlags::LOCKED`], one that its fault handler takes.
    ///
    /// # Errors
    ///
    /// - [`EINTR`] if a fatal signal is pending.
    /// - [`EBADF`] if the file is being opened or released, or if opening it has failed.
    /// - [`EOVERFLOW`] if `pgoff` is too large for an offset in bytes.
    /// - Other errors of the system call.
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
        // C requires a file that has or had a file descriptor.
        let held = file.map(File::try_get_opened).transpose()?;
        let file = held
            .as_deref()
            .map_or(ptr::null_mut(), |file| file.as_ptr());
        // SAFETY:
        // - By the type invariants, the current thread has an mm.
        // - `file` is null, or open and kept by the reference in `held`.
        // - The other arguments are ones that user space could pass.
        let addr = unsafe { bindings::vm_mmap(file, addr, len, prot.0, flags.0, offset) };
        if addr > usize::MAX - bindings::MAX_ERRNO as usize {
            return Err(Error::from_errno(addr as isize as c_int));
        }
        Ok(addr)
    }

    /// Unmaps a range of addresses, as `munmap(2)` does.
    ///
    /// # Context
    ///
    /// As for [`vm_mmap`](Self::vm_mmap).
    ///
    /// # Errors
    ///
    /// - [`EINTR`] if a fatal signal is pending.
    /// - Other errors of the system call.
    ///
    /// # Examples
    ///
    /// See [`CurrentMm`].
    #[inline(never)]
    pub fn vm_munmap(&mut self, addr: usize, len: usize) -> Result {
        // SAFETY: By the type invariants, the current thread has an mm. `vm_munmap` checks the
        // range.
        to_result(unsafe { bindings::vm_munmap(addr, len) })
    }

    /// Faults in the pages of a range, for writing if the mapping is writable and private.
    ///
    /// Skips addresses at which nothing is mapped, and device memory, which has no pages to fault
    /// in.
    ///
    /// # Context
    ///
    /// Sleeps. Takes the mmap lock for reading. The caller must hold neither the mmap lock nor a
    /// VMA lock of the mm, nor a lock that a driver's fault handler takes.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the range does not consist of whole pages, or wraps around.
    /// - [`EFAULT`] or [`ENOMEM`] if a page cannot be faulted in.
    /// - [`EINTR`] if a fatal signal is pending.
    ///
    /// # Examples
    ///
    /// See [`CurrentMm`].
    // Not inlined, since C does not export `__mm_populate` to modules.
    #[inline(never)]
    pub fn populate(&mut self, addr: usize, len: usize) -> Result {
        if (addr | len) & !PAGE_MASK != 0 || addr.checked_add(len).is_none() {
            return Err(EINVAL);
        }
        // SAFETY: By the type invariants, the current thread has an mm. The range consists of whole
        // pages and does not wrap around, as was just checked.
        to_result(unsafe { bindings::__mm_populate(addr, len, 0) })
    }
}

/// Flags of a mapping: `MAP_*`.
///
/// Each mapping needs one of [`PRIVATE`](Self::PRIVATE) and [`SHARED`](Self::SHARED).
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
    /// Writes make copy-on-write pages, which no other process sees.
    pub const PRIVATE: Self = Self(bindings::MAP_PRIVATE as usize);
    /// Writes go to the file, and all processes that map it see them.
    pub const SHARED: Self = Self(bindings::MAP_SHARED as usize);
    /// Map at this address, in place of what is mapped there.
    pub const FIXED: Self = Self(bindings::MAP_FIXED as usize);
    /// Map at this address, or fail if something is mapped there.
    pub const FIXED_NOREPLACE: Self = Self(bindings::MAP_FIXED_NOREPLACE as usize);
    /// Fault the pages in at mmap time.
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
