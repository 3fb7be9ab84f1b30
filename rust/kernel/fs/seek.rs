// SPDX-License-Identifier: GPL-2.0

//! The `llseek` operation of a file.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::{
    bindings,
    prelude::*,
    types::NotThreadSafe, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

/// A request of user space to set the position of a file.
///
/// # Invariants
///
/// `file` is open during `'a`, and the kernel is in its `llseek` operation.
pub struct Seek<'a> {
    file: NonNull<bindings::file>,
    offset: i64,
    whence: c_int,
    _file: PhantomData<&'a bindings::file>,
    _not_send: NotThreadSafe,
}

impl Seek<'_> {
    /// # Safety
    ///
    /// The file must stay open for as long as the returned value lives, and the kernel must be in
    /// its `llseek` operation, on this thread.
    pub(crate) unsafe fn from_raw(
        file: NonNull<bindings::file>,
        offset: i64,
        whence: c_int,
    ) -> Self {
        // INVARIANT: As the caller promises.
        Self {
            file,
            offset,
            whence,
            _file: PhantomData,
            _not_send: NotThreadSafe,
        }
    }

    /// Sets the position in a file whose size is `size` bytes and never changes; returns it.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the position would be negative or larger than `size`, or if `whence` is
    ///   none of `SEEK_SET`, `SEEK_CUR`, `SEEK_END`.
    /// - [`EFBIG`] if `size` is not a file size.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::fs::seek::Seek;
    ///
    /// /// The body of the `llseek` of a device that has 4096 bytes.
    /// fn llseek(seek: Seek<'_>) -> Result<i64> {
    ///     seek.fixed_size(4096)
    /// }
    /// ```
    pub fn fixed_size(self, size: usize) -> Result<i64> {
        let size = i64::try_from(size).map_err(|_| EFBIG)?;
        // SAFETY: By the type invariants, the file is open, and this is where its position may be
        // set.
        let position = unsafe {
            bindings::fixed_size_llseek(self.file.as_ptr(), self.offset, self.whence, size)
        };
        if position < 0 {
            // An errno, which fits.
            return Err(Error::from_errno(position as c_int));
        }
        Ok(position)
    }
}
