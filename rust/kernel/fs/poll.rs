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
    sync::poll::{
        PollCondVar,
        PollTable, //
    }, //
};
use core::{
    marker::PhantomData,
    ops::{
        BitOr,
        BitOrAssign, //
    }, //
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

/// A call of `poll(2)`, `select(2)` or epoll that asks what a file is ready for.
///
/// `'a` is the lifetime for which the hook borrows the data of the file, which lasts until the file
/// is released. The hook does not know how long that is.
///
/// # Invariants
///
/// - `file` is a valid file, and this thread is in its `poll` operation.
/// - `table` is null or valid.
/// - What is borrowed for `'a` exists until the file is released.
pub struct Poll<'a> {
    file: *const bindings::file,
    table: *mut bindings::poll_table,
    /// Invariant: with a shorter lifetime, `register_wait` would accept anything.
    _data: PhantomData<fn(&'a ()) -> &'a ()>,
}

impl<'a> Poll<'a> {
    /// Returns the file.
    #[inline]
    pub fn file(&self) -> &File {
        // SAFETY: By the type invariants, the file is valid, and this thread is in its `poll`
        // operation, so it has no active `fdget_pos` region on it.
        unsafe { File::from_raw_file(self.file) }
    }

    /// Registers a condition variable, which is notified when the file becomes ready.
    ///
    /// If nothing is ready, the caller waits for all that the hook has registered, and then calls
    /// the hook again.
    ///
    /// The condition variable is a part of the data of the file, or static. One that is dropped
    /// earlier would be used after it is freed: `poll(2)` gives it up only when it returns.
    ///
    /// # Context
    ///
    /// Process context. May sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     fs::{poll::{Events, Poll}, FileOperations},
    ///     sync::{atomic::{Atomic, Relaxed}, poll::PollCondVar, Arc, ArcBorrow},
    /// };
    ///
    /// #[pin_data]
    /// struct Queue {
    ///     len: Atomic<usize>,
    ///     /// Notified when `len` is no longer 0.
    ///     #[pin]
    ///     filled: PollCondVar,
    /// }
    ///
    /// #[vtable]
    /// impl FileOperations for Queue {
    ///     type Ptr = Arc<Self>;
    ///
    ///     fn poll<'a>(queue: ArcBorrow<'a, Self>, poll: &Poll<'a>) -> Events {
    ///         let queue = queue.into_ref();
    ///         // Before the queue is looked at, so that no notification is missed.
    ///         poll.register_wait(&queue.filled);
    ///         if queue.len.load(Relaxed) == 0 {
    ///             return Events::NONE;
    ///         }
    ///         Events::READABLE
    ///     }
    /// }
    /// ```
    #[inline]
    pub fn register_wait(&self, condvar: &'a PollCondVar) {
        // By the type invariants, `condvar` exists until the file is released. Each caller that
        // waits for it has a reference to the file, or, as epoll does, removes itself before the
        // file is released.
        //
        // SAFETY: By the type invariants, the table is null or valid as long as `self` exists.
        let table = unsafe { PollTable::from_raw(self.table) };
        table.register_wait(self.file(), condvar);
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
    // INVARIANT: By the safety requirements of this function, C is calling the operation of `file`
    // with `table`. The hook borrows the private data of the file for `'a`, and that exists until
    // the file is released. All else that it borrows for `'a` is static, since it does not know the
    // lifetime.
    let poll = Poll {
        file,
        table,
        _data: PhantomData,
    };
    F::poll(device, &poll).0
}
