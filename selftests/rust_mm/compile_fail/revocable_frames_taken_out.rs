// SPDX-License-Identifier: GPL-2.0

// Memory of a device that may go away, as frames that could be put anywhere. With the right mapping, this
// would get them, had a driver what only the layer has.
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
