// SPDX-License-Identifier: GPL-2.0

// A caller hands the VMA lock of a walk to another thread.
// error: E0599
// message: `WalkItem<'_>: Send`

include!("prelude.rs");

pub fn start(mm: &MmWithUser) -> Result {
    let mut walk = mm.walk_locked(0..usize::MAX);
    let vma = walk.next_vma()?.ok_or(EFAULT)?;
    #[cfg(not(twin))]
    Handed(vma).to_another_thread();
    #[cfg(twin)]
    Handed(vma).to_this_thread();
    Ok(())
}
