// SPDX-License-Identifier: GPL-2.0

// A caller gets from a VMA that it found through the file to the mm. Under the i_mmap lock it must
// not take the mmap lock, and the mm may have no users left.
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
