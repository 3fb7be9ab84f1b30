// SPDX-License-Identifier: GPL-2.0

// A driver makes a memory file of a type without a table, which `memory_file_type!` defines: the
// table would be that of each module that uses the type.
// error: E0277
// message: `Memory` has no table of a memory file

include!("prelude.rs");

use kernel::fs::memory_file::{MemoryFile, Options};
use kernel::mm::uffd::UffdOps;

struct Memory;

#[vtable]
impl UffdOps for Memory {
    type Data = ();
}

#[cfg(twin)]
kernel::memory_file_type!(Memory);

pub fn make() -> Result {
    MemoryFile::<Memory>::new(c"memory", 0, Options::new(), ())?;
    Ok(())
}
