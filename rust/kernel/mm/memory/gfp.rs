// SPDX-License-Identifier: GPL-2.0

//! Allocation flags and nodes that callers pass in.

use crate::{
    alloc::{
        flags::{
            GFP_ATOMIC,
            GFP_KERNEL,
            GFP_KERNEL_ACCOUNT,
            GFP_NOWAIT, //
            __GFP_HIGHMEM,
            __GFP_NOWARN,
            __GFP_ZERO,
        },
        Flags,
        NumaNode, //
    },
    bindings,
    prelude::*, //
};

/// Returns those of the flags that have a name in [`alloc::flags`](crate::alloc::flags).
///
/// A caller can also set the other bits, with `!`. Some of them break guarantees of the allocator:
/// `__GFP_SKIP_ZERO` leaves memory unzeroed that `__GFP_ZERO` asks to be zeroed, and the allocator
/// treats a combination of zone bits for which there is no zone as a bug.
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

/// Returns the number of a node that the kernel can allocate from, or `NUMA_NO_NODE`.
///
/// The kernel can also allocate from a node that has gone offline since: it takes the memory of
/// another one.
///
/// # Errors
///
/// [`EINVAL`] if the node is not online.
pub(in crate::mm) fn node(node: NumaNode) -> Result<i32> {
    let nid = node.as_raw();
    // SAFETY: The number of a node is below `MAX_NUMNODES`.
    if node == NumaNode::NO_NODE || unsafe { bindings::node_online(nid) } {
        Ok(nid)
    } else {
        Err(EINVAL)
    }
}
