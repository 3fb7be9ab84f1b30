// SPDX-License-Identifier: GPL-2.0

// The lock of a VMA that a walk has taken, given up by another thread.
// error: E0277
// message: cannot be sent between threads safely

include!("prelude.rs");

fn on_any_thread<T: Send>(_: T) {}

pub fn start(mm: &MmWithUser) -> Result {
    let mut walk = mm.walk_locked(0..usize::MAX);
    let vma = walk.next_vma()?.ok_or(EFAULT)?;
    #[cfg(not(twin))]
    on_any_thread(vma);
    #[cfg(twin)]
    on_any_thread(vma.start());
    Ok(())
}
