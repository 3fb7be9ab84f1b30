// SPDX-License-Identifier: GPL-2.0

//! The locks of an mm, as types.
//!
//! Documentation/mm/process_addrs.rst has a table of the states that the locks can be in, and of
//! the operations that each state allows. Here, each state is a type. An operation takes a value of
//! the type, or a borrow of one, as evidence:
//!
//! | mmap lock | VMA lock | type                                                 | allows to      |
//! |-----------|----------|------------------------------------------------------|----------------|
//! | -         | -        | [`MmWithUser`], [`Speculation`]                      | copy, re-check |
//! | -         | read     | [`VmaReadGuard`]                                     | read           |
//! | read      | -        | [`MmapReadGuard`]                                    | read           |
//! | either    | -        | [`StableVmaGuard`]                                   | read           |
//! | write     | -        | [`MmapWriteGuard`], [`VmaUnderWrite`]                | read, unmap    |
//! | write     | write    | [`VmaWriteRef`]                                      | write most     |
//!
//! # Order
//!
//! A thread takes the mmap lock before every VMA lock, also before those of other mms: two threads
//! that each hold a VMA lock and wait for the mmap lock of the other's mm deadlock. So a thread
//! that holds a [`VmaReadGuard`] or a [`StableVmaGuard`] must not call a function of this module
//! that waits for a lock, nor any other function that waits for the mmap lock. It must not access
//! user memory either. The borrow checker cannot enforce this, and cannot exclude that a thread
//! takes the mmap lock twice, since the mm can be reached through any number of references. Lockdep
//! reports both.
//!
//! No guard can be sent to another thread. Leaking a guard leaves the lock held forever. If memory
//! was unmapped under the lock, a userfaultfd monitor waits forever for the event. Neither is a
//! soundness problem.
//!
//! # Sleeping
//!
//! Safe code cannot corrupt memory with these types, with one exception: code that sleeps where it
//! must not. Sleeping in an RCU read-side section ends that section for the kernel code around it,
//! which may then access freed memory. The code of a driver runs in such a context in
//! [`VmOperations::map_pages`], and in the methods of a [`PageWalk`] that get a [`LockedEntry`].
//! `CONFIG_DEBUG_ATOMIC_SLEEP` reports it.
//!
//! C header: [`include/linux/mmap_lock.h`](srctree/include/linux/mmap_lock.h)
//!
//! [`LockedEntry`]: super::pgtable::LockedEntry
//! [`PageWalk`]: super::pgtable::PageWalk
//! [`VmOperations::map_pages`]: super::ops::VmOperations::map_pages
//! [`VmaReadGuard`]: super::VmaReadGuard
//! [`VmaUnderWrite`]: super::vma::VmaUnderWrite
//! [`VmaWriteRef`]: super::vma::VmaWriteRef

use super::{
    MmWithUser,
    MmapReadGuard, //
};
use crate::{
    bindings,
    error::to_result,
    prelude::*,
    types::NotThreadSafe, //
};

mod speculate;
mod vma;
pub(super) mod write;

pub use speculate::{
    Speculation,
    VmaCopy, //
};
pub use vma::StableVmaGuard;
pub use write::{
    MmapDowngradedGuard,
    MmapWriteGuard, //
};

impl MmWithUser {
    /// Takes the mmap lock for reading, but fails if a fatal signal is pending.
    ///
    /// # Context
    ///
    /// Sleeps. As with [`mmap_read_lock`](Self::mmap_read_lock), the caller must hold neither the
    /// mmap lock of the mm nor any VMA lock; see [the order of locks](crate::mm::lock#order).
    ///
    /// # Errors
    ///
    /// [`EINTR`] if a fatal signal is pending while the function waits.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::testing::*, page::PAGE_SIZE};
    ///
    /// let user = UserMm::attach()?;
    /// let file = user.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
    /// let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
    ///
    /// let guard = user.current().mmap_read_lock_killable()?;
    /// let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
    /// assert_eq!((vma.start(), vma.end()), (addr, addr + PAGE_SIZE));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn mmap_read_lock_killable(&self) -> Result<MmapReadGuard<'_>> {
        // SAFETY: The pointer is valid since `self` is a reference.
        to_result(unsafe { bindings::mmap_read_lock_killable(self.as_raw()) })?;

        // INVARIANT: We just acquired the read lock.
        Ok(MmapReadGuard {
            mm: self,
            _nts: NotThreadSafe,
        })
    }
}
