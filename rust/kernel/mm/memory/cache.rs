// SPDX-License-Identifier: GPL-2.0

//! Cache modes.

use crate::bindings;

/// How the processor caches accesses through a mapping of page frames.
///
/// On x86 this is a wish: the kernel keeps one mode for each frame, so where another mapping exists
/// already, or the range is only a part of the mapping, the mode that the frames have is used, and
/// `mmap` fails with [`EINVAL`](crate::error::code::EINVAL) where they have several. Memory below 1 MiB is always cached. Frames of
/// devices that come by faults are not cached unless another mode was reserved for them before, which
/// the layer does not do: [`WriteCombined`](Cache::WriteCombined) is for what is filled when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// As RAM is. Not for registers: the processor may read ahead.
    Cached,
    /// Writes may be gathered, reads are not cached. For frame buffers and alike.
    WriteCombined,
    /// Each access goes to the device, in order. For registers.
    NonCached,
}

impl Cache {
    /// Adds the mode to a protection that has none.
    #[inline]
    pub(in crate::mm) fn apply(self, prot: bindings::pgprot_t) -> bindings::pgprot_t {
        match self {
            Cache::Cached => prot,
            // SAFETY: A pure computation.
            Cache::WriteCombined => unsafe { bindings::pgprot_writecombine(prot) },
            // SAFETY: A pure computation.
            Cache::NonCached => unsafe { bindings::pgprot_noncached(prot) },
        }
    }
}
