// SPDX-License-Identifier: GPL-2.0

//! Files that are being released.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use super::{
    path::InodeId,
    LocalFile, //
};
use crate::{
    bindings,
    cred::Credential,
    prelude::*,
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};
/// A file that is being released.
///
/// This is what [`MiscDevice::release`](crate::miscdevice::MiscDevice::release) gets instead of a
/// [`File`](super::File). The last reference to the file has been dropped, and the kernel frees the
/// file after the hook. So no method of this type leads to an
/// [`ARef<File>`](crate::sync::aref::ARef).
///
/// # Invariants
///
/// For as long as there is a reference, the file is in its `release` on this thread, and this
/// thread has no active `fdget_pos` region on it.
///
/// # Examples
///
/// ```
/// use kernel::fs::{file::flags, ReleasedFile};
///
/// /// Returns whether the file was open for writing, which a driver may act on when it is closed.
/// fn was_writable(file: &ReleasedFile) -> bool {
///     file.flags() & flags::O_ACCMODE != flags::O_RDONLY
/// }
/// ```
#[repr(transparent)]
pub struct ReleasedFile {
    file: Opaque<bindings::file>,
    _not_send: NotThreadSafe,
}

impl ReleasedFile {
    /// Wraps a file that is being released.
    ///
    /// # Safety
    ///
    /// During `'a`, `file` must be in its `release` on this thread, and this thread must have no
    /// active `fdget_pos` region on it.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(file: *const bindings::file) -> &'a Self {
        // INVARIANT: By the safety requirements of this function, the file is in its `release` on
        // this thread, without an active `fdget_pos` region.
        //
        // SAFETY: By the safety requirements of this function, the file is valid during `'a`. The
        // types have the same layout.
        unsafe { &*file.cast() }
    }

    /// Returns the file.
    ///
    /// The caller must not hand it out: an `ARef` can be made from a `LocalFile`.
    #[inline]
    fn file(&self) -> &LocalFile {
        // SAFETY: By the type invariants, the file is valid, and this thread has no active
        // `fdget_pos` region on it.
        unsafe { LocalFile::from_raw_file(self.file.get()) }
    }

    /// Returns the flags with which the file was opened: see [`LocalFile::flags`].
    #[inline]
    pub fn flags(&self) -> u32 {
        self.file().flags()
    }

    /// Returns the credentials of the task that opened the file: see [`LocalFile::cred`].
    #[inline]
    pub fn cred(&self) -> &Credential {
        self.file().cred()
    }

    /// Writes the path of the file to the end of `buf`, and returns it: see [`LocalFile::path`].
    ///
    /// # Context
    ///
    /// As for [`LocalFile::path`].
    ///
    /// # Errors
    ///
    /// As for [`LocalFile::path`].
    pub fn path<'b>(&self, buf: &'b mut [u8]) -> Result<&'b CStr> {
        self.file().path(buf)
    }

    /// Returns the numbers that identify the inode that user space has opened: see
    /// [`LocalFile::inode_id`].
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// As for [`LocalFile::inode_id`].
    #[inline]
    pub fn inode_id(&self) -> Result<InodeId> {
        self.file().inode_id()
    }
}
