// SPDX-License-Identifier: GPL-2.0

// A driver writes to a vector whose memory user space maps.
// error: E0382
// message: borrow of moved value: `table`

include!("prelude.rs");

pub fn map(mut table: VVec<u32>) -> Result<KernelPages> {
    #[cfg(twin)]
    table.push(1, GFP_KERNEL)?;
    let pages = KernelPages::from_vvec(table)?;
    #[cfg(not(twin))]
    table.push(1, GFP_KERNEL)?;
    Ok(pages)
}
