// SPDX-License-Identifier: GPL-2.0

// A caller returns a reference from code that runs speculatively, without a lock.
// error: E0597
// message: `local` does not live long enough

include!("prelude.rs");

pub fn start(mm: &MmWithUser, addr: usize) -> bool {
    let local = addr;
    #[cfg(not(twin))]
    let kept = mm.speculate(|_| &local);
    #[cfg(twin)]
    let kept = mm.speculate(|_| local);
    kept.is_some()
}
