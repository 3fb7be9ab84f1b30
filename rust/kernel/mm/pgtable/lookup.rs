// SPDX-License-Identifier: GPL-2.0

//! What is mapped at one address.
//!
//! C headers: [`include/linux/pagewalk.h`](srctree/include/linux/pagewalk.h),
//! [`include/linux/mm.h`](srctree/include/linux/mm.h)

use super::Level;
use crate::{
    bindings,
    error::to_result,
    mm::{
        rmap::RmapVma,
        MmapReadGuard, //
    },
    prelude::*,
    task::might_sleep,
    types::NotThreadSafe, //
};

/// Memory that the kernel manages, as it was mapped at an address.
///
/// A copy: when it is looked at, the address may have other memory already, and the page frame other
/// contents. To access memory, pin it: [`UserPages`](crate::mm::gup::UserPages).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FolioWalk {
    /// The page frame number. [`None`] for the page of zeroes that stands for memory which was never
    /// written.
    pub pfn: Option<usize>,
    /// The level of the page tables whose entry maps it.
    pub level: Level,
    /// The binary logarithm of the number of pages in the folio.
    pub order: u32,
    /// Is it anonymous memory, and not a file's?
    pub anon: bool,
    /// May user space write through the entry?
    pub writable: bool,
}

/// A page frame that is mapped as it is, for as long as this is there.
///
/// It stands for a spinlock: who has one must not sleep, nor look at page tables.
///
/// # Invariants
///
/// `args` is from a `follow_pfnmap_start` that has succeeded, and was not ended yet.
pub struct PfnmapEntry<'a> {
    args: &'a bindings::follow_pfnmap_args,
    _not_send: NotThreadSafe,
}

impl PfnmapEntry<'_> {
    /// Returns the page frame number.
    ///
    /// The frame is mapped here until the function that is told this returns. Longer, it is only a
    /// number: to use it, one has to know of changes, by an MMU notifier.
    #[inline]
    pub fn pfn(&self) -> usize {
        self.args.pfn
    }

    /// May user space write through the entry?
    #[inline]
    pub fn is_writable(&self) -> bool {
        self.args.writable
    }

    /// Is it a frame without a page that the kernel manages, whatever there is at its number?
    #[inline]
    pub fn is_special(&self) -> bool {
        self.args.special
    }

    /// Returns the number of bytes that the entry maps, aligned to that.
    #[inline]
    pub fn size(&self) -> usize {
        (!self.args.addr_mask).wrapping_add(1)
    }
}

/// Looks up a frame, and tells `f`.
///
/// # Safety
///
/// The mmap lock of the VMA, or the i_mmap lock of its file, must be held.
unsafe fn follow<R>(
    vma: *mut bindings::vm_area_struct,
    addr: usize,
    f: impl FnOnce(&PfnmapEntry<'_>) -> R,
) -> Result<R> {
    let mut args = bindings::follow_pfnmap_args {
        vma,
        address: addr,
        ..Default::default()
    };
    might_sleep();
    // SAFETY: The caller's promise.
    to_result(unsafe { bindings::follow_pfnmap_start(&mut args) })?;
    // INVARIANT: It has succeeded, and is ended after this is out of use.
    let ret = f(&PfnmapEntry {
        args: &args,
        _not_send: NotThreadSafe,
    });
    // SAFETY: It was started above.
    unsafe { bindings::follow_pfnmap_end(&mut args) };
    Ok(ret)
}

impl MmapReadGuard<'_> {
    /// Looks up the memory that is mapped at an address (`folio_walk_start`).
    ///
    /// Returns [`None`] if there is none, or none that the kernel manages (`vm_normal_page`).
    ///
    /// Takes the mmap lock: the VMA lock is not enough.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::testing::*, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let addr = mm.mmap_anonymous(PAGE_SIZE)?;
    /// assert!(mm.current().mmap_read_lock().folio_walk(addr).is_none());
    ///
    /// mm.write(addr, b"x")?;
    /// let found = mm.current().mmap_read_lock().folio_walk(addr).ok_or(ENOENT)?;
    /// assert!(found.anon && found.writable && found.pfn.is_some());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn folio_walk(&self, addr: usize) -> Option<FolioWalk> {
        let vma = self.vma_lookup(addr)?;
        let mut found = bindings::rust_folio_walk::default();
        might_sleep();
        // SAFETY: By the type invariants, the mmap lock is held; the address is in the VMA.
        if !unsafe { bindings::folio_walk_lookup(vma.as_ptr(), addr, &mut found) } {
            return None;
        }
        Some(FolioWalk {
            pfn: (!found.zero).then_some(found.pfn),
            level: match found.level {
                bindings::folio_walk_level_FW_LEVEL_PTE => Level::Pte,
                bindings::folio_walk_level_FW_LEVEL_PMD => Level::Pmd,
                _ => Level::Pud,
            },
            order: found.order,
            anon: found.anon,
            writable: found.writable,
        })
    }

    /// Looks up the page frame that is mapped at an address of an `IO` or `PFNMAP` VMA
    /// (`follow_pfnmap_start`), and tells `f`, during which it stays mapped.
    ///
    /// Takes the mmap lock: the VMA lock is not enough.
    ///
    /// # Context
    ///
    /// Sleeps. `f` must not.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if there is no such VMA, or nothing is mapped at the address.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(CONFIG_X86)] {
    /// use kernel::{mm::{desc::Cache, testing::*}, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let file = mm.device(|dev, desc| desc.remap_pfn(dev.firmware.pfns(), Cache::Cached))?;
    /// let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
    /// let guard = mm.current().mmap_read_lock();
    /// assert_eq!(guard.follow_pfnmap(addr, |entry| entry.pfn()), Ok(0xf0));
    /// # }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn follow_pfnmap<R>(
        &self,
        addr: usize,
        f: impl FnOnce(&PfnmapEntry<'_>) -> R,
    ) -> Result<R> {
        let vma = self.vma_lookup(addr).ok_or(EINVAL)?;
        // SAFETY: By the type invariants, the mmap lock is held.
        unsafe { follow(vma.as_ptr(), addr, f) }
    }
}

impl RmapVma {
    /// As [`MmapReadGuard::follow_pfnmap`], of a mapping that was found from its file.
    ///
    /// # Context
    ///
    /// Sleeps. `f` must not.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if this is no `IO` or `PFNMAP` VMA, the address is not in it, or nothing is mapped
    /// there.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(CONFIG_X86)] {
    /// use kernel::{mm::{desc::Cache, testing::*}, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let file = mm.device(|dev, desc| desc.remap_pfn(dev.firmware.pfns(), Cache::Cached))?;
    /// file.mmap(4 * PAGE_SIZE, READ, SHARED, 0)?;
    ///
    /// // The frame of page 2 of the file, wherever it is mapped.
    /// let mappings = file.file().i_mmap_lock_read()?;
    /// for vma in mappings.vmas(2..3) {
    ///     let addr = vma.address_of(2).ok_or(EINVAL)?;
    ///     assert_eq!(vma.follow_pfnmap(addr, |entry| entry.pfn()), Ok(0xf2));
    /// }
    /// # }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn follow_pfnmap<R>(
        &self,
        addr: usize,
        f: impl FnOnce(&PfnmapEntry<'_>) -> R,
    ) -> Result<R> {
        // SAFETY: By the type invariants, the i_mmap lock is held.
        unsafe { follow(self.as_ptr(), addr, f) }
    }
}
