// SPDX-License-Identifier: GPL-2.0

// A fault handler keeps the right to raise the fault to user space.
// error: E0521
// message: `fault` escapes the associated function body here

include!("prelude.rs");

use kernel::mm::uffd::{Raise, UffdAnswer, UffdFault, UffdOps};

struct Memory;

#[vtable]
impl UffdOps for Memory {
    type Data = ();

    fn fault(fault: &UffdFault<Self>) -> Result<UffdAnswer<'_>, FaultError> {
        if let Some(raise) = fault.missing() {
            #[cfg(not(twin))]
            keep(raise);
            #[cfg(twin)]
            return Ok(raise.into());
        }
        Ok(fault.leave_to_layer())
    }
}

#[allow(dead_code)]
fn keep(raise: Raise<'static>) {
    core::mem::forget(raise);
}
