// SPDX-License-Identifier: GPL-2.0

//! The `llseek` operation of a file.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use super::{
    answer::errno,
    hooks::FileHooks,
    opened::private_data, //
};
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
/// `file` is open during `'a`, and this thread is in its `llseek` operation.
pub struct Seek<'a> {
    file: NonNull<bindings::file>,
    offset: i64,
    whence: c_int,
    _file: PhantomData<&'a bindings::file>,
    _not_send: NotThreadSafe,
}

impl Seek<'_> {
    /// Wraps the arguments of an `llseek` operation.
    ///
    /// # Safety
    ///
    /// For as long as the returned value lives, the file must be open, and this thread must be in
    /// its `llseek` operation.
    pub(crate) unsafe fn from_raw(
        file: NonNull<bindings::file>,
        offset: i64,
        whence: c_int,
    ) -> Self {
        // INVARIANT: By the safety requirements of this function, the file is open, and this thread
        // is in its `llseek` operation.
        Self {
            file,
            offset,
            whence,
            _file: PhantomData,
            _not_send: NotThreadSafe,
        }
    }

    /// Sets the position in a file with the fixed size of `size` bytes, and returns the position.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the position would be negative or larger than `size`, or if `whence` is none
    ///   of `SEEK_SET`, `SEEK_CUR` and `SEEK_END`.
    /// - [`EFBIG`] if `size` is too large for the size of a file.
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
        // SAFETY: By the type invariants, the file is open, and this thread is in its `llseek`
        // operation, which may set the position.
        let position = unsafe {
            bindings::fixed_size_llseek(self.file.as_ptr(), self.offset, self.whence, size)
        };
        if position < 0 {
            // A negative result is an errno, which fits into a `c_int`.
            return Err(Error::from_errno(position as c_int));
        }
        Ok(position)
    }
}

/// `file_operations::llseek` of each kind of file.
///
/// # Safety
///
/// C must be calling this for `file`, which must be of the kind `F`.
pub(crate) unsafe extern "C" fn llseek<F: FileHooks>(
    file: *mut bindings::file,
    offset: bindings::loff_t,
    whence: c_int,
) -> bindings::loff_t {
    // SAFETY: By the safety requirements of this function, the file is of the kind `F`. It is not
    // released before this function returns.
    let position = unsafe { private_data::<F::Ptr>(file) }.and_then(|device| {
        // SAFETY: By the safety requirements of this function, C is calling the `llseek` operation
        // of the file, which is open meanwhile. The pointer to it is not null.
        let seek = unsafe { Seek::from_raw(NonNull::new_unchecked(file), offset, whence) };
        F::llseek(device, seek)
    });
    match position {
        Ok(position) => position,
        Err(err) => bindings::loff_t::from(errno(err)),
    }
}
