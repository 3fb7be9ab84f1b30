// SPDX-License-Identifier: GPL-2.0

// A driver keeps the lock of a folio for longer than it has the file.
// error: no-code
// message: returning this value requires that `'a` must outlive `'static`

include!("prelude.rs");

use kernel::mm::filemap::{LockedCacheFolio, PageCache};

#[cfg(not(twin))]
type Locked<'a> = LockedCacheFolio<'static>;
#[cfg(twin)]
type Locked<'a> = LockedCacheFolio<'a>;

pub fn lock<'a>(cache: &'a PageCache) -> Result<Locked<'a>> {
    cache.get_or_add(0)
}
