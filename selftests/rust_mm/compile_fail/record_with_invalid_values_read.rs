// SPDX-License-Identifier: GPL-2.0

// A driver reads a record that not every value is valid for, from memory that user space writes.
// error: E0277
// message: FromBytes` is not satisfied

include!("prelude.rs");

pub fn read(pages: &KernelPages) -> Result<bool> {
    #[cfg(not(twin))]
    return pages.read_record::<bool>(0);
    #[cfg(twin)]
    return Ok(pages.read_record::<u8>(0)? != 0);
}
