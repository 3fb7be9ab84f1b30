// SPDX-License-Identifier: GPL-2.0

//! Cache modes.

use crate::bindings;

/// The cache mode of accesses through a mapping of PFNs.
///
/// On x86 the mode is only a request, because the kernel keeps one mode for each PFN. If the PFNs
/// are mapped elsewhere already, or if the range is only a part of the mapping, the kernel uses the
/// mode that the PFNs have; `mmap` fails with [`EINVAL`](crate::error::code::EINVAL) if their modes
/// differ. Memory below 1 MiB is always cached.
///
/// PFNs of a device that are faulted in are not cached unless another mode was reserved for them
/// before. For [`WriteCombined`](Cache::WriteCombined) and a PCI BAR,
/// [`map_write_combined`](crate::pci::ClaimedBar::map_write_combined) does that. A mapping that is
/// populated at mmap time reserves its mode itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// Accesses are cached, as those of RAM.
    ///
    /// Not for registers: the processor may read ahead.
    Cached,
    /// Writes may be combined, and reads are not cached.
    ///
    /// For frame buffers and the like.
    WriteCombined,
    /// Each access goes to the device, in order.
    ///
    /// For registers.
    NonCached,
}

impl Cache {
    /// Returns `prot`, which has no cache mode yet, with this mode added.
    #[inline]
    pub(in crate::mm) fn apply(self, prot: bindings::pgprot_t) -> bindings::pgprot_t {
        match self {
            Cache::Cached => prot,
            // SAFETY: `pgprot_writecombine` only computes a value from its argument.
            Cache::WriteCombined => unsafe { bindings::pgprot_writecombine(prot) },
            // SAFETY: `pgprot_noncached` only computes a value from its argument.
            Cache::NonCached => unsafe { bindings::pgprot_noncached(prot) },
        }
    }
}
