// SPDX-License-Identifier: GPL-2.0

// A driver populates a mapping of revocable memory at mmap time.
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
