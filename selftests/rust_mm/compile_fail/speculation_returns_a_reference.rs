// SPDX-License-Identifier: GPL-2.0

// A caller returns a value that is not `Copy` from code that runs speculatively, without a lock.
// error: E0277
// message: the trait bound `MmapReadGuard<'_>: core::marker::Copy` is not satisfied

include!("prelude.rs");

pub fn start(mm: &MmWithUser, addr: usize) -> bool {
    #[cfg(not(twin))]
    let found = mm.speculate(|_| mm.mmap_read_trylock());
    #[cfg(twin)]
    let found = mm.speculate(|mm| mm.vma(addr));
    let _ = addr;
    found.is_some()
}
