// SPDX-License-Identifier: GPL-2.0

// A driver installs a reserved descriptor, and uses the reservation after that.
// error: E0382
// message: `ReservedFile::install` takes ownership of the receiver `self`

include!("prelude.rs");

use kernel::fs::anon_inode::ReservedFile;

pub fn install(file: ReservedFile) -> u32 {
    let fd = file.fd();
    file.install();
    #[cfg(not(twin))]
    let fd = file.fd();
    fd
}
