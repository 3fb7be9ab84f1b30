// SPDX-License-Identifier: GPL-2.0

// A part of an array of pages that outlives the array.
// error: E0597
// message: `pages` does not live long enough

include!("prelude.rs");

pub fn count() -> Result<usize> {
    #[cfg(twin)]
    let pages;
    let slice;
    {
        #[cfg(not(twin))]
        let pages;
        pages = KernelPages::new(2, GFP_KERNEL)?;
        slice = pages.slice(0, 1)?;
    }
    Ok(slice.nr_pages())
}
