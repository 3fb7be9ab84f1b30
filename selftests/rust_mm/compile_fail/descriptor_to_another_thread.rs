// SPDX-License-Identifier: GPL-2.0

// A descriptor on another thread.
// error: E0277
// message: cannot be sent between threads safely

include!("prelude.rs");

fn on_any_thread<T: Send>(_: T) {}

pub fn hook<'f>(pages: &'f KernelPages, desc: VmaDesc<'f, ()>) -> Result<Mapping<'f, ()>> {
    #[cfg(not(twin))]
    on_any_thread(desc);
    #[cfg(twin)]
    on_any_thread(pages);
    #[cfg(not(twin))]
    return Err(EINVAL);
    #[cfg(twin)]
    desc.map_kernel_pages(pages)
}
