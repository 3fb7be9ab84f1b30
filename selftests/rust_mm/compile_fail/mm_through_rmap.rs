// SPDX-License-Identifier: GPL-2.0

// From the mappings of a file to an address space, whose lock must not be taken then, and which may be
// about to end.
// error: E0599
// message: no method named `mm` found for reference `&RmapVma`

include!("prelude.rs");

pub fn lock(mm: &MmWithUser, space: &AddressSpace) -> Result {
    let mappings = space.i_mmap_lock_read();
    let vma = mappings.vmas(0..1).next().ok_or(EINVAL)?;
    let start = vma.start();
    #[cfg(not(twin))]
    let mm = vma.mm();
    #[cfg(twin)]
    drop(mappings);
    mm.mmap_read_lock().vma_lookup(start).ok_or(EINVAL)?;
    Ok(())
}
