// SPDX-License-Identifier: GPL-2.0

// A hook returns the answer for one type of file to the hook of another.
// error: E0308
// message: expected `Result<Mapping<'_, Other>, Error>`, found `Result<Mapping<'_, ()>, Error>`

include!("prelude.rs");

struct Other;

pub fn hook<'f>(pages: &'f KernelPages, desc: VmaDesc<'f, ()>) -> Result<Mapping<'f, ()>> {
    desc.map_kernel_pages(pages)
}

#[cfg(not(twin))]
pub fn other<'f>(pages: &'f KernelPages, desc: VmaDesc<'f, ()>) -> Result<Mapping<'f, Other>> {
    hook(pages, desc)
}

#[cfg(twin)]
pub fn other<'f>(pages: &'f KernelPages, desc: VmaDesc<'f, ()>) -> Result<Mapping<'f, ()>> {
    let _ = Other;
    hook(pages, desc)
}
