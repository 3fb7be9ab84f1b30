// SPDX-License-Identifier: GPL-2.0

// A range of page frames out of thin air.
// error: E0133
// message: call to unsafe function `PfnRange::new` is unsafe

include!("prelude.rs");

pub fn frames() -> Result<PfnRange> {
    #[cfg(not(twin))]
    return PfnRange::new(0x100, 1);
    #[cfg(twin)]
    // SAFETY: Not run.
    return unsafe { PfnRange::new(0x100, 1) };
}
