// SPDX-License-Identifier: GPL-2.0

// A driver reads a record that has no room on the stack.
// error: E0080
// message: a record is a value on the stack: use `read_at` and `write_at` for more than 512 bytes

include!("prelude.rs");

#[cfg(not(twin))]
type Record = [u8; 513];
#[cfg(twin)]
type Record = [u8; 512];

pub fn read(pages: &KernelPages) -> Result<Record> {
    pages.read_record(0)
}
