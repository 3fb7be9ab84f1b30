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
    task::might_sleep, //
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

/// A page frame, as it was mapped at an address.
///
/// A copy, made under the lock of the entry: when it is looked at, the address may have another frame
/// already. It is only a number then. To use it, one has to know of changes, by an MMU notifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PfnmapEntry {
    /// The page frame number.
    pub pfn: usize,
    /// Whether user space may write through the entry.
    pub writable: bool,
    /// Whether it is a frame without a page that the kernel manages, whatever there is at its number.
    pub special: bool,
    /// The number of bytes that the entry maps, aligned to that.
    pub size: usize,
}

/// Looks up a frame.
///
/// No code of a driver runs before the entry is unlocked: it must not sleep under the spinlock.
///
/// # Safety
///
/// The mmap lock of the VMA, or the i_mmap lock of its file, must be held.
unsafe fn follow(vma: *mut bindings::vm_area_struct, addr: usize) -> Result<PfnmapEntry> {
    let mut args = bindings::follow_pfnmap_args {
        vma,
        address: addr,
        ..Default::default()
    };
    might_sleep();
    // SAFETY: The caller's promise.
    to_result(unsafe { bindings::follow_pfnmap_start(&mut args) })?;
    let entry = PfnmapEntry {
        pfn: args.pfn,
        writable: args.writable,
        special: args.special,
        size: (!args.addr_mask).wrapping_add(1),
    };
    // SAFETY: It was started above.
    unsafe { bindings::follow_pfnmap_end(&mut args) };
    Ok(entry)
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
        if !unsafe { bindings::rust_mm_folio_walk(vma.as_ptr(), addr, &mut found) } {
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
    /// (`follow_pfnmap_start`).
    ///
    /// Takes the mmap lock: the VMA lock is not enough.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if there is no such VMA, or nothing is mapped at the address.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(CONFIG_X86)] {
    /// use kernel::{mm::{testing::*, Cache}, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let file = mm.device(|dev, desc| desc.remap_pfn(dev.firmware.pfns(), Cache::Cached))?;
    /// let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
    /// let guard = mm.current().mmap_read_lock();
    /// assert_eq!(guard.follow_pfnmap(addr)?.pfn, 0xf0);
    /// # }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn follow_pfnmap(&self, addr: usize) -> Result<PfnmapEntry> {
        let vma = self.vma_lookup(addr).ok_or(EINVAL)?;
        // SAFETY: By the type invariants, the mmap lock is held.
        unsafe { follow(vma.as_ptr(), addr) }
    }
}

impl RmapVma {
    /// As [`MmapReadGuard::follow_pfnmap`], of a mapping that was found from its file.
    ///
    /// # Context
    ///
    /// Sleeps.
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
    /// use kernel::{mm::{testing::*, Cache}, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let file = mm.device(|dev, desc| desc.remap_pfn(dev.firmware.pfns(), Cache::Cached))?;
    /// file.mmap(4 * PAGE_SIZE, READ, SHARED, 0)?;
    ///
    /// // The frame of page 2 of the file, wherever it is mapped.
    /// let mappings = file.file().i_mmap_lock_read()?;
    /// for vma in mappings.vmas(2..3) {
    ///     let addr = vma.address_of(2).ok_or(EINVAL)?;
    ///     assert_eq!(vma.follow_pfnmap(addr)?.pfn, 0xf2);
    /// }
    /// # }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn follow_pfnmap(&self, addr: usize) -> Result<PfnmapEntry> {
        // SAFETY: By the type invariants, the i_mmap lock is held.
        unsafe { follow(self.as_ptr(), addr) }
    }
}
