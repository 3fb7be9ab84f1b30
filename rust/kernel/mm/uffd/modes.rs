// SPDX-License-Identifier: GPL-2.0

//! The modes in which user space can register memory with a userfaultfd.

use crate::{
    bindings,
    mm::vma::StableVma, //
};
use core::ops::BitOr;

/// A set of modes in which user space can register memory with a userfaultfd.
///
/// # Examples
///
/// ```
/// use kernel::mm::uffd::UffdModes;
///
/// let modes = UffdModes::MISSING | UffdModes::WRITE_PROTECT;
/// assert!(modes.contains(UffdModes::MISSING));
/// assert!(!modes.contains(UffdModes::MISSING | UffdModes::MINOR));
/// assert_eq!(UffdModes::from_bits(modes.bits()), Some(modes));
/// assert_eq!(UffdModes::from_bits(1 << 4), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UffdModes(u32);

impl UffdModes {
    /// Accesses to pages that are not in the page cache: `UFFDIO_REGISTER_MODE_MISSING`.
    pub const MISSING: Self = Self(1 << 0);
    /// Accesses to pages that are in the page cache but not mapped: `UFFDIO_REGISTER_MODE_MINOR`.
    pub const MINOR: Self = Self(1 << 1);
    /// Writes to pages that user space has write-protected: `UFFDIO_REGISTER_MODE_WP`.
    pub const WRITE_PROTECT: Self = Self(1 << 2);
    /// Accesses to pages that user space has protected: `UFFDIO_REGISTER_MODE_RWP`.
    ///
    /// Linux 7.2 does not have this mode.
    pub const READ_WRITE_PROTECT: Self = Self(1 << 3);

    const ALL: u32 = (1 << 4) - 1;

    /// Returns the set without any mode.
    #[inline]
    pub const fn empty() -> Self {
        Self(0)
    }

    /// Returns the set with all modes.
    #[inline]
    pub const fn all() -> Self {
        Self(Self::ALL)
    }

    /// Returns the set as bits: 1 is [`MISSING`](Self::MISSING), 2 is [`MINOR`](Self::MINOR), 4 is
    /// [`WRITE_PROTECT`](Self::WRITE_PROTECT), and 8 is
    /// [`READ_WRITE_PROTECT`](Self::READ_WRITE_PROTECT).
    #[inline]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Returns the set that has these [`bits`](Self::bits), or [`None`] if there is another bit.
    #[inline]
    pub const fn from_bits(bits: u32) -> Option<Self> {
        if bits & !Self::ALL == 0 {
            Some(Self(bits))
        } else {
            None
        }
    }

    /// Returns whether all modes of `other` are in this set.
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// Returns the modes in the flags of a VMA, or in those that it will have.
    #[inline]
    pub(crate) fn from_vm_flags(flags: bindings::vm_flags_t) -> Self {
        // SAFETY: The function only looks at its argument.
        Self(unsafe { bindings::rust_uffd_modes(flags) })
    }

    /// Returns the modes in which a VMA is registered.
    #[inline]
    pub(super) fn of_vma(vma: &StableVma) -> Self {
        // SAFETY: By the type invariants, the VMA is alive. The flags of userfaultfd do not change.
        Self(unsafe { bindings::rust_uffd_vma_modes(vma.as_ptr()) })
    }
}

impl BitOr for UffdModes {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
