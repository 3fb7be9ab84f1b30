// SPDX-License-Identifier: GPL-2.0

// A driver inserts pages into a VMA that it found through the file; the i_mmap lock alone does not
// permit installing page tables.
// error: E0277
// message: page tables must not be installed with `RmapVma` as the evidence

include!("prelude.rs");

use kernel::mm::{ops::Install, vma::Traverse};

#[allow(dead_code)]
fn traverse(vma: &impl Traverse) -> usize {
    vma.vma_range().len()
}

#[allow(dead_code)]
fn install(vma: &impl Install) -> usize {
    vma.vma_range().len()
}

pub fn mappings(space: &AddressSpace) -> Option<usize> {
    let mappings = space.i_mmap_lock_read();
    let vma = mappings.vmas(0..1).next()?;
    #[cfg(not(twin))]
    return Some(install(vma));
    #[cfg(twin)]
    return Some(traverse(vma));
}
