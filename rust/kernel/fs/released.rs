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
/// [`File`](super::File). The last reference to the file is gone and the kernel frees it after the hook,
/// so there is no way from this type to an [`ARef<File>`](crate::sync::aref::ARef).
///
/// # Invariants
///
/// For as long as there is a reference, the file is undergoing its `release`, on this thread, and there is
/// no active `fdget_pos` region on it on this thread.
///
/// # Examples
///
/// ```
/// use kernel::fs::{file::flags, ReleasedFile};
///
/// /// Whether the file was open for writing, which a driver may have to act on when it is closed.
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
    /// # Safety
    ///
    /// `file` must be undergoing its `release`, on this thread, during `'a`, and there must be no active
    /// `fdget_pos` region on it on this thread.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(file: *const bindings::file) -> &'a Self {
        // INVARIANT: As the caller promises.
        //
        // SAFETY: The types have the same layout, and the caller promises a file that is valid.
        unsafe { &*file.cast() }
    }

    /// Returns the file, which must not be handed out: a `LocalFile` can be turned into a reference.
    #[inline]
    fn file(&self) -> &LocalFile {
        // SAFETY: By the type invariants, the file is valid, and there is no `fdget_pos` region.
        unsafe { LocalFile::from_raw_file(self.file.get()) }
    }

    /// Returns the flags with which the file was opened; see [`LocalFile::flags`].
    #[inline]
    pub fn flags(&self) -> u32 {
        self.file().flags()
    }

    /// Returns the credentials of the task that opened the file; see [`LocalFile::cred`].
    #[inline]
    pub fn cred(&self) -> &Credential {
        self.file().cred()
    }

    /// Writes the path of the file to the end of `buf`; see [`LocalFile::path`].
    ///
    /// # Context
    ///
    /// As there.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn path<'b>(&self, buf: &'b mut [u8]) -> Result<&'b CStr> {
        self.file().path(buf)
    }

    /// Returns what names the inode that user space has opened; see [`LocalFile::inode_id`].
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// As there.
    #[inline]
    pub fn inode_id(&self) -> Result<InodeId> {
        self.file().inode_id()
    }
}
