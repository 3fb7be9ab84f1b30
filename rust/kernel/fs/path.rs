// SPDX-License-Identifier: GPL-2.0

//! The path of a file, as user space sees it.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/dcache.h`](srctree/include/linux/dcache.h)

use super::LocalFile;
use crate::{
    bindings,
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
    #[inline]
    pub fn path<'b>(&self, buf: &'b mut [u8]) -> Result<&'b CStr> {
        let len = c_int::try_from(buf.len()).unwrap_or(c_int::MAX);
        // SAFETY: The file is valid, since `self` is a reference. `buf` is valid for writes of
        // `len` bytes.
        let size =
            unsafe { bindings::rust_file_user_d_path(self.as_ptr(), buf.as_mut_ptr().cast(), len) };
        if size < 0 {
            return Err(Error::from_errno(size));
        }
        // The path is at the end of the `len` bytes, all of which are initialised, whether C has
        // written to them or not.
        let (len, size) = (len as usize, size as usize);
        let path = buf.get(len.wrapping_sub(size)..len).ok_or(EINVAL)?;
        // SAFETY: C has returned the size of the path: its only zero is the last of these bytes.
        Ok(unsafe { CStr::from_bytes_with_nul_unchecked(path) })
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
        // SAFETY: The file is valid, since `self` is a reference.
        let inode = unsafe { bindings::file_opened_user_inode(self.as_ptr()) };
        if inode.is_null() {
            return Err(EBADF);
        }
        // SAFETY: The file has been opened, so it has its inode until it is freed.
        let (dev, ino) = unsafe { ((*(*inode).i_sb).s_dev, (*inode).i_ino) };
        Ok(InodeId {
            major: dev >> bindings::MINORBITS,
            minor: dev & ((1 << bindings::MINORBITS) - 1),
            ino,
        })
    }
}
