// SPDX-License-Identifier: GPL-2.0

//! Access to a mapping's memory by somebody else than its process.

use crate::{
    bindings,
    mm::flags::{
        VmaFlag,
        VmaFlags, //
    }, //
};
use core::marker::PhantomData;

/// What is asked of [`VmOperations::access`](super::VmOperations::access).
///
/// Never longer than what is left of the VMA. Made by the layer only, for that callback.
#[derive(Debug)]
pub enum Access<'a> {
    /// Copy the memory to the buffer. The process may read it, or could ask for that.
    #[non_exhaustive]
    Read(&'a mut [u8], #[doc(hidden)] Accessed<'a>),
    /// Copy the buffer to the memory. The process may write it, and others see what it writes.
    #[non_exhaustive]
    Write(&'a [u8], #[doc(hidden)] Accessed<'a>),
}

/// The VMA that is accessed: it is the one whose mm is locked by the mmap lock, on this thread.
#[doc(hidden)]
#[derive(Debug)]
// The pointer is for `access_phys`.
#[cfg_attr(not(CONFIG_HAVE_IOREMAP_PROT), expect(dead_code))]
pub struct Accessed<'a>(
    pub(in crate::mm) *mut bindings::vm_area_struct,
    pub(super) PhantomData<&'a ()>,
);

/// May a debugger be let in? Only as the kernel would, were these pages of its own
/// (`check_vma_flags()` in mm/gup.c, with `FOLL_FORCE`): what cannot become readable is not read, what
/// is not writable is not written, and a write to a private mapping is for its private copy.
pub(super) fn is_permitted(flags: VmaFlags, write: bool) -> bool {
    match write {
        true => flags.contains_all(VmaFlags::new([VmaFlag::WRITE, VmaFlag::SHARED])),
        false => flags.contains(VmaFlag::MAYREAD),
    }
}

impl Access<'_> {
    /// Returns the number of bytes that are asked for.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Access::Read(buf, _) => buf.len(),
            Access::Write(buf, _) => buf.len(),
        }
    }

    /// Is nothing asked for? Never true in a callback.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
