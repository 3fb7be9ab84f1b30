// SPDX-License-Identifier: GPL-2.0

//! Checking whether a file has been opened.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use super::{
    File,
    LocalFile, //
};
use crate::{
    bindings,
    prelude::*,
    sync::aref::ARef,
    types::ForeignOwnable, //
};

/// Returns whether a file has been opened, and so has its private data.
///
/// A driver can make a file public while it opens it: its `open` can take a reference to the file,
/// and install a file descriptor for it. Until `open` has succeeded, and forever if it has failed,
/// the private data of a misc device's file is the `struct miscdevice` (`misc_open()`). So each
/// operation that uses the device must check this first, since the kernel does not always do so.
///
/// # Safety
///
/// `file` must be valid.
#[inline]
pub(crate) unsafe fn is_opened(file: *const bindings::file) -> bool {
    // SAFETY: By the safety requirements of this function, `file` is valid.
    unsafe { bindings::file_is_opened(file) }
}

/// Borrows the private data of a file, in one of its operations.
///
/// # Errors
///
/// [`EBADF`] if the file is in its `open`, or if its `open` has failed.
///
/// # Safety
///
/// - `file` must be valid, and must not be released during `'a`.
/// - If the file has been opened, its private data must come from `into_foreign` of `P`, and not
///   change until `release` passes it to `from_foreign`.
#[inline]
pub(crate) unsafe fn private_data<'a, P: ForeignOwnable>(
    file: *const bindings::file,
) -> Result<P::Borrowed<'a>> {
    // SAFETY: By the safety requirements of this function, `file` is valid.
    if !unsafe { is_opened(file) } {
        return Err(EBADF);
    }
    // SAFETY: By the safety requirements of this function, the file is valid, and its private data
    // comes from `into_foreign` and is not passed to `from_foreign` during `'a`.
    Ok(unsafe { P::borrow((*file).private_data) })
}

impl LocalFile {
    /// Fails with [`EBADF`] unless the file has been opened.
    ///
    /// It fails while the file is in its `open`, and after its `open` has failed. Once it has
    /// succeeded, the file has its path, its inode, its private data and its address space.
    #[inline]
    pub(crate) fn check_opened(&self) -> Result {
        // SAFETY: The file is valid, since `self` is a reference.
        match unsafe { is_opened(self.as_ptr()) } {
            true => Ok(()),
            false => Err(EBADF),
        }
    }
}

impl File {
    /// Takes a reference to the file, if it is open.
    ///
    /// # Errors
    ///
    /// [`EBADF`] if the file is in its `open`, or if its `open` has failed.
    #[inline]
    #[cfg_attr(not(CONFIG_MMU), expect(dead_code))]
    pub(crate) fn try_get_opened(&self) -> Result<ARef<Self>> {
        self.check_opened()?;
        Ok(ARef::from(self))
    }
}
