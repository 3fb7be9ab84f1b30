// SPDX-License-Identifier: GPL-2.0

//! Reading an mm without a lock, and checking afterwards that no thread has changed it.

use crate::{
    bindings,
    mm::{
        flags::VmaFlags,
        MmWithUser, //
    },
};

/// The number of attempts after which taking the lock is the better way.
const ATTEMPTS: usize = 3;

/// A copy of fields of a VMA, which may have changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmaCopy {
    /// The (inclusive) start address.
    pub start: usize,
    /// The (exclusive) end address.
    pub end: usize,
    /// The page offset of the first page in the file.
    pub pgoff: usize,
    /// The flags.
    pub flags: VmaFlags,
}

/// An mm that is read without a lock, while other threads may change it.
///
/// It gives out only copies, never a reference to a VMA: the kernel may free the memory of a VMA,
/// and reuse it for another VMA, at any time. Even the values within a copy need not belong
/// together. A result is valid only if [`speculate`](MmWithUser::speculate) returns it.
pub struct Speculation<'a> {
    mm: &'a MmWithUser,
}

impl Speculation<'_> {
    /// Copies fields of the VMA at an address, if there is one.
    ///
    /// # Examples
    ///
    /// See [`MmWithUser::speculate`].
    pub fn vma(&self, addr: usize) -> Option<VmaCopy> {
        let mut range = [0; 3];
        let mut flags = bindings::vma_flags_t::default();
        // SAFETY:
        // - The mm has users, so its tree is alive; the function reads it under RCU.
        // - `range` has room for the three values that the function writes, and `flags` for the
        //   bitmap.
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
    /// Runs a closure without a lock, and returns its result if no thread held the mmap lock for
    /// writing meanwhile.
    ///
    /// The closure may run more than once, and may compute nonsense each time but the last. It can
    /// only return a plain value, and can only get plain values.
    ///
    /// Returns [`None`] if a thread holds the mmap lock for writing, or did so during each of a few
    /// attempts. The caller then takes the lock for reading. Without `CONFIG_PER_VMA_LOCK`, the
    /// result is always [`None`].
    ///
    /// # Context
    ///
    /// Any context in which an RCU reader may run. No lock is held while the closure runs.
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
            // SAFETY: The mm is valid since `self` is a reference, and `seq` may be written.
            if !unsafe { bindings::mmap_lock_speculate_try_begin(self.as_raw(), &raw mut seq) } {
                return None;
            }
            let result = f(&speculation);
            // SAFETY: The mm is valid since `self` is a reference, and `seq` comes from
            // `mmap_lock_speculate_try_begin`.
            if !unsafe { bindings::mmap_lock_speculate_retry(self.as_raw(), seq) } {
                return Some(result);
            }
        }
        None
    }
}
