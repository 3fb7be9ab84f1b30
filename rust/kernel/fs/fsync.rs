// SPDX-License-Identifier: GPL-2.0

//! The `fsync` operation of a file.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use super::{
    answer::errno,
    hooks::FileHooks,
    opened::private_data,
    File, //
};
use crate::{
    bindings,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*, //
};
use core::ops::Range;

/// A request of user space to wait until what was written to a part of a file is where it belongs.
///
/// It comes from `fsync(2)`, `fdatasync(2)`, `msync(2)` with `MS_SYNC`, `IORING_OP_FSYNC` of
/// io_uring, and `IOCB_CMD_FSYNC` of `io_submit(2)`.
///
/// # Examples
///
/// A device that writes its pages to a display, and knows which of them user space has changed:
///
/// ```
/// use kernel::{fs::fsync::Fsync, new_mutex, sync::Mutex};
///
/// #[pin_data]
/// struct Display {
///     #[pin]
///     dirty: Mutex<[bool; 8]>,
/// }
///
/// impl Display {
///     /// The body of the `fsync` hook.
///     fn fsync(&self, request: Fsync<'_>) -> Result {
///         let mut dirty = self.dirty.lock();
///         for page in request.pages(dirty.len()) {
///             if let Some(dirty) = dirty.get_mut(page) {
///                 // Here, the page is written.
///                 *dirty = false;
///             }
///         }
///         Ok(())
///     }
/// }
///
/// let display = pin_init!(Display { dirty <- new_mutex!([true; 8]) });
/// # let display = KBox::pin_init(display, GFP_KERNEL)?;
/// # assert!(display.dirty.lock()[7]);
/// # let _ = Display::fsync;
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// `bytes.start <= bytes.end`.
pub struct Fsync<'a> {
    file: &'a File,
    bytes: Range<u64>,
    datasync: bool,
}

impl<'a> Fsync<'a> {
    /// Makes a request of the arguments of an `fsync` operation.
    ///
    /// `end` is the last byte, or `i64::MAX` for the end of the file. Neither is checked by the
    /// kernel: io_uring takes both from user space, and the page offset of a device's mapping can
    /// be above what `loff_t` can be in bytes.
    fn new(file: &'a File, start: bindings::loff_t, end: bindings::loff_t, datasync: bool) -> Self {
        let end = match end {
            bindings::loff_t::MAX => u64::MAX,
            last => (last as u64).saturating_add(1),
        };
        let start = start as u64;
        // INVARIANT: The end is at least the start.
        Self {
            file,
            bytes: start..end.max(start),
            datasync,
        }
    }

    /// Returns the file.
    #[inline]
    pub fn file(&self) -> &'a File {
        self.file
    }

    /// Returns whether user space wants to wait for the data only, and not for what describes it.
    ///
    /// This is so for `fdatasync(2)` and `msync(2)`.
    #[inline]
    pub fn is_datasync(&self) -> bool {
        self.datasync
    }

    /// Returns the bytes of the file that user space waits for.
    ///
    /// The end is not before the start, and can be after the end of the file. For the whole file,
    /// and for all that follows the start, it is `u64::MAX`.
    #[inline]
    pub fn bytes(&self) -> Range<u64> {
        self.bytes.clone()
    }

    /// Returns which of the pages of memory that is `len` pages long user space waits for.
    ///
    /// These are the pages in which there is a byte of [`bytes`](Self::bytes). All of them are
    /// below `len`, and the start of the range is not after its end.
    #[inline]
    pub fn pages(&self, len: usize) -> Range<usize> {
        let index = |page: u64| usize::try_from(page).map_or(len, |page| page.min(len));
        let start = index(self.bytes.start >> PAGE_SHIFT);
        if self.bytes.is_empty() {
            return start..start;
        }
        start..index(self.bytes.end.div_ceil(PAGE_SIZE as u64))
    }
}

/// `file_operations::fsync` of each kind of file.
///
/// # Safety
///
/// C must be calling this for `file`, which must be of the kind `F`.
pub(crate) unsafe extern "C" fn fsync<F: FileHooks>(
    file: *mut bindings::file,
    start: bindings::loff_t,
    end: bindings::loff_t,
    datasync: c_int,
) -> c_int {
    // SAFETY: By the safety requirements of this function, the file is of the kind `F`. It is not
    // released before this function returns.
    let result = unsafe { private_data::<F::Ptr>(file) }.and_then(|device| {
        // SAFETY: The file is not released before this function returns, and this thread has no
        // active `fdget_pos` region on it.
        let file = unsafe { File::from_raw_file(file) };
        F::fsync(device, Fsync::new(file, start, end, datasync != 0))
    });
    match result {
        Ok(()) => 0,
        Err(err) => errno(err),
    }
}
