// SPDX-License-Identifier: GPL-2.0

// A driver hands the descriptor to another thread.
// error: E0599
// message: `VmaDesc<'f, ()>: Send`

include!("prelude.rs");

pub fn hook<'f>(pages: &'f KernelPages, desc: VmaDesc<'f, ()>) -> Result<Mapping<'f, ()>> {
    #[cfg(not(twin))]
    let desc = Handed(desc).to_another_thread();
    #[cfg(twin)]
    let desc = Handed(desc).to_this_thread();
    desc.map_kernel_pages(pages)
}
