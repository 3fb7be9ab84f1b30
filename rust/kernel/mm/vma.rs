// SPDX-License-Identifier: GPL-2.0

//! Views of a VMA.
//!
//! Documentation/mm/process_addrs.rst says which lock makes which field of a VMA stable. The views
//! are one type for each answer.

use super::flags::VmaFlags;
use crate::{
    bindings,
    page::PAGE_SHIFT,
    types::Opaque, //
};
use core::sync::atomic::{
    AtomicUsize,
    Ordering, //
};

mod read;
mod write;

pub use write::{
    AdviceFlags,
    VmaUnderWrite,
    VmaWriteRef, //
};

/// A VMA whose range, page offset and flags cannot change: some lock keeps it stable, or it is not
/// part of an address space (yet, or any more).
///
/// Unlike [`VmaRef`] it does not lead to the address space: under a VMA lock, taking the mmap lock
/// can deadlock, and while an address space goes away, it cannot be used.
///
/// # Invariants
///
/// The VMA is alive, and stable, for as long as there is a reference.
///
/// [`VmaRef`]: super::virt::VmaRef
#[repr(transparent)]
pub struct StableVma(Opaque<bindings::vm_area_struct>);

impl StableVma {
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

    /// Returns the page offset in the file of the first page.
    #[inline]
    pub fn pgoff(&self) -> usize {
        // SAFETY: By the type invariants, the field does not change.
        unsafe { (*self.as_ptr()).vm_pgoff }
    }

    /// Returns the page offset in the file of the page at an address, if that is in the VMA.
    #[inline]
    pub fn pgoff_at(&self, addr: usize) -> Option<usize> {
        let inside = self.start() <= addr && addr < self.end();
        // The kernel does not look at what other drivers make of the offset.
        self.pgoff()
            .checked_add(addr.checked_sub(self.start())? >> PAGE_SHIFT)
            .filter(|_| inside)
    }

    /// Returns the flags.
    ///
    /// [`MAYBE_GUARD`](super::flags::VmaFlag::MAYBE_GUARD) can be set by others meanwhile; the other
    /// flags stay.
    #[inline]
    pub fn flags(&self) -> VmaFlags {
        // SAFETY: By the type invariants, the VMA is alive.
        let flags = unsafe { &raw const (*self.as_ptr()).__bindgen_anon_2.flags.__vma_flags };
        let mut words = bindings::vma_flags_t::default();
        for (i, word) in words.__vma_flags.iter_mut().enumerate() {
            // SAFETY: As above, and the index is that of a word. `MAYBE_GUARD` is set atomically,
            // under a read lock only (`vma_set_atomic_flag`), so this has to be an atomic load.
            let atomic = unsafe { AtomicUsize::from_ptr((&raw const (*flags)[i]).cast_mut()) };
            *word = atomic.load(Ordering::Relaxed);
        }
        VmaFlags::from_raw(words)
    }

    /// May user space read?
    #[inline]
    pub fn readable(&self) -> bool {
        self.flags().readable()
    }

    /// May user space write?
    #[inline]
    pub fn writable(&self) -> bool {
        self.flags().writable()
    }

    /// May user space execute?
    #[inline]
    pub fn executable(&self) -> bool {
        self.flags().executable()
    }

    /// Was it mapped with `MAP_SHARED`?
    #[inline]
    pub fn is_shared(&self) -> bool {
        self.flags().is_shared()
    }

    /// Checks that `len` bytes from `addr` on are whole pages, at least one, of this VMA.
    pub(super) fn contains_pages(&self, addr: usize, len: usize) -> bool {
        let Some(end) = addr.checked_add(len) else {
            return false;
        };
        let unaligned = (addr | len) & !crate::page::PAGE_MASK != 0;
        !unaligned && len != 0 && self.start() <= addr && end <= self.end()
    }
}
