// SPDX-License-Identifier: GPL-2.0

//! The `splice_read` and `splice_write` operations of a file.
//!
//! `splice(2)` and `sendfile(2)` copy between a file and a pipe. A driver that reads and writes
//! implements them in one line each:
//!
//! ```
//! use kernel::{
//!     fs::{
//!         splice::{SpliceRead, SpliceWrite, Spliced},
//!         FileOperations,
//!         Kiocb, //
//!     },
//!     iov::{IovIterDest, IovIterSource},
//!     sync::atomic::{Atomic, Relaxed}, //
//! };
//!
//! /// Counts the bytes that are written.
//! struct Counter(Atomic<i64>);
//!
//! #[vtable]
//! impl FileOperations for Counter {
//!     type Ptr = KBox<Self>;
//!
//!     fn read_iter(mut kiocb: Kiocb<'_, KBox<Self>>, iov: &mut IovIterDest<'_>) -> Result<usize> {
//!         let number = kiocb.file().0.load(Relaxed).to_le_bytes();
//!         iov.simple_read_from_buffer(kiocb.ki_pos_mut(), &number)
//!     }
//!
//!     fn write_iter(kiocb: Kiocb<'_, KBox<Self>>, iov: &mut IovIterSource<'_>) -> Result<usize> {
//!         kiocb.file().0.fetch_add(iov.len() as i64, Relaxed);
//!         Ok(iov.len())
//!     }
//!
//!     fn splice_read<'a>(_: &'a Self, request: SpliceRead<'a>) -> Result<Spliced<'a>> {
//!         request.by_read_iter()
//!     }
//!
//!     fn splice_write<'a>(_: &'a Self, request: SpliceWrite<'a>) -> Result<Spliced<'a>> {
//!         request.by_write_iter()
//!     }
//! }
//! ```
//!
//! C header: [`include/linux/splice.h`](srctree/include/linux/splice.h)

use super::{
    answer::errno,
    hooks::FileHooks,
    opened::private_data,
    File, //
};
use crate::{
    bindings,
    prelude::*,
    types::NotThreadSafe, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

/// The direction of a request that reads from the file.
pub struct Read(());

/// The direction of a request that writes to the file.
pub struct Write(());

/// A request to read from a file into a pipe.
///
/// # Examples
///
/// See [the module](self).
pub type SpliceRead<'a> = SpliceRequest<'a, Read>;

/// A request to write to a file what is in a pipe.
///
/// # Examples
///
/// See [the module](self).
pub type SpliceWrite<'a> = SpliceRequest<'a, Write>;

/// A request of user space to copy between a file and a pipe, in the direction `D`.
///
/// # Invariants
///
/// This thread is in the splice operation of the direction `D` with these arguments, which are
/// valid during `'a`, but `len`, which is at most that of the operation. `file` is open during
/// `'a`.
pub struct SpliceRequest<'a, D> {
    file: NonNull<bindings::file>,
    position: NonNull<bindings::loff_t>,
    pipe: NonNull<bindings::pipe_inode_info>,
    len: usize,
    flags: c_uint,
    _file: PhantomData<(&'a bindings::file, D)>,
    _not_send: NotThreadSafe,
}

impl<'a, D> SpliceRequest<'a, D> {
    /// Wraps the arguments of a splice operation.
    ///
    /// # Safety
    ///
    /// The pointers must be arguments of a splice operation of the direction `D` that this thread
    /// is in during `'a`.
    #[inline]
    unsafe fn new(
        file: *mut bindings::file,
        position: *mut bindings::loff_t,
        pipe: *mut bindings::pipe_inode_info,
        len: usize,
        flags: c_uint,
    ) -> Self {
        // INVARIANT: By the safety requirements of this function, these are the arguments of the
        // operation. The file is open in all of its operations.
        //
        // SAFETY: C passes no null pointers: `do_splice_read` and `do_splice_from` have a position
        // of their own where user space has passed none.
        unsafe {
            Self {
                file: NonNull::new_unchecked(file),
                position: NonNull::new_unchecked(position),
                pipe: NonNull::new_unchecked(pipe),
                len,
                flags,
                _file: PhantomData,
                _not_send: NotThreadSafe,
            }
        }
    }

    /// Returns the file.
    #[inline]
    pub fn file(&self) -> &'a File {
        // SAFETY: By the type invariants, the file is open during `'a`. This thread has no active
        // `fdget_pos` region on it: the system calls that splice do not take the position lock.
        unsafe { File::from_raw_file(self.file.as_ptr()) }
    }

    /// Returns the position in the file at which to read or write.
    #[inline]
    pub fn position(&self) -> i64 {
        // SAFETY: By the type invariants, the argument is valid.
        unsafe { *self.position.as_ptr() }
    }

    /// Returns the number of bytes that user space wants to copy at most.
    #[expect(clippy::len_without_is_empty)]
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Copies no more than `len` bytes.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        // INVARIANT: The length does not grow.
        self.len = self.len.min(len);
    }

    /// Returns whether the operation must not wait for data or for space.
    ///
    /// It then fails with [`EAGAIN`] if there is none.
    ///
    /// This is so if the file has `O_NONBLOCK`, or if user space asks for it in this one call
    /// (`SPLICE_F_NONBLOCK`). [`Kiocb::is_nonblocking`](super::Kiocb::is_nonblocking) does not say
    /// the latter.
    #[inline]
    pub fn is_nonblocking(&self) -> bool {
        self.flags & bindings::SPLICE_F_NONBLOCK != 0
            || self.file().flags() & super::file::flags::O_NONBLOCK != 0
    }
}

/// The number of bytes that were spliced, in answer to the request that `'a` belongs to.
///
/// # Invariants
///
/// `len` is what a function of the kernel has returned for the request, or 0.
pub struct Spliced<'a> {
    len: usize,
    _request: PhantomData<fn(&'a ()) -> &'a ()>,
}

impl Spliced<'_> {
    /// Wraps what a splice function of the kernel has returned, or 0.
    fn new(len: isize) -> Result<Self> {
        if len < 0 {
            // A negative result is an errno, which fits into a `c_int`.
            return Err(Error::from_errno(len as c_int));
        }
        // INVARIANT: It is no error, so it is a number that the function has returned, or 0.
        Ok(Self {
            len: len as usize,
            _request: PhantomData,
        })
    }

    /// Returns the number of bytes.
    #[expect(clippy::len_without_is_empty)]
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }
}

impl<'a> SpliceRead<'a> {
    /// Allocates pages, calls `read_iter` of the file to fill them, and moves them to the pipe.
    ///
    /// # Context
    ///
    /// As `read_iter`. The caller must not hold a lock that `read_iter` takes.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the file has no `read_iter`.
    /// - [`EAGAIN`] if `read_iter` fails with [`EFAULT`].
    /// - [`ENOMEM`] if there is not enough memory.
    /// - Other errors of `read_iter`.
    ///
    /// # Examples
    ///
    /// See [the module](self).
    pub fn by_read_iter(self) -> Result<Spliced<'a>> {
        if self.len == 0 {
            // C does not expect this, and fails.
            return Spliced::new(0);
        }
        // A hand-written table can have one without the other, and C does not look.
        //
        // SAFETY: By the type invariants, the file is open, so it has its operations.
        if unsafe { (*(*self.file.as_ptr()).f_op).read_iter.is_none() } {
            return Err(EINVAL);
        }
        // SAFETY: By the type invariants, the arguments are those of a `splice_read` operation of
        // the file, whose length may be smaller and is not 0. The file has `read_iter`.
        Spliced::new(unsafe {
            bindings::copy_splice_read(
                self.file.as_ptr(),
                self.position.as_ptr(),
                self.pipe.as_ptr(),
                self.len,
                self.flags,
            )
        })
    }
}

impl<'a> SpliceWrite<'a> {
    /// Calls `write_iter` of the file with the pages of the pipe, and removes from the pipe what
    /// was written.
    ///
    /// # Context
    ///
    /// As `write_iter`, with the pipe locked. The caller must not hold a lock that `write_iter`
    /// takes.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the file has no `write_iter`.
    /// - [`EAGAIN`] if the pipe is empty, and user space does not want to wait.
    /// - [`ERESTARTSYS`] if a signal is pending.
    /// - [`ENOMEM`] if there is not enough memory.
    /// - Other errors of `write_iter`.
    ///
    /// # Examples
    ///
    /// See [the module](self).
    pub fn by_write_iter(self) -> Result<Spliced<'a>> {
        if self.len == 0 {
            // C does not expect this, and returns a value that it has not set.
            return Spliced::new(0);
        }
        // SAFETY: By the type invariants, the arguments are those of a `splice_write` operation of
        // the file, whose length may be smaller and is not 0. The function checks for `write_iter`.
        Spliced::new(unsafe {
            bindings::iter_file_splice_write(
                self.pipe.as_ptr(),
                self.file.as_ptr(),
                self.position.as_ptr(),
                self.len,
                self.flags,
            )
        })
    }
}

/// Returns the result of a splice operation.
#[inline]
fn answer(result: Result<Spliced<'_>>) -> isize {
    match result {
        // No overflow: it was not negative when C returned it.
        Ok(spliced) => spliced.len as isize,
        Err(err) => errno(err) as isize,
    }
}

/// `file_operations::splice_read` of each kind of file.
///
/// # Safety
///
/// C must be calling this for `file`, which must be of the kind `F`.
pub(crate) unsafe extern "C" fn splice_read<F: FileHooks>(
    file: *mut bindings::file,
    position: *mut bindings::loff_t,
    pipe: *mut bindings::pipe_inode_info,
    len: usize,
    flags: c_uint,
) -> isize {
    // SAFETY: By the safety requirements of this function, the file is of the kind `F`. It is not
    // released before this function returns.
    answer(unsafe { private_data::<F::Ptr>(file) }.and_then(|device| {
        // SAFETY: By the safety requirements of this function, these are the arguments of the
        // operation, which lasts longer than the request.
        let request = unsafe { SpliceRead::new(file, position, pipe, len, flags) };
        F::splice_read(device, request)
    }))
}

/// `file_operations::splice_write` of each kind of file.
///
/// # Safety
///
/// C must be calling this for `file`, which must be of the kind `F`.
pub(crate) unsafe extern "C" fn splice_write<F: FileHooks>(
    pipe: *mut bindings::pipe_inode_info,
    file: *mut bindings::file,
    position: *mut bindings::loff_t,
    len: usize,
    flags: c_uint,
) -> isize {
    // SAFETY: By the safety requirements of this function, the file is of the kind `F`. It is not
    // released before this function returns.
    answer(unsafe { private_data::<F::Ptr>(file) }.and_then(|device| {
        // SAFETY: By the safety requirements of this function, these are the arguments of the
        // operation, which lasts longer than the request.
        let request = unsafe { SpliceWrite::new(file, position, pipe, len, flags) };
        F::splice_write(device, request)
    }))
}
