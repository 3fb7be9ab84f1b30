// SPDX-License-Identifier: GPL-2.0

//! Allocation flags from callers.

use crate::alloc::{
    flags::{
        GFP_ATOMIC,
        GFP_KERNEL,
        GFP_KERNEL_ACCOUNT,
        GFP_NOWAIT, //
        __GFP_HIGHMEM,
        __GFP_NOWARN,
        __GFP_ZERO,
    },
    Flags, //
};

/// Returns those of the flags that a caller can name.
///
/// `!` gives a caller all the others as well. Some of them break what the allocator promises: memory that
/// is to be zeroed is not with `__GFP_SKIP_ZERO`, and a zone that does not exist is a bug.
pub(in crate::mm) fn known(flags: Flags) -> Flags {
    flags
        & (GFP_ATOMIC
            | GFP_KERNEL
            | GFP_KERNEL_ACCOUNT
            | GFP_NOWAIT
            | __GFP_HIGHMEM
            | __GFP_NOWARN
            | __GFP_ZERO)
}
