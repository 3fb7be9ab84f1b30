// SPDX-License-Identifier: GPL-2.0

// Memory of a device that may go away, as frames that could be put anywhere. With the right mapping, this
// would get them.
// error: E0425
// message: cannot find function, tuple struct or tuple variant `Insertion`

include!("prelude.rs");

pub fn frames(revocable: &RevocableMemory, frames: impl Fn(PfnSlice<'_>)) -> Result {
    #[cfg(not(twin))]
    return revocable
        .all()
        .insert(Insertion(()), core::ptr::null(), |pfns| frames(pfns));
    #[cfg(twin)]
    {
        let _ = (revocable.all(), frames);
        return Ok(());
    }
}
