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

/// Copies between a buffer and the memory of an mm, and returns the number of bytes copied.
///
/// # Safety
///
/// - The caller must have a reference to `mm`.
/// - `buf` must be valid for reads of `len` bytes if `write`, otherwise for writes.
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
    // SAFETY: By the safety requirements of this function, `mm` is valid, and `buf` is valid for
    // `len` bytes. `len` may have become smaller above, but not larger.
    let done = unsafe { bindings::access_remote_vm(mm, addr, buf.cast(), len, flags) };
    usize::try_from(done).unwrap_or(0)
}

impl MmWithUser {
    /// Reads memory of the mm, as its process could (`access_remote_vm`), and returns the number of
    /// bytes read.
    ///
    /// Device memory can be read if its driver has an
    /// [`access`](crate::mm::ops::VmOperations::access) callback. Such a callback can also give
    /// access to what the process could make readable with `mprotect`.
    ///
    /// This does not check whether the caller may look into the process. The caller gets that
    /// permission by finding the mm with [`MmWithUser::of_process`]. A check that the caller makes
    /// in another way may be out of date by the time of this call, if the process has executed a
    /// program with more privileges.
    ///
    /// # Context
    ///
    /// Sleeps. The caller must hold neither the mmap lock nor a VMA lock of the mm, nor a lock that
    /// a driver's fault handler takes: the memory may be a mapping of that driver.
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
    /// // Nothing is mapped there now.
    /// mm.munmap(addr, PAGE_SIZE)?;
    /// assert_eq!(mm.current().read_remote_vm(addr, &mut out), 0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn read_remote_vm(&self, addr: usize, out: &mut [u8]) -> usize {
        // SAFETY: `self` is a reference to the mm. `out` is valid for writes of its length.
        unsafe { access(self.as_raw(), addr, out.as_mut_ptr(), out.len(), false) }
    }

    /// Writes memory of the mm, as its process could (`access_remote_vm`), and returns the number
    /// of bytes written.
    ///
    /// Memory that the process may not write is not written. As for
    /// [`read_remote_vm`](Self::read_remote_vm), the caller gets the permission to look into the
    /// process by finding the mm with [`MmWithUser::of_process`].
    ///
    /// # Context
    ///
    /// As for [`read_remote_vm`](Self::read_remote_vm).
    ///
    /// # Examples
    ///
    /// See [`read_remote_vm`](Self::read_remote_vm).
    pub fn write_remote_vm(&self, addr: usize, data: &[u8]) -> usize {
        let from = data.as_ptr().cast_mut();
        // SAFETY: `self` is a reference to the mm. `data` is valid for reads of its length, and C
        // only reads the buffer.
        unsafe { access(self.as_raw(), addr, from, data.len(), true) }
    }
}

impl Task {
    /// Reads memory of the mm of the task (`access_process_vm`), and returns the number of bytes
    /// read.
    ///
    /// This does what [`MmWithUser::read_remote_vm`] does. It returns zero if the task is a kernel
    /// thread, or of a process that has ended: these have no mm.
    ///
    /// # Context
    ///
    /// As for [`MmWithUser::read_remote_vm`]. If the process ends meanwhile, this call tears its mm
    /// down. The caller must therefore not hold a lock that a driver takes when its memory is
    /// unmapped.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::testing::*, page::PAGE_SIZE, task::Task};
    ///
    /// let mm = UserMm::attach()?;
    /// let addr = mm.mmap_anonymous(PAGE_SIZE)?;
    /// // This is a kernel thread: nothing can be read, although KUnit has given it an mm.
    /// let mut out = [0; 5];
    /// assert_eq!(current!().read_process_vm(addr, &mut out), 0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn read_process_vm(&self, addr: usize, out: &mut [u8]) -> usize {
        might_sleep();
        let len = c_int::try_from(out.len()).unwrap_or(c_int::MAX);
        // SAFETY: The task is valid, since `self` is a reference. `out` is valid for writes of
        // `len` bytes.
        let done = unsafe {
            bindings::access_process_vm(self.as_ptr(), addr, out.as_mut_ptr().cast(), len, 0)
        };
        usize::try_from(done).unwrap_or(0)
    }

    /// Writes memory of the mm of the task (`access_process_vm`), and returns the number of bytes
    /// written.
    ///
    /// This does what [`MmWithUser::write_remote_vm`] does, for a task as in
    /// [`read_process_vm`](Self::read_process_vm).
    ///
    /// # Context
    ///
    /// As for [`read_process_vm`](Self::read_process_vm).
    ///
    /// # Examples
    ///
    /// See [`read_process_vm`](Self::read_process_vm).
    pub fn write_process_vm(&self, addr: usize, data: &[u8]) -> usize {
        might_sleep();
        let len = c_int::try_from(data.len()).unwrap_or(c_int::MAX);
        let from = data.as_ptr().cast_mut().cast();
        // SAFETY: The task is valid, since `self` is a reference. `data` is valid for reads of
        // `len` bytes, and C only reads the buffer.
        let done = unsafe {
            bindings::access_process_vm(self.as_ptr(), addr, from, len, bindings::FOLL_WRITE)
        };
        usize::try_from(done).unwrap_or(0)
    }
}
