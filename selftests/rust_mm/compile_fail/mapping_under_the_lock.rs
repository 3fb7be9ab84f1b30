// SPDX-License-Identifier: GPL-2.0

// A caller unmaps memory, which takes the mmap lock, while it holds that lock.
// error: E0502
// message: cannot borrow `*mm` as mutable because it is also borrowed as immutable

include!("prelude.rs");

use kernel::mm::current::CurrentMm;

pub fn start(mm: &mut CurrentMm<'_>, addr: usize) -> Result<bool> {
    let guard = mm.mmap_read_lock();
    let mapped = guard.vma_lookup(addr).is_some();
    #[cfg(twin)]
    drop(guard);
    mm.vm_munmap(addr, PAGE_SIZE)?;
    #[cfg(not(twin))]
    drop(guard);
    Ok(mapped)
}
