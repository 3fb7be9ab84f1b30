// SPDX-License-Identifier: GPL-2.0

// A driver populates a mapping with PFNs of revocable memory at mmap time.
// error: E0308
// message: expected `PfnSlice<'_>`, found `RevocableSlice<'_>`

include!("prelude.rs");

pub fn hook<'f>(
    desc: VmaDesc<'f, ()>,
    revocable: &'f RevocableMemory,
    pfns: &'f PfnRange,
) -> Result<Mapping<'f, ()>> {
    let _ = (revocable, pfns);
    let range = desc.range();
    #[cfg(not(twin))]
    return desc.remap_pfn_range(range, revocable.all(), Cache::NonCached);
    #[cfg(twin)]
    return desc.remap_pfn_range(range, pfns.all(), Cache::NonCached);
}
