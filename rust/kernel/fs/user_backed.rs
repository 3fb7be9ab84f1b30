// SPDX-License-Identifier: GPL-2.0

//! Reading for the kernel itself.
//!
//! C header: [`include/linux/uio.h`](srctree/include/linux/uio.h)

use crate::{
    bindings,
    iov::IovIterDest, //
};

impl IovIterDest<'_> {
    /// Returns whether the data goes to memory of user space.
    ///
    /// It does not if the kernel itself reads the file: in `splice(2)`, and for the build ID that
    /// `PROCMAP_QUERY` looks for in each file that is mapped (`build_id_parse_file()`). A process
    /// that may read `/proc/PID/maps` causes the latter, also if it could not open the device. A
    /// file whose reads consume data, or wait for it, refuses with
    /// [`EINVAL`](crate::error::code::EINVAL).
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{iov::IovIterDest, prelude::*, sync::Mutex};
    ///
    /// /// Hands each message out once.
    /// fn read(iov: &mut IovIterDest<'_>, message: &Mutex<Option<[u8; 4]>>) -> Result<usize> {
    ///     if !iov.is_user_backed() {
    ///         return Err(EINVAL);
    ///     }
    ///     let bytes = message.lock().take().ok_or(EAGAIN)?;
    ///     Ok(iov.copy_to_iter(&bytes))
    /// }
    /// ```
    #[inline]
    pub fn is_user_backed(&mut self) -> bool {
        // SAFETY: By the type invariants, this is a valid `struct iov_iter`. No other thread writes
        // to it, since it is borrowed mutably.
        let kind = u32::from(unsafe { (*self.as_raw()).iter_type });
        kind == bindings::iter_type_ITER_UBUF || kind == bindings::iter_type_ITER_IOVEC
    }
}
