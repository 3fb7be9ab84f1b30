// SPDX-License-Identifier: GPL-2.0

//! Reading and writing the memory of another process.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use crate::{
    bindings,
    mm::MmWithUser,
    prelude::*,
    task::{
        might_sleep,
        Task, //
    }, //
};

/// Reads or writes memory of another mm, as far as it goes.
///
/// # Safety
///
/// `buf` must be valid for `len` bytes, for writes if it is `read`.
unsafe fn access(
    mm: *mut bindings::mm_struct,
    addr: usize,
    buf: *mut u8,
    len: usize,
    write: bool,
) -> usize {
    might_sleep();
    let flags = if write { bindings::FOLL_WRITE } else { 0 };
    let len = c_int::try_from(len).unwrap_or(c_int::MAX);
    // SAFETY: The callers have a reference to the mm, and promise the rest.
    let done = unsafe { bindings::access_remote_vm(mm, addr, buf.cast(), len, flags) };
    usize::try_from(done).unwrap_or(0)
}

impl MmWithUser {
    /// Reads memory, as its owner could (`access_remote_vm`). Returns how many bytes it was able to.
    ///
    /// Also device memory can be read, if its driver has a function for that; that can read what its
    /// owner could make readable, too.
    ///
    /// Whether the caller may look into another process is for the caller to find out, with
    /// [`MmWithUser::of_process`]: what is checked in another way may not be true any more, if the process
    /// has executed a program that has more rights.
    ///
    /// # Context
    ///
    /// Sleeps. The mmap lock of the mm must not be held, nor a VMA lock of it, nor a lock that a driver's
    /// fault handler takes: the memory may be a mapping of that driver.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::testing::*, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let addr = mm.mmap_anonymous(PAGE_SIZE)?;
    /// assert_eq!(mm.current().write_remote_vm(addr, b"hello"), 5);
    /// let mut out = [0; 5];
    /// assert_eq!(mm.current().read_remote_vm(addr, &mut out), 5);
    /// assert_eq!(&out, b"hello");
    /// // As far as it goes.
    /// mm.munmap(addr, PAGE_SIZE)?;
    /// assert_eq!(mm.current().read_remote_vm(addr, &mut out), 0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn read_remote_vm(&self, addr: usize, out: &mut [u8]) -> usize {
        // SAFETY: The buffer is valid for writes.
        unsafe { access(self.as_raw(), addr, out.as_mut_ptr(), out.len(), false) }
    }

    /// Writes memory, as its owner could (`access_remote_vm`). Returns how many bytes it was able
    /// to.
    ///
    /// What the owner may not write, this does not, either.
    ///
    /// # Context
    ///
    /// As [`read_remote_vm`](Self::read_remote_vm).
    ///
    /// # Examples
    ///
    /// See [`read_remote_vm`](Self::read_remote_vm).
    pub fn write_remote_vm(&self, addr: usize, data: &[u8]) -> usize {
        let from = data.as_ptr().cast_mut();
        // SAFETY: C only reads the buffer then.
        unsafe { access(self.as_raw(), addr, from, data.len(), true) }
    }
}

impl Task {
    /// As [`MmWithUser::read_remote_vm`], for the mm that the task has
    /// (`access_process_vm`). A kernel thread, and a process that has ended, have none: zero.
    ///
    /// # Context
    ///
    /// As [`MmWithUser::read_remote_vm`]. If the process ends meanwhile, its mm is torn down
    /// here: no lock may be held that a driver takes when its memory is unmapped.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::testing::*, page::PAGE_SIZE, task::Task};
    ///
    /// let mm = UserMm::attach()?;
    /// let addr = mm.mmap_anonymous(PAGE_SIZE)?;
    /// // This is a kernel thread, and so nothing can be read, although it has an mm.
    /// let mut out = [0; 5];
    /// assert_eq!(current!().read_process_vm(addr, &mut out), 0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn read_process_vm(&self, addr: usize, out: &mut [u8]) -> usize {
        might_sleep();
        let len = c_int::try_from(out.len()).unwrap_or(c_int::MAX);
        // SAFETY: The task is valid, and so is the buffer, for writes.
        let done = unsafe {
            bindings::access_process_vm(self.as_ptr(), addr, out.as_mut_ptr().cast(), len, 0)
        };
        usize::try_from(done).unwrap_or(0)
    }

    /// As [`MmWithUser::write_remote_vm`], for the mm that the task has
    /// (`access_process_vm`).
    ///
    /// # Context
    ///
    /// As [`MmWithUser::read_remote_vm`].
    ///
    /// # Examples
    ///
    /// See [`read_process_vm`](Self::read_process_vm).
    pub fn write_process_vm(&self, addr: usize, data: &[u8]) -> usize {
        might_sleep();
        let len = c_int::try_from(data.len()).unwrap_or(c_int::MAX);
        let from = data.as_ptr().cast_mut().cast();
        // SAFETY: The task is valid; C only reads the buffer then.
        let done = unsafe {
            bindings::access_process_vm(self.as_ptr(), addr, from, len, bindings::FOLL_WRITE)
        };
        usize::try_from(done).unwrap_or(0)
    }
}
