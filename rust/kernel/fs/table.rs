// SPDX-License-Identifier: GPL-2.0

//! Hand-written tables of file operations.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use super::{
    opened,
    FileOf,
    FileOperations, //
};
use crate::{
    bindings,
    prelude::*,
    types::ForeignOwnable, //
};
use core::marker::PhantomData;

/// A hand-written table of file operations, for files whose data has the type `T`.
///
/// For a driver whose files are made by C code or by another subsystem, which wants a
/// `struct file_operations` from the driver. The driver writes `open`, and any operation that
/// [`FileOperations`] does not have, and takes the others from [`OPERATIONS`](Self::OPERATIONS).
///
/// The table has the layout of a `struct file_operations`, so C code can name a `static` of this
/// type.
///
/// # Invariants
///
/// Each file whose operations are this table is of the kind [`FileOf<T>`](FileOf).
///
/// # Examples
///
/// The file is made by hand here, instead of by C code.
///
/// ```
/// # #[cfg(CONFIG_MMU)]
/// # fn example() -> Result {
/// use kernel::{
///     bindings,
///     error::from_err_ptr,
///     fs::{File, FileOf, FileOperations, FileTable},
///     mm::{desc::{Mapping, VmaDesc}, testing::*, KernelPages},
///     page::PAGE_SIZE,
///     sync::{aref::ARef, Arc, ArcBorrow},
/// };
/// use core::ptr::NonNull;
///
/// struct Buffer {
///     pages: KernelPages,
/// }
///
/// #[vtable]
/// impl FileOperations for Buffer {
///     type Ptr = Arc<Self>;
///
///     fn mmap_prepare<'f>(
///         buffer: ArcBorrow<'f, Self>,
///         desc: VmaDesc<'f, FileOf<Self>>,
///     ) -> Result<Mapping<'f, FileOf<Self>>> {
///         desc.map_kernel_pages(&buffer.into_ref().pages)
///     }
/// }
///
/// /// # Safety
/// ///
/// /// C must be calling this for a file with the operations `TABLE`.
/// unsafe extern "C" fn open(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
///     let buffer = KernelPages::new(1, GFP_KERNEL)
///         .and_then(|pages| Ok(Arc::new(Buffer { pages }, GFP_KERNEL)?));
///     match buffer {
///         Ok(buffer) => {
///             // SAFETY: The file is in its `open`, which succeeds. Its operations are `TABLE`.
///             unsafe { TABLE.opened(file, buffer) };
///             0
///         }
///         Err(err) => err.to_errno(),
///     }
/// }
///
/// // SAFETY: `open` calls `opened`, just before it returns 0. `release` and the owner are those of
/// // the layer, and `open` is code of this module.
/// static TABLE: FileTable<Buffer> = unsafe {
///     FileTable::new(bindings::file_operations {
///         open: Some(open),
///         ..FileTable::<Buffer>::OPERATIONS
///     })
/// };
///
/// // What C code does with the table.
/// let file = unsafe {
///     let name = c"[buffer]".as_char_ptr();
///     let file = bindings::anon_inode_getfile(
///         name, TABLE.as_ptr(), core::ptr::null_mut(), bindings::O_RDWR as c_int);
///     let file = from_err_ptr(file)?;
///     assert_eq!(open((*file).f_inode, file), 0);
///     ARef::<File>::from_raw(NonNull::new_unchecked(file.cast()))
/// };
///
/// let mm = UserMm::attach()?;
/// let file = mm.file(file);
/// let addr = file.mmap(PAGE_SIZE, READ | WRITE, SHARED, 0)?;
/// mm.write(addr, b"hello")?;
/// assert_eq!(mm.read(addr)?, *b"hello");
/// assert_eq!(file.mmap(PAGE_SIZE, READ, SHARED, 1), Err(ENXIO));
/// mm.munmap(addr, PAGE_SIZE)?;
/// # Ok(())
/// # }
/// # #[cfg(CONFIG_MMU)]
/// # example()?;
/// # Ok::<(), Error>(())
/// ```
#[repr(transparent)]
pub struct FileTable<T>(bindings::file_operations, PhantomData<fn(T) -> T>);

// SAFETY: The table is only read, by any number of threads. The owner that it points to is static.
unsafe impl<T> Sync for FileTable<T> {}

impl<T: FileOperations> FileTable<T> {
    /// The operations that `T` implements, `release`, and the module of `T` as the owner.
    ///
    /// A table takes all of them, or single ones, which are [`None`] if `T` does not implement
    /// them.
    pub const OPERATIONS: bindings::file_operations = FileOf::<T>::OPERATIONS;

    /// Makes a table.
    ///
    /// # Safety
    ///
    /// For each file with this table:
    ///
    /// - If its `open` succeeds, `open` has called [`opened`](Self::opened) exactly once, as the
    ///   last thing that can fail or that uses the private data. A file that is made without `open`
    ///   gets the call before another thread can get the file.
    /// - Its `release` is that of [`OPERATIONS`](Self::OPERATIONS), or calls
    ///   [`released`](Self::released) exactly once.
    /// - No other code writes its `private_data` or `f_mapping` from the call of `opened` on, or
    ///   replaces its operations.
    /// - Each operation that is not from [`OPERATIONS`](Self::OPERATIONS), and that uses the
    ///   private data, gets it from [`private_data`](Self::private_data).
    ///
    /// `owner` must be that of [`OPERATIONS`](Self::OPERATIONS), and all operations must be code of
    /// that module or built in.
    pub const unsafe fn new(operations: bindings::file_operations) -> Self {
        // INVARIANT: By the safety requirements of this function, the private data and the address
        // space of each file are set by `opened`, and taken back in `release`. The owner keeps the
        // module while the file exists.
        Self(operations, PhantomData)
    }

    /// Returns the pointer to the table that C expects.
    #[inline]
    pub const fn as_ptr(&'static self) -> *const bindings::file_operations {
        &raw const self.0
    }

    /// Gives a file that is being opened its private data, and the address space of the driver.
    ///
    /// A thread that sees that the file has been opened also sees both. A file is public before it
    /// has been opened if `open` installs a file descriptor for it. Until then, the operations in
    /// [`OPERATIONS`](Self::OPERATIONS) fail with [`EBADF`].
    ///
    /// # Context
    ///
    /// Calls [`FileOperations::address_space`].
    ///
    /// # Safety
    ///
    /// The operations of `file` must be this table. The file must be in its `open`, which must
    /// succeed after this call; or no other thread may have the file yet. This must be the only
    /// call for the file.
    #[inline]
    pub unsafe fn opened(&'static self, file: *mut bindings::file, device: T::Ptr) {
        // SAFETY: By the type invariants, the file is of the kind `FileOf<T>`. By the safety
        // requirements of this function, the file is being opened or made, and has no private data
        // yet.
        unsafe { FileOf::<T>::set_private_data(file, device) };
    }

    /// Takes the private data of a file that is being released.
    ///
    /// Only for a hand-written `release`: the one in [`OPERATIONS`](Self::OPERATIONS) does this.
    ///
    /// # Safety
    ///
    /// The operations of `file` must be this table. The file must be in its `release`, and this
    /// must be the only call for the file.
    #[inline]
    pub unsafe fn released(&'static self, file: *mut bindings::file) -> T::Ptr {
        // SAFETY: By the type invariants, the file is of the kind `FileOf<T>`. By the safety
        // requirements of this function, it is being released, and this is the only call.
        unsafe { FileOf::<T>::take_private_data(file) }
    }

    /// Borrows the private data of a file, in a hand-written operation.
    ///
    /// # Errors
    ///
    /// [`EBADF`] if the file is in its `open`, or if its `open` has failed.
    ///
    /// # Safety
    ///
    /// The operations of `file` must be this table, and the file must not be released during `'a`.
    #[inline]
    pub unsafe fn private_data<'a>(
        &'static self,
        file: *const bindings::file,
    ) -> Result<<T::Ptr as ForeignOwnable>::Borrowed<'a>> {
        // SAFETY: By the type invariants, the file is of the kind `FileOf<T>`. By the safety
        // requirements of this function, it is not released during `'a`.
        unsafe { opened::private_data::<T::Ptr>(file) }
    }
}
