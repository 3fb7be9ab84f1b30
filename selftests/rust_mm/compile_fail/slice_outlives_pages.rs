// SPDX-License-Identifier: GPL-2.0

// A driver uses a slice of a page array after the array is dropped.
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
