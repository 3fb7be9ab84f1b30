// SPDX-License-Identifier: GPL-2.0

// A caller holds two VMA locks of a walk at once: the step to the second may need the mmap lock.
// error: E0499
// message: cannot borrow `walk` as mutable more than once at a time

include!("prelude.rs");

pub fn start(mm: &MmWithUser) -> Result<Option<usize>> {
    let mut walk = mm.walk_locked(0..usize::MAX);
    let first = walk.next_vma()?.ok_or(EFAULT)?;
    let start = first.start();
    #[cfg(twin)]
    drop(first);
    let second = walk.next_vma()?;
    #[cfg(not(twin))]
    drop(first);
    Ok(second.map(|vma| vma.start() - start))
}
