// SPDX-License-Identifier: GPL-2.0

// A caller holds a VMA lock after it has dropped its reference to the mm.
// error: E0505
// message: cannot move out of `mm` because it is borrowed

include!("prelude.rs");

pub fn start(mm: ARef<MmWithUser>, addr: usize) -> Option<usize> {
    let vma = mm.mmap_read_lock().into_vma(addr)?;
    #[cfg(twin)]
    let start = vma.start();
    #[cfg(twin)]
    drop(vma);
    drop(mm);
    #[cfg(not(twin))]
    let start = vma.start();
    Some(start)
}
