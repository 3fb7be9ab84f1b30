// SPDX-License-Identifier: GPL-2.0

// Safe code makes a range of PFNs that nothing proves user space may have.
// error: E0133
// message: call to unsafe function `PfnRange::new` is unsafe

include!("prelude.rs");

pub fn frames() -> Result<PfnRange> {
    #[cfg(not(twin))]
    return PfnRange::new(0x100, 1);
    #[cfg(twin)]
    // SAFETY: None. The case only compiles.
    return unsafe { PfnRange::new(0x100, 1) };
}
