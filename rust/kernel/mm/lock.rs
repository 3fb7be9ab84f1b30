// SPDX-License-Identifier: GPL-2.0

//! The locks of an mm, as types.
//!
//! Documentation/mm/process_addrs.rst has a table of the states that the locks can be in, and of
//! what may be done in each. Each state is a type here. A value of the type, or a borrow of one, is
//! the evidence that an operation asks for:
//!
//! | mmap lock | VMA lock | type                                                 | may            |
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
//! The mmap lock comes before every VMA lock, of whichever mm: two that look at each other
//! can wait for each other, too. So with a [`VmaReadGuard`] or a [`StableVmaGuard`] in hand, none of
//! the functions here that take a lock may be called, nor what takes the mmap lock by itself: user
//! memory may not be accessed either. This, and taking the mmap
//! lock twice, is what the borrow checker cannot see, since the mm can be reached by any
//! number of references. Lockdep reports it.
//!
//! No guard can be sent to another thread. Leaking one leaves the lock held forever, and those who watch
//! by userfaultfd what was unmapped under it waiting forever; it is not a soundness problem.
//!
//! # Sleeping
//!
//! Safe code cannot break memory with these types, with one exception: code that sleeps where it must
//! not. Sleeping in an RCU section ends the section for the kernel code that it belongs to, and what that
//! looks at next may have been freed. A driver's code runs in such a context in
//! [`VmOperations::map_pages`] and in the functions of a [`PageWalk`] that get a [`LockedEntry`].
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
    /// Takes the mmap lock for reading, or gives up when the current task is to die.
    ///
    /// # Context
    ///
    /// Sleeps. As [`mmap_read_lock`](Self::mmap_read_lock), it must not be called with the mmap lock
    /// or a VMA lock of the mm held.
    ///
    /// # Errors
    ///
    /// [`EINTR`] if a fatal signal has come.
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
