// SPDX-License-Identifier: GPL-2.0

// Keeping an entry of a page table for longer than its lock.
// error: E0521
// message: `entry` is a reference that is only valid in the closure body

include!("prelude.rs");

use kernel::mm::{pgtable::PfnmapEntry, MmapReadGuard};

pub fn pfn(guard: &MmapReadGuard<'_>, addr: usize) -> Result<usize> {
    let mut kept: Option<&PfnmapEntry<'_>> = None;
    let pfn = guard.follow_pfnmap(addr, |entry| {
        #[cfg(not(twin))]
        let _ = kept.insert(entry);
        entry.pfn()
    })?;
    let _ = kept.take();
    Ok(pfn)
}
