// SPDX-License-Identifier: GPL-2.0

// A caller uses a VMA that the cursor has found after it has moved the cursor.
// error: E0499
// message: cannot borrow `cursor` as mutable more than once at a time

include!("prelude.rs");

pub fn start(mm: &MmWithUser) -> Result {
    let mut guard = mm.mmap_write_lock();
    let mut cursor = guard.cursor(0..usize::MAX);
    let first = cursor.next_vma().ok_or(EFAULT)?;
    let range = first.start()..first.end();
    #[cfg(twin)]
    first.munmap(range.clone())?;
    let _second = cursor.next_vma().ok_or(EFAULT)?;
    #[cfg(not(twin))]
    first.munmap(range)?;
    Ok(())
}
