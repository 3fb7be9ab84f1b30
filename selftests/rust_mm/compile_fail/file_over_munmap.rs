// SPDX-License-Identifier: GPL-2.0

// The file of a VMA, whose reference is that of the VMA, kept while VMAs are unmapped.
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
