// SPDX-License-Identifier: GPL-2.0

//! What differs between kernel series: how pages are faulted in, and how the module of a driver is
//! named.

use super::MirrorOps;
use crate::{
    bindings,
    error::{
        to_result,
        Result, //
    },
    mm::MmWithUser,
    module::this_module,
    time::msecs_to_jiffies, //
};

/// Returns the module that implements `T`.
pub(super) const fn owner<T: MirrorOps>() -> *mut bindings::module {
    this_module::<T::OwnerModule>().as_ptr()
}

/// Faults in the pages of a range, and sets `notifier_seq` of it.
///
/// # Safety
///
/// - The notifier of `range` must be inserted in `mm`, and the addresses must be in its range.
/// - `hmm_pfns` must have an element for each page.
pub(super) unsafe fn fault(_mm: &MmWithUser, range: &mut bindings::hmm_range) -> Result {
    let timeout = msecs_to_jiffies(bindings::HMM_RANGE_DEFAULT_TIMEOUT);
    // SAFETY: By the safety requirements of this function, `range` is right, and its mm has a
    // user.
    to_result(unsafe { bindings::hmm_range_fault_unlocked_timeout(range, timeout) })
}
