// SPDX-License-Identifier: GPL-2.0

//! Reading and writing without waiting.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use super::Kiocb;
use crate::{
    bindings,
    types::ForeignOwnable, //
};

impl<T: ForeignOwnable> Kiocb<'_, T> {
    /// Returns whether the operation must not wait for data or for space.
    ///
    /// It then fails with [`EAGAIN`](crate::error::code::EAGAIN) if there is none.
    ///
    /// This is so if the file has `O_NONBLOCK`, which user space can change at any time, or if user
    /// space asks for it in this one call (`RWF_NOWAIT`).
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{fs::Kiocb, iov::IovIterDest, sync::CondVar, types::ForeignOwnable};
    /// use kernel::sync::Mutex;
    ///
    /// /// Reads what a device has to say, and waits for it.
    /// fn read<T: ForeignOwnable>(
    ///     kiocb: &Kiocb<'_, T>,
    ///     iov: &mut IovIterDest<'_>,
    ///     message: &Mutex<Option<[u8; 4]>>,
    ///     changed: &CondVar,
    /// ) -> Result<usize> {
    ///     let mut message = message.lock();
    ///     loop {
    ///         if let Some(bytes) = message.take() {
    ///             return Ok(iov.copy_to_iter(&bytes));
    ///         }
    ///         if kiocb.is_nonblocking() {
    ///             return Err(EAGAIN);
    ///         }
    ///         if changed.wait_interruptible(&mut message) {
    ///             return Err(ERESTARTSYS);
    ///         }
    ///     }
    /// }
    /// ```
    #[inline]
    pub fn is_nonblocking(&self) -> bool {
        // SAFETY: By the type invariants, the kiocb is valid, and so is its file.
        unsafe { bindings::kiocb_is_nonblocking(self.as_raw()) }
    }
}
