// SPDX-License-Identifier: GPL-2.0

// A driver maps pages at mmap time, with operations that map PFNs.
// error: E0599
// message: doesn't satisfy `<Ops as VmOperations>::Memory = Mixed`

include!("prelude.rs");

device!();

struct Ops;

#[vtable]
impl VmOperations for Ops {
    type File = Dev;
    type Data = PerFile;
    type Memory = Pfn;
}

kernel::vm_operations!(Ops);

pub fn hook<'f>(
    pages: &'f KernelPages,
    pfns: &'f PfnRange,
    desc: VmaDesc<'f, Dev>,
) -> Result<Mapping<'f, Dev>> {
    let _ = (pages, pfns);
    #[cfg(not(twin))]
    return desc.with_ops::<Ops>()?.map_kernel_pages(pages);
    #[cfg(twin)]
    return desc.with_ops::<Ops>()?.remap_pfn(pfns, Cache::NonCached);
}
