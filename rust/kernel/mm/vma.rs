// SPDX-License-Identifier: GPL-2.0

//! Views of a VMA.
//!
//! Documentation/mm/process_addrs.rst says which lock makes which field of a VMA stable. Each view
//! is a type that stands for such a lock, and dereferences to the view that it includes:
//!
//! | view | lock | dereferences to |
//! |---|---|---|
//! | [`VmaRange`] | any of them, or the i_mmap lock | |
//! | [`StableVma`] | mmap lock or VMA lock; none if the VMA is in no tree | [`VmaRange`] |
//! | [`VmaRef`] | mmap lock or VMA lock | [`StableVma`] |
//! | [`VmaUnderVmaLock`] | VMA lock, for reading | [`VmaRef`] |
//! | [`VmaUnderMmap`] | mmap lock, at least for reading | [`VmaRef`] |
//! | [`VmaUnderWrite`] | mmap lock, for writing | [`StableVma`] |
//! | [`VmaWriteRef`] | mmap lock and VMA lock, for writing | [`VmaUnderWrite`] |
//!
//! Without an MMU there are only [`VmaRange`] and [`VmaRef`], which dereferences to it.
//!
//! [`VmaRef`]: super::virt::VmaRef

#[cfg(CONFIG_MMU)]
use crate::page::PAGE_MASK;
use crate::{
    bindings,
    page::PAGE_SHIFT,
    types::Opaque, //
};

#[cfg(CONFIG_MMU)]
pub(super) mod evidence;
#[cfg(CONFIG_MMU)]
mod locked;
#[cfg(CONFIG_MMU)]
mod read;
#[cfg(CONFIG_MMU)]
mod write;

#[cfg(CONFIG_MMU)]
pub use evidence::Traverse;
#[cfg(CONFIG_MMU)]
pub use locked::{
    VmaUnderMmap,
    VmaUnderVmaLock, //
};
#[cfg(CONFIG_MMU)]
pub use read::StableVma;
#[cfg(CONFIG_MMU)]
pub use write::{
    AdviceFlags,
    VmaUnderWrite,
    VmaWriteRef, //
};

/// A VMA whose range and page offset cannot change.
///
/// # Invariants
///
/// For as long as there is a reference, the VMA is alive, and its range and page offset do not
/// change.
#[repr(transparent)]
pub struct VmaRange(Opaque<bindings::vm_area_struct>);

#[cfg(not(CONFIG_MMU))]
impl core::ops::Deref for super::virt::VmaRef {
    type Target = VmaRange;

    #[inline]
    fn deref(&self) -> &VmaRange {
        // SAFETY: Both types have the layout of a `vm_area_struct`. By the type invariants of
        // `VmaRef`, the mmap lock is held, under which the range and the page offset do not change.
        unsafe { &*self.as_ptr().cast::<VmaRange>() }
    }
}

impl VmaRange {
    #[inline]
    pub(super) fn as_ptr(&self) -> *mut bindings::vm_area_struct {
        self.0.get()
    }

    /// Returns the (inclusive) start address.
    #[inline]
    pub fn start(&self) -> usize {
        // SAFETY: By the type invariants, the field does not change.
        unsafe { (*self.as_ptr()).__bindgen_anon_1.__bindgen_anon_1.vm_start }
    }

    /// Returns the (exclusive) end address.
    #[inline]
    pub fn end(&self) -> usize {
        // SAFETY: By the type invariants, the field does not change.
        unsafe { (*self.as_ptr()).__bindgen_anon_1.__bindgen_anon_1.vm_end }
    }

    /// Returns the length in bytes, which is never zero.
    #[expect(clippy::len_without_is_empty)]
    #[inline]
    pub fn len(&self) -> usize {
        self.end() - self.start()
    }

    /// Returns the number of pages, which is never zero.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        self.len() >> PAGE_SHIFT
    }

    /// Returns the page offset of the first page in the file.
    #[inline]
    pub fn pgoff(&self) -> usize {
        // SAFETY: By the type invariants, the field does not change.
        unsafe { (*self.as_ptr()).vm_pgoff }
    }

    /// Returns the page offset of the page at `addr`, or [`None`] if `addr` is not in the VMA.
    #[inline]
    pub fn pgoff_at(&self, addr: usize) -> Option<usize> {
        let inside = self.start() <= addr && addr < self.end();
        // The sum can overflow: the kernel does not check the page offsets that other drivers set.
        self.pgoff()
            .checked_add(addr.checked_sub(self.start())? >> PAGE_SHIFT)
            .filter(|_| inside)
    }

    /// Returns the address at which the VMA maps the page at `pgoff`, if it does.
    #[inline]
    pub fn address_of(&self, pgoff: usize) -> Option<usize> {
        let index = pgoff.checked_sub(self.pgoff())?;
        (index < self.nr_pages()).then(|| self.start() + (index << PAGE_SHIFT))
    }

    /// Returns whether `len` bytes, starting at `addr`, are one or more whole pages of this VMA.
    #[cfg(CONFIG_MMU)]
    pub(super) fn contains_pages(&self, addr: usize, len: usize) -> bool {
        let Some(end) = addr.checked_add(len) else {
            return false;
        };
        let unaligned = (addr | len) & !PAGE_MASK != 0;
        !unaligned && len != 0 && self.start() <= addr && end <= self.end()
    }
}
