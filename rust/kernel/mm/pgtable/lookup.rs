// SPDX-License-Identifier: GPL-2.0

//! Looking up what is mapped at one address.
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
use core::mem::MaybeUninit;

/// A folio that was mapped at an address.
///
/// This is a copy: by the time the caller looks at it, other memory may be mapped at the address,
/// and the page may be in use for something else. To access the memory, pin it with
/// [`UserPages`](crate::mm::gup::UserPages).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FolioWalk {
    /// The PFN, or [`None`] for the zero page.
    pub pfn: Option<usize>,
    /// The level of the page table entry that mapped it.
    pub level: Level,
    /// The binary logarithm of the number of pages in the folio.
    pub order: u32,
    /// Whether the memory is anonymous, and not that of a file.
    pub anon: bool,
    /// Whether user space could write through the entry.
    pub writable: bool,
}

/// A PFN that was mapped at an address.
///
/// This is a copy, made under the page table lock: by the time the caller looks at it, another PFN
/// may be mapped at the address, and the PFN is only a number. A caller that uses the memory must
/// follow the changes with an MMU notifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PfnmapEntry {
    /// The PFN.
    pub pfn: usize,
    /// Whether user space could write through the entry.
    pub writable: bool,
    /// Whether the entry is special: the kernel manages no page for it, even if the PFN stands for
    /// memory that has pages.
    pub special: bool,
    /// The number of bytes that the entry maps, to which its addresses are aligned.
    pub size: usize,
}

/// Looks up the PFN that is mapped at an address.
///
/// The page table lock is dropped before this returns, so no code of a driver runs under that
/// spinlock.
///
/// # Context
///
/// Sleeps.
///
/// # Errors
///
/// [`EINVAL`] if this is not an `IO` or `PFNMAP` VMA, the address is not in it, or nothing is
/// mapped there.
///
/// # Safety
///
/// `vma` must be a VMA. The mmap lock of its mm or the i_mmap lock of its file must be held.
unsafe fn follow(vma: *mut bindings::vm_area_struct, addr: usize) -> Result<PfnmapEntry> {
    let mut args = bindings::follow_pfnmap_args {
        vma,
        address: addr,
        ..Default::default()
    };
    might_sleep();
    // SAFETY: By the safety requirements of this function, `args.vma` is a VMA, and the mmap lock
    // or the i_mmap lock is held. The address may be any.
    to_result(unsafe { bindings::follow_pfnmap_start(&mut args) })?;
    let entry = PfnmapEntry {
        pfn: args.pfn,
        writable: args.writable,
        special: args.special,
        size: (!args.addr_mask).wrapping_add(1),
    };
    // SAFETY: `follow_pfnmap_start` has succeeded with these arguments.
    unsafe { bindings::follow_pfnmap_end(&mut args) };
    Ok(entry)
}

impl MmapReadGuard<'_> {
    /// Looks up the folio that is mapped at an address (`folio_walk_start`).
    ///
    /// Returns [`None`] if nothing is mapped there, or nothing that the kernel manages
    /// (`vm_normal_page`). The zero page is found.
    ///
    /// # Context
    ///
    /// Sleeps. The mmap lock is held; the VMA lock would not be enough.
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
        let mut found = MaybeUninit::uninit();
        might_sleep();
        // SAFETY: By the type invariants, the mmap lock is held. `vma_lookup` has found the VMA for
        // `addr`, so the address is in it.
        if !unsafe { bindings::rust_mm_folio_walk(vma.as_ptr(), addr, found.as_mut_ptr()) } {
            return None;
        }
        // SAFETY: C has initialised `found`.
        let found = unsafe { found.assume_init() };
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

    /// Looks up the PFN that is mapped at an address of an `IO` or `PFNMAP` VMA
    /// (`follow_pfnmap_start`).
    ///
    /// # Context
    ///
    /// Sleeps. The mmap lock is held; the VMA lock would not be enough.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if there is no such VMA at the address, or nothing is mapped there.
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
        // SAFETY: By the type invariants, the mmap lock is held, under which `vma_lookup` has found
        // the VMA.
        unsafe { follow(vma.as_ptr(), addr) }
    }
}

impl RmapVma {
    /// Looks up the PFN that is mapped at an address of this VMA, if it is an `IO` or `PFNMAP` VMA.
    ///
    /// It does what [`MmapReadGuard::follow_pfnmap`] does, for a VMA that was found through its
    /// file.
    ///
    /// # Context
    ///
    /// Sleeps. The i_mmap lock is held.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if this is not an `IO` or `PFNMAP` VMA, the address is not in it, or nothing is
    /// mapped there.
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
    /// // The PFN of page 2 of the file, wherever it is mapped.
    /// let mappings = file.file().i_mmap_lock_read()?;
    /// for vma in mappings.vmas(2..3) {
    ///     let addr = vma.address_of(2).ok_or(EINVAL)?;
    ///     assert_eq!(vma.follow_pfnmap(addr)?.pfn, 0xf2);
    /// }
    /// # }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn follow_pfnmap(&self, addr: usize) -> Result<PfnmapEntry> {
        // SAFETY: By the type invariants, this is a VMA, and the i_mmap lock of its file is held.
        unsafe { follow(self.as_ptr(), addr) }
    }
}
