// SPDX-License-Identifier: GPL-2.0

// A driver takes the PFNs out of revocable memory, and so could map them anywhere. `enter` would
// return them for the right mapping, but needs a value that only the layer can make.
// error: E0603
// message: module `memory` is private

include!("prelude.rs");

pub fn insert<O>(vma: &DriverVma<O>, revocable: &RevocableMemory) -> Result
where
    O: VmOperations<Memory = Pfn>,
{
    let frames = revocable.all();
    #[cfg(not(twin))]
    return frames
        .enter(kernel::mm::memory::pfn::Insertion(()), core::ptr::null())
        .map(drop);
    #[cfg(twin)]
    return vma.insert_pfn(vma.start(), frames, 0);
}
