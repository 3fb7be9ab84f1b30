// SPDX-License-Identifier: GPL-2.0

// A caller uses a VMA that it found through the file after dropping the i_mmap lock.
// error: E0597
// message: `mappings` does not live long enough

include!("prelude.rs");

use kernel::mm::rmap::RmapVma;

pub fn start(space: &AddressSpace) -> Option<usize> {
    #[cfg(twin)]
    let mappings;
    let vma: &RmapVma;
    {
        #[cfg(not(twin))]
        let mappings;
        mappings = space.i_mmap_lock_read();
        vma = mappings.vmas(0..1).next()?;
    }
    Some(vma.start())
}
