// SPDX-License-Identifier: GPL-2.0

// A driver maps revocable memory by a PMD mapping, which `fork` or `mremap` could copy or move past
// a revocation.
// error: E0308
// message: expected `PfnSlice<'_>`, found `RevocableSlice<'_>`

include!("prelude.rs");

pub fn answer<'a, O>(
    vmf: &'a HugeFault<O>,
    revocable: &RevocableMemory,
    pfns: &PfnRange,
) -> Result<HugeAnswer<'a>, FaultError>
where
    O: VmOperations<Memory = Pfn>,
{
    let _ = (revocable, pfns);
    #[cfg(not(twin))]
    return vmf.insert_pfns(revocable.all(), 0);
    #[cfg(twin)]
    return vmf.insert_pfns(pfns.all(), 0);
}
