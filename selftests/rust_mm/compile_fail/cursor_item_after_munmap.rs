// SPDX-License-Identifier: GPL-2.0

// A caller uses a VMA that it has just unmapped through the cursor.
// error: E0382
// message: `VmaCursorItem::<'_, '_>::munmap` takes ownership of the receiver `self`

include!("prelude.rs");

pub fn start(mm: &MmWithUser) -> Result<usize> {
    let mut guard = mm.mmap_write_lock();
    let mut cursor = guard.cursor(0..usize::MAX);
    let vma = cursor.next_vma().ok_or(EFAULT)?;
    let (start, end) = (vma.start(), vma.end());
    vma.munmap(start..end)?;
    #[cfg(not(twin))]
    let start = vma.start();
    Ok(start)
}
