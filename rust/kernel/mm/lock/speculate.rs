// SPDX-License-Identifier: GPL-2.0

//! Reading without a lock, and finding out afterwards whether it was worth it.

use crate::{
    bindings,
    mm::{
        flags::VmaFlags,
        MmWithUser, //
    },
};

/// How often a speculation is tried before the lock is the better way.
const ATTEMPTS: usize = 3;

/// What was in a VMA when it was looked at. A copy: it says nothing about the VMA now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmaCopy {
    /// The (inclusive) start address.
    pub start: usize,
    /// The (exclusive) end address.
    pub end: usize,
    /// The page offset in the file of the first page.
    pub pgoff: usize,
    /// The flags.
    pub flags: VmaFlags,
}

/// An mm that is read without a lock, while others may change it.
///
/// It gives out copies only, never a reference to a VMA: the memory of a VMA can be freed and become
/// another VMA at any time meanwhile. The values in a copy need not even belong together; what they
/// add up to counts only if [`speculate`](MmWithUser::speculate) returns it.
pub struct Speculation<'a> {
    mm: &'a MmWithUser,
}

impl Speculation<'_> {
    /// Copies what the VMA at an address holds, if there is one.
    ///
    /// # Examples
    ///
    /// See [`MmWithUser::speculate`].
    pub fn vma(&self, addr: usize) -> Option<VmaCopy> {
        let mut range = [0; 3];
        let mut flags = bindings::vma_flags_t::default();
        // SAFETY: The mm has users, so its tree can be read under RCU, which the function
        // does; there is room for what it writes.
        let found = unsafe {
            bindings::rust_mm_vma_speculative_copy(
                self.mm.as_raw(),
                addr,
                range.as_mut_ptr(),
                &raw mut flags,
            )
        };
        let [start, end, pgoff] = range;
        found.then(|| VmaCopy {
            start,
            end,
            pgoff,
            flags: VmaFlags::from_raw(flags),
        })
    }
}

impl MmWithUser {
    /// Runs a closure without a lock, and returns its result if nobody had the mmap lock for writing
    /// meanwhile.
    ///
    /// The closure may run more than once, and what it computes may be nonsense each time but the
    /// last. It cannot return anything but a plain value, and there is nothing but plain values that
    /// it could get hold of.
    ///
    /// Returns [`None`] if the mmap lock is held for writing, or was in each of a few attempts. Take
    /// it for reading then. Without `CONFIG_PER_VMA_LOCK` it is always [`None`].
    ///
    /// # Context
    ///
    /// Any in which RCU readers may run. No lock is held while the closure runs.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::testing::*, page::PAGE_SIZE};
    ///
    /// let user = UserMm::attach()?;
    /// let file = user.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
    /// let addr = file.mmap(PAGE_SIZE, READ, SHARED, 2)?;
    ///
    /// let mm = user.current();
    /// let pgoff = match mm.speculate(|mm| mm.vma(addr).map(|vma| vma.pgoff)) {
    ///     Some(pgoff) => pgoff,
    ///     None => mm.mmap_read_lock().vma_lookup(addr).map(|vma| vma.pgoff()),
    /// };
    /// assert_eq!(pgoff, Some(2));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn speculate<R, F>(&self, mut f: F) -> Option<R>
    where
        R: Copy + 'static,
        F: FnMut(&Speculation<'_>) -> R,
    {
        let speculation = Speculation { mm: self };
        for _ in 0..ATTEMPTS {
            let mut seq = 0;
            // SAFETY: The pointers are valid.
            if !unsafe { bindings::mmap_lock_speculate_try_begin(self.as_raw(), &raw mut seq) } {
                return None;
            }
            let result = f(&speculation);
            // SAFETY: As above, and `seq` is from the beginning.
            if !unsafe { bindings::mmap_lock_speculate_retry(self.as_raw(), seq) } {
                return Some(result);
            }
        }
        None
    }
}
