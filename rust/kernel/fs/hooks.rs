// SPDX-License-Identifier: GPL-2.0

//! What the file operations of each kind of file have in common, besides
//! [mapping](super::mmap) it.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use super::{
    answer::errno,
    fsync::Fsync,
    opened::private_data,
    poll::{
        Events,
        Poll, //
    },
    seek::Seek,
    splice::{
        SpliceRead,
        SpliceWrite,
        Spliced, //
    },
    File, //
};
use crate::{
    bindings,
    prelude::*,
    types::ForeignOwnable, //
};

/// A kind of file, with the hooks of its driver.
///
/// The private data of each opened file of this kind comes from `into_foreign` of
/// [`Ptr`](Self::Ptr). It does not change until `release` passes it to `from_foreign`.
pub(crate) trait FileHooks: Sized {
    /// The pointer type that owns the private data of the file.
    type Ptr: ForeignOwnable;

    /// Sets the file position, and returns it.
    fn llseek(device: <Self::Ptr as ForeignOwnable>::Borrowed<'_>, seek: Seek<'_>) -> Result<i64>;

    /// Returns what the file is ready for.
    fn poll<'a>(device: <Self::Ptr as ForeignOwnable>::Borrowed<'a>, poll: &Poll<'a>) -> Events;

    /// Called when a file descriptor is closed.
    fn flush(device: <Self::Ptr as ForeignOwnable>::Borrowed<'_>, file: &File) -> Result;

    /// Waits until what was written to a part of the file is where it belongs.
    fn fsync(device: <Self::Ptr as ForeignOwnable>::Borrowed<'_>, request: Fsync<'_>) -> Result;

    /// Reads from the file into a pipe.
    fn splice_read<'a>(
        device: <Self::Ptr as ForeignOwnable>::Borrowed<'a>,
        request: SpliceRead<'a>,
    ) -> Result<Spliced<'a>>;

    /// Writes to the file what is in a pipe.
    fn splice_write<'a>(
        device: <Self::Ptr as ForeignOwnable>::Borrowed<'a>,
        request: SpliceWrite<'a>,
    ) -> Result<Spliced<'a>>;

    /// Chooses the address of a mapping.
    #[cfg(CONFIG_MMU)]
    fn get_unmapped_area<'a>(
        device: <Self::Ptr as ForeignOwnable>::Borrowed<'a>,
        request: super::area::AreaRequest<'a>,
    ) -> Result<super::area::Area<'a>>;
}

/// `file_operations::flush` of each kind of file.
///
/// # Safety
///
/// C must be calling this for `file`, which must be of the kind `F`.
pub(crate) unsafe extern "C" fn flush<F: FileHooks>(
    file: *mut bindings::file,
    _id: bindings::fl_owner_t,
) -> c_int {
    // SAFETY: By the safety requirements of this function, the file is of the kind `F`. Its
    // descriptor, which is being closed, has a reference to it until this function returns.
    let Ok(device) = (unsafe { private_data::<F::Ptr>(file) }) else {
        // The driver does not know the file yet. That must not make close(2) fail.
        return 0;
    };
    // SAFETY: The file is not released before this function returns, and this thread has no active
    // `fdget_pos` region on it.
    match F::flush(device, unsafe { File::from_raw_file(file) }) {
        Ok(()) => 0,
        Err(err) => errno(err),
    }
}
