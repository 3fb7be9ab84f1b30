// SPDX-License-Identifier: GPL-2.0

//! Where a file is, as user space gets to see it.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/dcache.h`](srctree/include/linux/dcache.h)

use super::LocalFile;
use crate::{
    bindings,
    error::from_err_ptr,
    prelude::*, //
};

/// What names an inode, as in the columns of `/proc/<pid>/maps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InodeId {
    /// The major number of the file system's device.
    pub major: u32,
    /// The minor number of the file system's device.
    pub minor: u32,
    /// The number of the inode in its file system.
    pub ino: u64,
}

impl LocalFile {
    /// Writes the path of the file to the end of `buf`, as `/proc/<pid>/maps` shows it: seen from the
    /// root of the current process, of the file that user space has opened where a stacked file system
    /// maps another one, and with ` (deleted)` at its end if it has no name any more.
    ///
    /// # Context
    ///
    /// Does not sleep, but takes spinlocks.
    ///
    /// # Errors
    ///
    /// - [`ENAMETOOLONG`] if `buf` is too small for it. There are paths of more than `PATH_MAX`
    ///   bytes.
    /// - [`ESRCH`] if the current process is about to end, and has no root any more.
    /// - [`EBADF`] while the file is being opened, and if that has failed.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{fs::LocalFile, prelude::*};
    ///
    /// fn log_path(file: &LocalFile) -> Result {
    ///     let mut buf = KVec::from_elem(0, 256, GFP_KERNEL)?;
    ///     pr_info!("{}\n", file.path(&mut buf)?);
    ///     Ok(())
    /// }
    /// ```
    pub fn path<'b>(&self, buf: &'b mut [u8]) -> Result<&'b CStr> {
        self.check_opened()?;
        let len = c_int::try_from(buf.len()).unwrap_or(c_int::MAX);
        // SAFETY: The file has been opened, so it has a path, and `buf` may be written for `len` bytes.
        let path =
            unsafe { bindings::rust_file_user_d_path(self.as_ptr(), buf.as_mut_ptr().cast(), len) };
        // What was never written stays initialised, so this is a string that ends in `buf`.
        let start = from_err_ptr(path)?.addr();
        let start = start.checked_sub(buf.as_ptr().addr()).ok_or(EINVAL)?;
        let path = buf.get(start..).ok_or(EINVAL)?;
        CStr::from_bytes_until_nul(path).map_err(|_| EINVAL)
    }

    /// Returns what names the inode that user space has opened.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// [`EBADF`] while the file is being opened, and if that has failed.
    #[inline]
    pub fn inode_id(&self) -> Result<InodeId> {
        self.check_opened()?;
        // SAFETY: The file has been opened, and has its inode until it is freed.
        let (dev, ino) = unsafe {
            let inode = bindings::file_user_inode(self.as_ptr());
            ((*(*inode).i_sb).s_dev, (*inode).i_ino)
        };
        Ok(InodeId {
            major: dev >> bindings::MINORBITS,
            minor: dev & ((1 << bindings::MINORBITS) - 1),
            ino,
        })
    }
}
