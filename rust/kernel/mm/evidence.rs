// SPDX-License-Identifier: GPL-2.0

//! What a view of a VMA proves.
//!
//! For what may be done with the page tables of a VMA, it matters which lock keeps the VMA there
//! (Documentation/mm/process_addrs.rst): reading them, and clearing entries, takes any of the mmap
//! lock, the VMA lock and a lock of the reverse mapping; making new ones takes one of the first two.
//! Views of which each is true implement the two traits here, so that a function can ask for the
//! least that it needs:
//!
//! | trait | implemented by | allows |
//! |---|---|---|
//! | [`Stable`] | all of the below, and [`RmapVma`](super::rmap::RmapVma) | traversing page tables |
//! | [`Install`] | [`VmaRef`], [`VmaUnderWrite`], [`VmaWriteRef`], [`OwnedVma`] | also: installing, once the VMA is known to be the driver's own |
//!
//! Page tables are freed by the kernel alone, after the VMA is out of reach of all three locks. No
//! view can stand for that, and there is no function for it.

use super::{
    ops::{
        HasVmOps,
        VmOperations, //
    },
    owned::OwnedVma,
    pgtable::walk::{
        self,
        PageWalk, //
    },
    virt::VmaRef,
    vma::{
        VmaUnderWrite,
        VmaWriteRef, //
    }, //
};
use crate::prelude::*;
use core::ops::Range;

pub(super) mod sealed {
    use crate::bindings;

    /// What only this layer can make, and so only it can call what takes it.
    pub struct Token(pub(in crate::mm) ());

    /// The locks that a view may have been found under.
    pub enum Held {
        /// The mmap lock.
        Mmap,
        /// The mmap lock or the VMA lock.
        MmapOrVma,
        /// The i_mmap lock of this address space.
        Rmap(*mut bindings::address_space),
    }

    /// # Safety
    ///
    /// For as long as there is a reference, the result of `vma` must be a VMA whose range and page
    /// offset cannot change, which is part of an address space whose page tables are not freed, and
    /// the current thread must hold a lock that `held` names.
    pub unsafe trait Sealed {
        /// Returns the VMA.
        #[doc(hidden)]
        fn vma(&self, _: Token) -> *mut bindings::vm_area_struct;

        /// Returns the lock that keeps it.
        #[doc(hidden)]
        fn held(&self, _: Token) -> Held;
    }
}

use sealed::{
    Sealed,
    Token, //
};

/// A view of a VMA that keeps it where it is, by whichever lock: its page tables can be traversed.
///
/// # Examples
///
/// ```
/// use kernel::mm::{evidence::Stable, pgtable::PageCounts};
///
/// /// The bytes that are mapped and present in a VMA, however it was found.
/// fn present(vma: &impl Stable) -> Result<usize> {
///     Ok(PageCounts::of(vma, vma.start()..vma.end())?.present)
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not keep a VMA stable",
    note = "traversing page tables needs the mmap lock, the VMA lock or the i_mmap lock, and so a \
            view of the VMA that one of these gives"
)]
pub trait Stable: Sealed {
    /// Returns the (inclusive) start address.
    #[inline]
    fn start(&self) -> usize {
        // SAFETY: By what the supertrait asks for, the VMA is there, and the field does not change.
        unsafe {
            (*self.vma(Token(())))
                .__bindgen_anon_1
                .__bindgen_anon_1
                .vm_start
        }
    }

    /// Returns the (exclusive) end address.
    #[inline]
    fn end(&self) -> usize {
        // SAFETY: As above.
        unsafe {
            (*self.vma(Token(())))
                .__bindgen_anon_1
                .__bindgen_anon_1
                .vm_end
        }
    }

    /// Walks the page tables of a part of the VMA, in bytes, and tells the walker what is there.
    ///
    /// Returns what the walker has stopped with, or [`None`] if it has seen all. Also the entries of a
    /// PFNMAP VMA are shown. Nothing is shown of a hugetlb VMA that was found through the reverse mapping:
    /// that takes a lock which comes before the one that is held.
    ///
    /// A table that goes away while its own entries are about to be looked at is told once more, as
    /// whatever is there then.
    ///
    /// # Context
    ///
    /// Sleeps. Some of the walker's functions must not, see there.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the range is not whole pages, or none, or not all in the VMA.
    /// - [`EINTR`] if the current task is about to die, and the VMA was found through the reverse mapping:
    ///   there, the walk looks at the other mappings of the file first, of which there can be very many.
    ///
    /// # Examples
    ///
    /// See [`PageWalk`].
    fn walk_page_range_vma<W: PageWalk>(
        &self,
        range: Range<usize>,
        walker: &mut W,
    ) -> Result<Option<W::Break>> {
        let unaligned = (range.start | range.end) & !crate::page::PAGE_MASK != 0;
        if unaligned
            || range.start >= range.end
            || range.start < self.start()
            || range.end > self.end()
        {
            return Err(EINVAL);
        }
        // SAFETY: By what the supertrait asks for. The range was just checked.
        unsafe { walk::vma(self.vma(Token(())), self.held(Token(())), range, walker) }
    }
}

/// A view of a VMA under the mmap lock or the VMA lock: page tables can be installed, if the VMA is
/// the driver's own.
///
/// Not implemented by what is found through the reverse mapping: it shows a VMA that is being
/// unmapped for a while after its entries were cleared, and an entry that is made then is lost
/// together with the table that it is in.
///
/// # Examples
///
/// ```
/// use kernel::mm::{evidence::Install, ops::{HasVmOps, Mixed}, Folio};
///
/// /// Maps the first page of a folio, where the VMA is one of `O`.
/// fn refill<O: HasVmOps<Memory = Mixed>>(vma: &impl Install, folio: &Folio) -> Result {
///     vma.as_own::<O>()
///         .ok_or(EINVAL)?
///         .insert_page(vma.start(), folio, 0)
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "page tables must not be installed with `{Self}` as the evidence",
    label = "found through the reverse mapping?",
    note = "installing needs the mmap lock or the VMA lock (Documentation/mm/process_addrs.rst)"
)]
pub trait Install: Stable {
    /// Returns the VMA as one of the driver's own, if that is what it is.
    ///
    /// As [`VmaRef::as_owned`]; what can be installed and zapped are methods of the result.
    #[inline]
    fn as_own<O: HasVmOps>(&self) -> Option<&OwnedVma<O>> {
        // SAFETY: By what the supertrait asks for, and since implementors hold the mmap lock or the
        // VMA lock.
        unsafe { VmaRef::from_raw(self.vma(Token(()))) }.as_owned()
    }
}

/// Makes a view that was found under the mmap lock or the VMA lock evidence for installing. It needs
/// a method `as_ptr`.
macro_rules! install_evidence {
    (impl$(<$param:ident: $bound:path>)? for $view:ty, under $held:ident) => {
        // SAFETY: By its type invariants, that lock is held.
        unsafe impl $(<$param: $bound>)? $crate::mm::evidence::sealed::Sealed for $view {
            #[inline]
            fn vma(
                &self,
                _: $crate::mm::evidence::sealed::Token,
            ) -> *mut $crate::bindings::vm_area_struct {
                self.as_ptr()
            }

            #[inline]
            fn held(
                &self,
                _: $crate::mm::evidence::sealed::Token,
            ) -> $crate::mm::evidence::sealed::Held {
                $crate::mm::evidence::sealed::Held::$held
            }
        }

        impl $(<$param: $bound>)? $crate::mm::evidence::Stable for $view {}
        impl $(<$param: $bound>)? $crate::mm::evidence::Install for $view {}
    };
}

install_evidence!(impl for VmaRef, under MmapOrVma);
install_evidence!(impl for VmaUnderWrite, under Mmap);
install_evidence!(impl for VmaWriteRef, under Mmap);
install_evidence!(impl<O: VmOperations> for OwnedVma<O>, under MmapOrVma);
