// SPDX-License-Identifier: GPL-2.0

//! Whether a file is open yet.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use super::{
    File,
    LocalFile, //
};
use crate::{
    bindings,
    prelude::*,
    sync::aref::ARef, //
};
use core::ptr::NonNull;

/// Returns whether a file has been opened, and with that its private data.
///
/// A driver can publish a file that it is just opening: its `open` gets a reference, and a file descriptor
/// can be made of that. Until `open` has succeeded, and forever if it has failed, the private data of the
/// file of a misc device is the `struct miscdevice` (`misc_open()`). So each operation that needs the device
/// looks here first: the kernel does not in all cases.
///
/// # Safety
///
/// `file` must be valid.
#[inline]
pub(crate) unsafe fn is_opened(file: *const bindings::file) -> bool {
    // SAFETY: The caller's promise.
    unsafe { bindings::file_is_opened(file) }
}

impl LocalFile {
    /// Fails unless the file has been opened: not in its `open`, and not after that has failed.
    ///
    /// From then on it has its path, its inode, its private data and its address space.
    #[inline]
    pub(crate) fn check_opened(&self) -> Result {
        // SAFETY: The file is valid.
        match unsafe { is_opened(self.as_ptr()) } {
            true => Ok(()),
            false => Err(EBADF),
        }
    }
}

impl File {
    /// Takes a reference to a file that is open: not in its `open`, nor in its `release`.
    #[inline]
    #[cfg_attr(not(CONFIG_MMU), expect(dead_code))]
    pub(crate) fn try_get_opened(&self) -> Result<ARef<Self>> {
        self.check_opened()?;
        // SAFETY: The file is valid, if it may be in its `release`.
        if !unsafe { bindings::file_ref_get(&raw mut (*self.as_ptr()).f_ref) } {
            return Err(EBADF);
        }
        // SAFETY: A reference was just taken. A `File` has no active `fdget_pos` region on this thread.
        Ok(unsafe { ARef::from_raw(NonNull::from(self)) })
    }
}
