// SPDX-License-Identifier: GPL-2.0

//! The results of file operations, in the form that C expects.
//!
//! The kernel acts on some results: it takes a length for the number of bytes that it finds in a
//! buffer of its own, and an error such as `EIOCBQUEUED` for the promise of a later completion. So
//! what a driver returns is checked before C gets it.
//!
//! C header: [`include/linux/errno.h`](srctree/include/linux/errno.h)

use crate::{
    bindings,
    prelude::*, //
};

/// The first of the errors that are not for user space.
const FIRST_INTERNAL: c_int = bindings::ERESTARTSYS as c_int;

/// Returns the errno for an error that a driver returns from a file operation.
///
/// It is one that user space knows. The exceptions are the errors by which the kernel restarts a
/// system call, while a signal is pending: the kernel replaces them when it delivers the signal.
pub(crate) fn errno(err: Error) -> c_int {
    if -err.to_errno() < FIRST_INTERNAL {
        return err.to_errno();
    }
    if err == ERESTARTSYS || err == ERESTARTNOINTR || err == ERESTARTNOHAND {
        if crate::current!().signal_pending() {
            return err.to_errno();
        }
        return EINTR.to_errno();
    }
    if err == ERESTART_RESTARTBLOCK {
        // Rust code cannot say what the kernel is to call again.
        return EINTR.to_errno();
    }
    EIO.to_errno()
}

/// Returns the result of `read_iter`, which has written `written` bytes to the destination.
///
/// The destination can be memory of the kernel that is not initialized: the pages that `splice(2)`
/// gives to user space, or a buffer on the stack. So the driver can have read no more than it has
/// written.
pub(crate) fn read(result: Result<usize>, written: usize) -> isize {
    match result {
        // No overflow: the iterator has no more than `MAX_RW_COUNT` bytes.
        Ok(len) => len.min(written) as isize,
        Err(err) => errno(err) as isize,
    }
}

/// Returns the result of `write_iter`, which was called with `len` bytes.
///
/// The driver need not have looked at the bytes, as `/dev/null` does not. But the kernel discards
/// as many from the pipe of a `splice(2)`.
pub(crate) fn write(result: Result<usize>, len: usize) -> isize {
    match result {
        // No overflow: the iterator has no more than `MAX_RW_COUNT` bytes.
        Ok(written) => written.min(len) as isize,
        Err(err) => errno(err) as isize,
    }
}
