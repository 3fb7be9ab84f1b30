// SPDX-License-Identifier: GPL-2.0

// A driver reads pages on which it holds only a reference, not a pin.
// error: E0599
// message: the method `read_at` exists for struct `UserPages<Referenced, ReadOnly>`, but its trait

include!("prelude.rs");

use kernel::mm::gup::{Pinned, ReadOnly, Referenced, UserPages};

pub fn read(addr: usize, out: &mut [u8]) -> Result {
    #[cfg(not(twin))]
    type H = Referenced;
    #[cfg(twin)]
    type H = Pinned;
    let _ = (
        UserPages::<Pinned, ReadOnly>::fast,
        UserPages::<Referenced, ReadOnly>::fast,
    );
    UserPages::<H, ReadOnly>::fast(addr, 1)?.read_at(0, out)
}
