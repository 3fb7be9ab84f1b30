// SPDX-License-Identifier: GPL-2.0

// A driver puts pages into a list of frames, which is mapped with VM_PFNMAP.
// error: E0277
// message: the trait bound `FrameSource: From<Arc<KernelPages>>` is not satisfied

include!("prelude.rs");

use kernel::mm::ops::{FrameSource, Pieces};

#[allow(dead_code)]
fn add(
    pieces: &mut Pieces<FrameSource>,
    bar: Arc<RevocableMemory>,
    pages: Arc<KernelPages>,
) -> Result {
    #[cfg(not(twin))]
    pieces.add(0, pages, 0..1)?;
    #[cfg(twin)]
    drop(pages);
    pieces.add(1, FrameSource::revocable(bar), 0..1)
}
