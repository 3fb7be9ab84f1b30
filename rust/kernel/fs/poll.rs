// SPDX-License-Identifier: GPL-2.0

//! The `poll` operation of a file.
//!
//! C headers: [`include/linux/poll.h`](srctree/include/linux/poll.h),
//! [`include/uapi/linux/eventpoll.h`](srctree/include/uapi/linux/eventpoll.h)

use super::{
    hooks::FileHooks,
    opened::private_data,
    File, //
};
use crate::{
    bindings,
    sync::poll::PollTable, //
};
use core::ops::{
    BitOr,
    BitOrAssign, //
};

/// What a file is ready for, as `poll(2)` and `epoll_wait(2)` report it.
///
/// # Examples
///
/// ```
/// use kernel::fs::poll::Events;
///
/// /// Returns what a device is ready for that can always be written.
/// fn events(has_data: bool, is_gone: bool) -> Events {
///     let mut events = Events::WRITABLE;
///     if has_data {
///         events |= Events::READABLE;
///     }
///     if is_gone {
///         events |= Events::HANGUP;
///     }
///     events
/// }
/// # assert_eq!(events(false, false), Events::WRITABLE);
/// # assert_ne!(events(true, false), Events::WRITABLE);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events(bindings::__poll_t);

impl Events {
    /// Nothing: `poll(2)` waits.
    pub const NONE: Self = Self(0);
    /// `read(2)` does not wait (`EPOLLIN` and `EPOLLRDNORM`).
    pub const READABLE: Self = Self(bindings::rust_poll_events_RUST_POLL_READABLE);
    /// `write(2)` does not wait (`EPOLLOUT` and `EPOLLWRNORM`).
    pub const WRITABLE: Self = Self(bindings::rust_poll_events_RUST_POLL_WRITABLE);
    /// Something exceptional has happened (`EPOLLPRI`).
    pub const PRIORITY: Self = Self(bindings::rust_poll_events_RUST_POLL_PRIORITY);
    /// The device has an error (`EPOLLERR`).
    ///
    /// User space gets this even if it does not ask for it.
    pub const ERROR: Self = Self(bindings::rust_poll_events_RUST_POLL_ERROR);
    /// The device is gone (`EPOLLHUP`).
    ///
    /// User space gets this even if it does not ask for it.
    pub const HANGUP: Self = Self(bindings::rust_poll_events_RUST_POLL_HANGUP);
}

impl BitOr for Events {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Events {
    #[inline]
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// `file_operations::poll` of each kind of file.
///
/// # Safety
///
/// C must be calling this for `file`, which must be of the kind `F`. `table` must be null or valid.
pub(crate) unsafe extern "C" fn poll<F: FileHooks>(
    file: *mut bindings::file,
    table: *mut bindings::poll_table,
) -> bindings::__poll_t {
    // SAFETY: By the safety requirements of this function, the file is of the kind `F`. It is not
    // released before this function returns.
    let Ok(device) = (unsafe { private_data::<F::Ptr>(file) }) else {
        return Events::ERROR.0;
    };
    // SAFETY: The file is not released before this function returns, and this thread has no active
    // `fdget_pos` region on it.
    let file = unsafe { File::from_raw_file(file) };
    // SAFETY: By the safety requirements of this function, `table` is null or valid until this
    // function returns.
    let table = unsafe { PollTable::from_raw(table) };
    F::poll(device, file, &table).0
}
