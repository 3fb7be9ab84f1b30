// SPDX-License-Identifier: GPL-2.0

// A caller unmaps VMAs through the guard while a cursor is in use.
// error: E0499
// message: cannot borrow `guard` as mutable more than once at a time

include!("prelude.rs");

pub fn start(mm: &MmWithUser, addr: usize) -> Result {
    let mut guard = mm.mmap_write_lock();
    let mut cursor = guard.cursor(0..usize::MAX);
    let vma = cursor.next_vma().ok_or(EFAULT)?;
    #[cfg(not(twin))]
    guard.munmap(addr, PAGE_SIZE)?;
    vma.start_write();
    #[cfg(twin)]
    guard.munmap(addr, PAGE_SIZE)?;
    Ok(())
}
