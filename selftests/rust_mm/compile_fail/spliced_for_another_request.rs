// SPDX-License-Identifier: GPL-2.0

// A driver answers one request to splice with what it has spliced for another one.
// error: no-code
// message: function was supposed to return data with lifetime `'a` but it is returning data

include!("prelude.rs");

use kernel::fs::splice::{SpliceRead, Spliced};

#[cfg(not(twin))]
pub fn splice<'a, 'b>(_: SpliceRead<'a>, earlier: SpliceRead<'b>) -> Result<Spliced<'a>> {
    earlier.by_read_iter()
}
#[cfg(twin)]
pub fn splice<'a, 'b>(request: SpliceRead<'a>, _: SpliceRead<'b>) -> Result<Spliced<'a>> {
    request.by_read_iter()
}
