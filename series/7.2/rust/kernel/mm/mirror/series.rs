// SPDX-License-Identifier: GPL-2.0

//! What differs between kernel series: how pages are faulted in, and how the module of a driver is
//! named.

use super::MirrorOps;
use crate::{
    bindings,
    error::{
        code::EBUSY,
        to_result,
        Result, //
    },
    mm::MmWithUser,
    time::{
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// Returns the module that implements `T`.
pub(super) const fn owner<T: MirrorOps>() -> *mut bindings::module {
    T::OWNER.as_ptr()
}

/// Faults in the pages of a range, and sets `notifier_seq` of it.
///
/// # Safety
///
/// - The notifier of `range` must be inserted in `mm`, and the addresses must be in its range.
/// - `hmm_pfns` must have an element for each page.
pub(super) unsafe fn fault(mm: &MmWithUser, range: &mut bindings::hmm_range) -> Result {
    let began = Instant::<Monotonic>::now();
    loop {
        // SAFETY: By the safety requirements of this function, the notifier is inserted.
        range.notifier_seq = unsafe { bindings::mmu_interval_read_begin(range.notifier) };
        let lock = mm.mmap_read_lock_killable()?;
        // SAFETY: By the safety requirements of this function, `range` is right. The mmap lock of
        // its mm is held.
        let done = to_result(unsafe { bindings::hmm_range_fault(range) });
        drop(lock);
        let timeout = Delta::from_millis(i64::from(bindings::HMM_RANGE_DEFAULT_TIMEOUT));
        if done != Err(EBUSY) || began.elapsed() > timeout {
            return done;
        }
    }
}
