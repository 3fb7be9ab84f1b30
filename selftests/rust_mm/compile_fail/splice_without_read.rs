// SPDX-License-Identifier: GPL-2.0

// A driver has `splice_read`, which calls `read_iter`, and no `read_iter`.
// error: E0080
// message: a driver with `splice_read` needs `read_iter`

include!("prelude.rs");

use kernel::{
    fs::{
        splice::{SpliceRead, Spliced},
        Kiocb,
    },
    iov::IovIterDest,
};

device! {
    fn mmap_prepare<'f>(dev: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        desc.map_kernel_pages(&dev.pages)
    }

    #[cfg(twin)]
    fn read_iter(mut kiocb: Kiocb<'_, KBox<Self>>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        kiocb.file().pages.read_iter(kiocb.ki_pos_mut(), iov)
    }

    fn splice_read<'a>(_: &'a Self, request: SpliceRead<'a>) -> Result<Spliced<'a>> {
        request.by_read_iter()
    }
}

#[cfg(not(twin))]
pub fn read(_: Kiocb<'_, KBox<Dev>>, _: &mut IovIterDest<'_>) {}

#[used]
static OPS: fn() = || {
    let _ = kernel::miscdevice::MiscDeviceOptions { name: c"x" }.into_raw::<Dev>();
};
