// SPDX-License-Identifier: GPL-2.0

//! The `llseek` operation of a file.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use super::is_opened;
use crate::{
    bindings,
    miscdevice::MiscDevice,
    prelude::*,
    types::{
        ForeignOwnable,
        NotThreadSafe, //
    }, //
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

/// The `llseek` operation of a misc device.
///
/// # Safety
///
/// `file` must be a file that is associated with a `MiscDeviceRegistration<T>`, of which the kernel
/// wants to set the position.
pub(crate) unsafe extern "C" fn llseek_misc<T: MiscDevice>(
    file: *mut bindings::file,
    offset: bindings::loff_t,
    whence: c_int,
) -> bindings::loff_t {
    // SAFETY: The file is valid, the caller promises.
    if !unsafe { is_opened(file) } {
        return bindings::loff_t::from(EBADF.to_errno());
    }
    // SAFETY: As above.
    let private = unsafe { (*file).private_data };
    // SAFETY: The private data of a file that has been opened comes from `into_foreign`, and `release`
    // comes after all other operations.
    let device = unsafe { <T::Ptr as ForeignOwnable>::borrow(private) };
    // SAFETY: As the caller promises, and the file is open; its pointer is not null.
    let seek = unsafe { Seek::from_raw(NonNull::new_unchecked(file), offset, whence) };

    match T::llseek(device, seek) {
        Ok(position) => position,
        Err(err) => bindings::loff_t::from(err.to_errno()),
    }
}
