// SPDX-License-Identifier: GPL-2.0

// A fault handler raises a fault to user space without a check that the VMA is registered.
// error: E0277
// message: the trait bound `UffdAnswer<'_>: From<Option<Raise<'_>>>` is not satisfied

include!("prelude.rs");

use kernel::mm::uffd::{UffdAnswer, UffdFault, UffdOps};

struct Memory;

#[vtable]
impl UffdOps for Memory {
    type Data = ();

    fn fault(fault: &UffdFault<Self>) -> Result<UffdAnswer<'_>, FaultError> {
        let raise = fault.missing();
        #[cfg(twin)]
        let Some(raise) = raise
        else {
            return Ok(fault.leave_to_layer());
        };
        Ok(raise.into())
    }
}
