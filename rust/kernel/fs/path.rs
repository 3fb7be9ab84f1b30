// SPDX-License-Identifier: GPL-2.0

//! The path of a file, as user space sees it.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/dcache.h`](srctree/include/linux/dcache.h)

use super::LocalFile;
use crate::{
    bindings,
    error::from_err_ptr,
    prelude::*, //
};

/// The numbers that identify an inode, as `/proc/<pid>/maps` shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InodeId {
    /// The major number of the device of the file system.
    pub major: u32,
    /// The minor number of the device of the file system.
    pub minor: u32,
    /// The number of the inode in its file system.
    pub ino: u64,
}

impl LocalFile {
    /// Writes the path of the file to the end of `buf`, and returns it.
    ///
    /// It is the path that `/proc/<pid>/maps` shows, relative to the root directory of the current
    /// process. If a stacked file system maps another file, it is the path of the file that user
    /// space has opened. It ends with ` (deleted)` if the file no longer has a name.
    ///
    /// # Context
    ///
    /// Does not sleep, but takes spinlocks.
    ///
    /// # Errors
    ///
    /// - [`ENAMETOOLONG`] if `buf` is too small. A path can be longer than `PATH_MAX` bytes.
    /// - [`ESRCH`] if the current process is exiting and no longer has a root directory.
    /// - [`EBADF`] if the file is being opened, or if opening it has failed.
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
        // SAFETY: The file has been opened, so it has a path. `buf` is valid for writes of `len`
        // bytes.
        let path =
            unsafe { bindings::rust_file_user_d_path(self.as_ptr(), buf.as_mut_ptr().cast(), len) };
        // All of `buf` is initialised, whether C has written to it or not. The string ends in
        // `buf`.
        let start = from_err_ptr(path)?.addr();
        let start = start.checked_sub(buf.as_ptr().addr()).ok_or(EINVAL)?;
        let path = buf.get(start..).ok_or(EINVAL)?;
        CStr::from_bytes_until_nul(path).map_err(|_| EINVAL)
    }

    /// Returns the numbers that identify the inode that user space has opened.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// [`EBADF`] if the file is being opened, or if opening it has failed.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{fs::LocalFile, prelude::*};
    ///
    /// fn log_inode(file: &LocalFile) -> Result {
    ///     let id = file.inode_id()?;
    ///     pr_info!("inode {} of device {}:{}\n", id.ino, id.major, id.minor);
    ///     Ok(())
    /// }
    /// ```
    #[inline]
    pub fn inode_id(&self) -> Result<InodeId> {
        self.check_opened()?;
        // SAFETY: The file has been opened, so it has an inode, until it is freed.
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
