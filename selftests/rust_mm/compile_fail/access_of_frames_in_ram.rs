// SPDX-License-Identifier: GPL-2.0

// A driver gives a debugger PFNs that need not be those of a device: the kernel would map them as
// registers.
// error: E0308
// message: expected `RevocableSlice<'_>`, found `PfnSlice<'_>`

include!("prelude.rs");

pub fn access<O>(
    vma: &DriverVmaUnderMmap<O>,
    addr: usize,
    access: Access<'_>,
    revocable: &RevocableMemory,
    pfns: &PfnRange,
) -> Result<usize>
where
    O: VmOperations<Memory = Pfn>,
{
    let _ = (revocable, pfns);
    #[cfg(not(twin))]
    return vma.access_pfn(addr, pfns.all(), 0, access);
    #[cfg(twin)]
    return vma.access_pfn(addr, revocable.all(), 0, access);
}
