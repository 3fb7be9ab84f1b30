// SPDX-License-Identifier: GPL-2.0

// A driver hands the context of a fault to another thread, which does not hold the lock.
// error: E0599
// message: the method `to_another_thread` exists for struct `Handed<&UffdFault<Memory>>`, but its

include!("prelude.rs");

use kernel::mm::uffd::{UffdAnswer, UffdFault, UffdOps};

struct Memory;

#[vtable]
impl UffdOps for Memory {
    type Data = ();

    fn fault(fault: &UffdFault<Self>) -> Result<UffdAnswer<'_>, FaultError> {
        #[cfg(not(twin))]
        let fault = Handed(fault).to_another_thread();
        #[cfg(twin)]
        let fault = Handed(fault).to_this_thread();
        Ok(fault.leave_to_layer())
    }
}
