// SPDX-License-Identifier: GPL-2.0

//! What a view of a VMA proves: the lock that keeps it.
//!
//! For what may be done with the page tables of a VMA, it matters which lock keeps the VMA there
//! (Documentation/mm/process_addrs.rst). Traversing them, and zapping, takes any of the mmap lock,
//! the VMA lock and a lock of the reverse mapping; installing takes one of the first two. [`Traverse`]
//! is the first kind of evidence, [`Install`](crate::mm::ops::Install) the second.
//!
//! Page tables are freed by the kernel alone, after the VMA is out of reach of all three locks. No
//! view can stand for that, and there is no function for it.

use super::{
    VmaRange,
    VmaUnderMmap,
    VmaUnderVmaLock,
    VmaUnderWrite,
    VmaWriteRef, //
};
use crate::bindings;

/// What only this layer can make, and so only it can call what takes it.
pub struct Token(pub(in crate::mm) ());

/// The lock that a view was found under.
pub enum Held {
    /// The mmap lock.
    Mmap,
    /// The VMA lock.
    Vma,
    /// The i_mmap lock of this mm.
    Rmap(*mut bindings::address_space),
}

/// # Safety
///
/// For as long as there is a reference, the result of `vma` must be a VMA whose range and page
/// offset cannot change, which is part of an mm whose page tables are not freed, and the current
/// thread must hold the lock that `held` names.
pub unsafe trait Sealed {
    /// Returns the VMA.
    #[doc(hidden)]
    fn vma(&self, _: Token) -> *mut bindings::vm_area_struct;

    /// Returns the lock that keeps it.
    #[doc(hidden)]
    fn held(&self, _: Token) -> Held;
}

/// A view of a VMA that keeps it where it is, by whichever lock: its page tables can be traversed.
///
/// # Examples
///
/// ```
/// use kernel::mm::{pgtable::PageCounts, vma::Traverse};
///
/// /// Returns how many bytes are mapped and present in a VMA, however it was found.
/// fn present(vma: &impl Traverse) -> Result<usize> {
///     let range = vma.vma_range();
///     Ok(PageCounts::of(vma, range.start()..range.end())?.present)
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not tell which lock keeps a VMA",
    note = "traversing page tables needs the mmap lock, the VMA lock or the i_mmap lock, and so a \
            view of the VMA that the guard of one of these gives"
)]
pub trait Traverse: Sealed {
    /// Returns the range and the page offset of the VMA.
    #[inline]
    fn vma_range(&self) -> &VmaRange {
        // SAFETY: By what the supertrait asks for, the VMA is there, and its range and page offset do
        // not change, for as long as `self` is borrowed. The types have the same layout.
        unsafe { &*self.vma(Token(())).cast() }
    }
}

/// Makes a view evidence of the lock that it was found under.
macro_rules! evidence {
    ($view:ty, $held:ident) => {
        // SAFETY: By its type invariants, that lock is held.
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
