// SPDX-License-Identifier: GPL-2.0

//! The mm of another process.
//!
//! C header: [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h)

use super::MmWithUser;
use crate::{
    bindings,
    error::{
        from_err_ptr,
        Result, //
    },
    sync::aref::ARef,
    task::Pid,
};
use core::ptr::NonNull;

mod access;

/// What somebody wants to do with another process's mm. Decides how much the caller has
/// to be allowed.
///
/// Who asks is the current thread, by the identity that it has for file systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PtraceMode {
    /// Look at it: `PTRACE_MODE_READ_FSCREDS`. What `/proc/<pid>/maps` asks for.
    Read,
    /// Look into the memory, or change it: `PTRACE_MODE_ATTACH_FSCREDS`. What `/proc/<pid>/mem` asks
    /// for.
    Attach,
}

impl MmWithUser {
    /// Returns the mm of the process with the number `pid` in the namespace of the current
    /// one, if the current thread may ptrace it.
    ///
    /// While the result lives, the mm does, even if the process ends meanwhile: drop it
    /// soon. Dropping it may be what tears the mm down.
    ///
    /// # Context
    ///
    /// Sleeps. Must be called by a thread of a process that has asked for it.
    ///
    /// # Errors
    ///
    /// - [`ESRCH`](crate::error::code::ESRCH) if there is no such process, or it has no mm
    ///   (any more).
    /// - [`EACCES`](crate::error::code::EACCES) if the current thread may not.
    /// - [`EINTR`](crate::error::code::EINTR) if the current thread is killed meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{remote::PtraceMode, MmWithUser}, prelude::*};
    ///
    /// // There is no process with that number.
    /// for mode in [PtraceMode::Read, PtraceMode::Attach] {
    ///     let none = MmWithUser::of_process(-1, mode);
    ///     assert!(none.is_err_and(|e| e == ESRCH));
    /// }
    /// // A kernel thread has no mm: number 2 is the one that makes the others.
    /// let none = MmWithUser::of_process(2, PtraceMode::Read);
    /// assert!(none.is_err_and(|e| e == ESRCH));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn of_process(pid: Pid, mode: PtraceMode) -> Result<ARef<Self>> {
        let mode = match mode {
            PtraceMode::Read => bindings::PTRACE_MODE_READ | bindings::PTRACE_MODE_FSCREDS,
            PtraceMode::Attach => bindings::PTRACE_MODE_ATTACH | bindings::PTRACE_MODE_FSCREDS,
        };
        // SAFETY: Looks for the task, which the helper holds a reference of meanwhile.
        let mm = from_err_ptr(unsafe { bindings::rust_mm_access_vpid(pid, mode) })?;
        // SAFETY: A pointer that is no error is an mm, with a user that is ours to give up.
        Ok(unsafe { ARef::from_raw(NonNull::new_unchecked(mm.cast())) })
    }
}
