// SPDX-License-Identifier: GPL-2.0

//! Evidence of the lock that keeps a VMA, which a view of the VMA gives.
//!
//! This lock decides what may be done with the page tables of the VMA
//! (Documentation/mm/process_addrs.rst). Traversing them, and zapping, takes any of the mmap lock,
//! the VMA lock and a lock of the reverse mapping; installing takes one of the first two.
//! [`Traverse`] is the first kind of evidence, [`Install`](crate::mm::ops::Install) the second.
//!
//! Only the kernel frees page tables, after the VMA is no longer reachable under any of the three
//! locks. No view stands for that state, and there is no function for it.

use super::{
    VmaRange,
    VmaUnderMmap,
    VmaUnderVmaLock,
    VmaUnderWrite,
    VmaWriteRef, //
};
use crate::bindings;

/// A token that only this layer can make.
///
/// It keeps drivers from calling the methods that take it.
pub struct Token(pub(in crate::mm) ());

/// The lock under which a view was found.
pub enum Held {
    /// The mmap lock.
    Mmap,
    /// The VMA lock.
    Vma,
    /// The i_mmap lock of this `address_space`.
    Rmap(*mut bindings::address_space),
}

/// A view that knows its VMA, and the lock that keeps the VMA.
///
/// # Safety
///
/// For as long as there is a reference to the view:
///
/// - The result of `vma` must be a VMA whose range and page offset cannot change, in an mm whose
///   page tables are not freed.
/// - The current thread must hold the lock that `held` returns.
pub unsafe trait Sealed {
    /// Returns the VMA.
    #[doc(hidden)]
    fn vma(&self, _: Token) -> *mut bindings::vm_area_struct;

    /// Returns the lock that keeps the VMA.
    #[doc(hidden)]
    fn held(&self, _: Token) -> Held;
}

/// A view of a VMA under a lock that allows traversing its page tables.
///
/// # Examples
///
/// ```
/// use kernel::mm::{pgtable::PageCounts, vma::Traverse};
///
/// /// Returns how many bytes are mapped and present in a VMA, under any of the locks.
/// fn present(vma: &impl Traverse) -> Result<usize> {
///     let range = vma.vma_range();
///     Ok(PageCounts::of(vma, range.start()..range.end())?.present)
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not evidence of a lock that keeps a VMA",
    note = "traversing page tables needs a view of the VMA from a guard of the mmap lock, the VMA \
            lock or the i_mmap lock"
)]
pub trait Traverse: Sealed {
    /// Returns the range and the page offset of the VMA.
    #[inline]
    fn vma_range(&self) -> &VmaRange {
        // SAFETY: By the safety requirements of `Sealed`, the VMA is alive, and its range and page
        // offset do not change, while `self` is borrowed. The types have the same layout.
        unsafe { &*self.vma(Token(())).cast() }
    }
}

/// Implements [`Traverse`] for a view that is found under the given lock.
macro_rules! evidence {
    ($view:ty, $held:ident) => {
        // SAFETY: By the type invariants of the view, the current thread holds that lock, which
        // keeps the range, the page offset and the page tables of the VMA.
        unsafe impl Sealed for $view {
            #[inline]
            fn vma(&self, _: Token) -> *mut bindings::vm_area_struct {
                self.as_ptr()
            }

            #[inline]
            fn held(&self, _: Token) -> Held {
                Held::$held
            }
        }

        impl Traverse for $view {}
    };
}

evidence!(VmaUnderMmap, Mmap);
evidence!(VmaUnderVmaLock, Vma);
evidence!(VmaUnderWrite, Mmap);
evidence!(VmaWriteRef, Mmap);
