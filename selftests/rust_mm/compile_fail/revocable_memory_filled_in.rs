// SPDX-License-Identifier: GPL-2.0

// Memory of a device that may go away, in a mapping that is filled when it is made.
// error: E0308
// message: expected `&DeviceMemory`, found `&RevocableMemory`

include!("prelude.rs");

pub fn hook<'f>(
    desc: VmaDesc<'f, ()>,
    revocable: &'f RevocableMemory,
    memory: &'f DeviceMemory,
) -> Result<Mapping<'f, ()>> {
    let _ = (revocable, memory);
    #[cfg(not(twin))]
    return desc.io_remap(revocable, Cache::NonCached);
    #[cfg(twin)]
    return desc.io_remap(memory, Cache::NonCached);
}
