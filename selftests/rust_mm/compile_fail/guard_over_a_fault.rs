// SPDX-License-Identifier: GPL-2.0

// A caller uses the guard of the mmap lock after a fault may have dropped the lock.
// error: E0382
// message: `guard` has type `MmapReadGuard<'_>`, which does not implement the `Copy` trait

include!("prelude.rs");

use kernel::mm::gup::{Pinned, ReadOnly, UserPages};

pub fn end(mm: &MmWithUser, addr: usize) -> Result<usize> {
    let guard = mm.mmap_read_lock();
    let (_pages, _guard) = UserPages::<Pinned, ReadOnly>::remote_unlockable(guard, addr, 1);
    #[cfg(twin)]
    let guard = _guard.ok_or(EAGAIN)?;
    let vma = guard.vma_lookup(addr).ok_or(EINVAL)?;
    Ok(vma.end())
}
