// SPDX-License-Identifier: GPL-2.0

// A caller uses the file of a VMA after it may have unmapped the VMA, which holds the reference.
// error: E0502
// message: cannot borrow `guard` as mutable because it is also borrowed as immutable

include!("prelude.rs");

pub fn start(mm: &MmWithUser, addr: usize) -> Result<u32> {
    let mut guard = mm.mmap_write_lock();
    let file = guard
        .vma_lookup(addr)
        .and_then(|vma| vma.file())
        .ok_or(EFAULT)?;
    #[cfg(twin)]
    let file: ARef<_> = file.into();
    guard.munmap(addr, PAGE_SIZE)?;
    Ok(file.flags())
}
