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

/// The access to the mm of another process that a caller asks for.
///
/// The kernel checks whether the current thread is permitted to have that access. It uses the
/// credentials that the thread has for file systems (`FSCREDS`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PtraceMode {
    /// Read the layout of the mm, as `/proc/<pid>/maps` does (`PTRACE_MODE_READ_FSCREDS`).
    ///
    /// A thread with `CAP_PERFMON` is permitted this for every process (`may_access_mm()`).
    Read,
    /// Read and write the memory, as `/proc/<pid>/mem` does (`PTRACE_MODE_ATTACH_FSCREDS`).
    Attach,
}

impl MmWithUser {
    /// Returns the mm of a process, if the current thread is permitted the access.
    ///
    /// `pid` is the number of the process in the PID namespace of the current process.
    ///
    /// The mm lives as long as the result, even if the process ends meanwhile, so the caller should
    /// drop the result soon. Dropping it can tear the mm down.
    ///
    /// # Context
    ///
    /// Sleeps. Must be called by a thread of the process that asks for the access: its credentials
    /// are what the kernel checks.
    ///
    /// # Errors
    ///
    /// - [`ESRCH`](crate::error::code::ESRCH) if there is no such process, or if it has no mm, as a
    ///   kernel thread or a process that has ended.
    /// - [`EACCES`](crate::error::code::EACCES) if the current thread does not have the permission.
    /// - [`EINTR`](crate::error::code::EINTR) if a fatal signal is pending.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{remote::PtraceMode, MmWithUser}, prelude::*};
    ///
    /// // No process has this number.
    /// for mode in [PtraceMode::Read, PtraceMode::Attach] {
    ///     let none = MmWithUser::of_process(-1, mode);
    ///     assert!(none.is_err_and(|e| e == ESRCH));
    /// }
    /// // Process 2 is a kernel thread, which has no mm.
    /// let none = MmWithUser::of_process(2, PtraceMode::Read);
    /// assert!(none.is_err_and(|e| e == ESRCH));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn of_process(pid: Pid, mode: PtraceMode) -> Result<ARef<Self>> {
        let mode = match mode {
            PtraceMode::Read => bindings::PTRACE_MODE_READ | bindings::PTRACE_MODE_FSCREDS,
            PtraceMode::Attach => bindings::PTRACE_MODE_ATTACH | bindings::PTRACE_MODE_FSCREDS,
        };
        // SAFETY: The helper takes any number, and holds a reference to the task that it finds.
        let mm = from_err_ptr(unsafe { bindings::rust_mm_access_vpid(pid, mode) })?;
        // SAFETY: A pointer that is not an error is an mm, and not null. The helper has taken a
        // reference to its users (`mm_users`), which the `ARef` takes over.
        Ok(unsafe { ARef::from_raw(NonNull::new_unchecked(mm.cast())) })
    }
}
