// SPDX-License-Identifier: GPL-2.0

//! System calls that change mappings, and that the kernel can only call through their entry points.

use crate::{
    bindings,
    error::to_result,
    mm::testing::UserMm,
    prelude::*, //
};

extern "C" {
    fn __x64_sys_mprotect(regs: *const bindings::pt_regs) -> c_long;
    fn __x64_sys_mremap(regs: *const bindings::pt_regs) -> c_long;
}

/// Calls `mprotect(2)`.
pub(super) fn mprotect(_: &UserMm, addr: usize, len: usize, prot: usize) -> Result {
    let mut regs: bindings::pt_regs = pin_init::zeroed();
    regs.di = addr;
    regs.si = len;
    regs.dx = prot;
    // SAFETY: The current thread uses an mm, which is the test's own, and the registers hold the
    // arguments.
    to_result(unsafe { __x64_sys_mprotect(&regs) } as c_int)
}

/// Calls `mremap(2)`, with a fixed target address or without, and returns the new address.
fn mremap_any(from: usize, old: usize, new: usize, to: Option<usize>) -> Result<usize> {
    let mut regs: bindings::pt_regs = pin_init::zeroed();
    regs.di = from;
    regs.si = old;
    regs.dx = new;
    regs.r10 = bindings::MREMAP_MAYMOVE as usize;
    if let Some(to) = to {
        regs.r10 |= bindings::MREMAP_FIXED as usize;
        regs.r8 = to;
    }
    // SAFETY: The current thread uses an mm, which is the test's own, and the registers hold the
    // arguments.
    let ret = unsafe { __x64_sys_mremap(&regs) };
    // An address does not fit into a `c_int`; an errno does.
    to_result(c_int::try_from(ret).unwrap_or(0))?;
    Ok(ret as usize)
}

/// Calls `mremap(2)` with a fixed target address.
pub(super) fn mremap(_: &UserMm, from: usize, old: usize, new: usize, to: usize) -> Result {
    mremap_any(from, old, new, Some(to)).map(drop)
}

/// Calls `mremap(2)` with a new length, without a target address, and returns the new address.
pub(super) fn resize(_: &UserMm, from: usize, old: usize, new: usize) -> Result<usize> {
    mremap_any(from, old, new, None)
}
