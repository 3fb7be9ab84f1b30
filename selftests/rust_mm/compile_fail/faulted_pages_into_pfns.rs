// SPDX-License-Identifier: GPL-2.0

// A driver answers a fault in a PFN mapping with pages that have reference counts.
// error: E0277
// message: the trait bound `Pfn: Paged` is not satisfied

include!("prelude.rs");

use kernel::mm::FaultedPages;

pub fn fault<'a, O>(pages: &FaultedPages, vmf: &'a Fault<O>) -> Result<FaultAnswer<'a>, FaultError>
where
    O: VmOperations<Memory = Memory>,
{
    pages.fault(vmf)
}

#[cfg(not(twin))]
type Memory = Pfn;
#[cfg(twin)]
type Memory = Ordinary;
