// SPDX-License-Identifier: GPL-2.0

// A driver writes to pages that it has pinned for reading.
// error: E0599
// message: no method named `write_at` found for struct `UserPages<kernel::mm::gup::Pinned,

include!("prelude.rs");

use kernel::mm::gup::{Pinned, ReadOnly, ReadWrite, UserPages};

pub fn write(addr: usize) -> Result {
    #[cfg(not(twin))]
    type A = ReadOnly;
    #[cfg(twin)]
    type A = ReadWrite;
    let _ = (
        UserPages::<Pinned, ReadOnly>::fast,
        UserPages::<Pinned, ReadWrite>::fast,
    );
    UserPages::<Pinned, A>::fast(addr, 1)?.write_at(0, b"x")
}
