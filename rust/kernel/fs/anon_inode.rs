// SPDX-License-Identifier: GPL-2.0

//! Files of an anonymous inode.
//!
//! Such a file has no path that could be opened: the driver makes it, and hands its file descriptor
//! to user space, mostly from an `ioctl`. GPU drivers, dma-buf and KVM use them for objects that
//! user space can map, and pass to another process.
//!
//! C header: [`include/linux/anon_inodes.h`](srctree/include/linux/anon_inodes.h)

use super::{
    file::flags::{
        O_ACCMODE,
        O_CLOEXEC,
        O_NONBLOCK,
        O_RDWR,
        O_WRONLY, //
    },
    file::FileDescriptorReservation,
    File,
    FileOf,
    FileOperations, //
};
use crate::{
    bindings,
    error::from_err_ptr,
    prelude::*,
    sync::aref::ARef, //
};
use core::ptr::NonNull;

/// The flags that a file can be made with: the others have no meaning for it.
const FILE_FLAGS: u32 = O_ACCMODE | O_NONBLOCK;

/// Makes a file with the data `device`.
///
/// `name` is what `/proc/<pid>/fd` and `/proc/<pid>/maps` show after `anon_inode:`.
///
/// `flags` is [`O_RDONLY`], [`O_WRONLY`] or [`O_RDWR`], and may have [`O_NONBLOCK`]. User space can
/// read, write and map the file accordingly: a shared mapping that is writable needs `O_RDWR`.
///
/// The file is opened when this returns. No other thread has it before, unless
/// [`address_space`](FileOperations::address_space) of the driver makes it public; its operations
/// then fail with [`EBADF`]. The last reference to it, or to a mapping of it, calls
/// [`release`](FileOperations::release). The module of `T` cannot be unloaded before that.
///
/// # Context
///
/// Process context. Sleeps.
///
/// # Errors
///
/// - [`EINVAL`] if `flags` has another flag.
/// - [`ENOENT`] if the module of `T` is being unloaded.
/// - [`ENFILE`] if there are too many open files.
/// - [`ENOMEM`] if there is not enough memory.
///
/// `device` is dropped then.
///
/// # Examples
///
/// ```
/// # #[cfg(CONFIG_MMU)]
/// # fn example() -> Result {
/// use kernel::{
///     fs::{anon_inode, file::flags::O_RDWR, FileOf, FileOperations},
///     mm::{desc::{Mapping, VmaDesc}, testing::*, KernelPages},
///     page::PAGE_SIZE, //
/// };
///
/// struct Buffer {
///     pages: KernelPages,
/// }
///
/// #[vtable]
/// impl FileOperations for Buffer {
///     type Ptr = KBox<Self>;
///
///     fn mmap_prepare<'f>(
///         buffer: &'f Self,
///         desc: VmaDesc<'f, FileOf<Self>>,
///     ) -> Result<Mapping<'f, FileOf<Self>>> {
///         desc.map_kernel_pages(&buffer.pages)
///     }
/// }
///
/// let buffer = KBox::new(Buffer { pages: KernelPages::new(2, GFP_KERNEL)? }, GFP_KERNEL)?;
/// buffer.pages.write_at(0, b"buffer")?;
/// let file = anon_inode::getfile::<Buffer>(c"[buffer]", buffer, O_RDWR)?;
///
/// let mm = UserMm::attach()?;
/// let file = mm.file(file);
/// let addr = file.mmap(2 * PAGE_SIZE, READ | WRITE, SHARED, 0)?;
/// assert_eq!(mm.read(addr)?, *b"buffer");
/// assert_eq!(file.mmap(2 * PAGE_SIZE, READ, SHARED, 1), Err(ENXIO));
/// mm.munmap(addr, 2 * PAGE_SIZE)?;
/// # Ok(())
/// # }
/// # #[cfg(CONFIG_MMU)]
/// # example()?;
/// # Ok::<(), Error>(())
/// ```
///
/// [`O_RDONLY`]: super::file::flags::O_RDONLY
pub fn getfile<T: FileOperations>(name: &CStr, device: T::Ptr, flags: u32) -> Result<ARef<File>> {
    if flags & !FILE_FLAGS != 0 || flags & O_ACCMODE == O_WRONLY | O_RDWR {
        return Err(EINVAL);
    }
    // SAFETY: The operations are a constant of the module that they call into, which is their
    // owner. The name is only read during the call.
    let file = from_err_ptr(unsafe {
        bindings::rust_file_anon(name.as_char_ptr(), &FileOf::<T>::OPERATIONS, flags as c_int)
    })?;
    // SAFETY: The file has been made with the operations of `FileOf<T>`, and no other thread has it
    // yet.
    unsafe { FileOf::<T>::set_private_data(file, device) };
    // SAFETY: The pointer is to a new file, so it is not null, and its reference is ours. The file
    // has no file descriptor, so no thread has an active `fdget_pos` region on it.
    Ok(unsafe { ARef::from_raw(NonNull::new_unchecked(file).cast()) })
}

/// Makes a file with the data `device`, and reserves a file descriptor for it.
///
/// User space has the file only after [`ReservedFile::install`], which cannot fail. So a driver can
/// do between the two what can fail, such as copying the number of the descriptor to user space.
///
/// The flags are those of [`getfile`], and may have [`O_CLOEXEC`].
///
/// # Context
///
/// As [`getfile`].
///
/// # Errors
///
/// Those of [`getfile`], and [`EMFILE`] if the process has too many file descriptors.
///
/// # Examples
///
/// ```
/// use kernel::{
///     fs::{anon_inode, file::flags::{O_CLOEXEC, O_RDWR}, FileOperations},
///     uaccess::UserSliceWriter, //
/// };
///
/// /// Makes a file, and writes the number of its descriptor to user space.
/// fn make<T: FileOperations>(object: T::Ptr, out: &mut UserSliceWriter) -> Result<isize> {
///     let file = anon_inode::getfd::<T>(c"[object]", object, O_RDWR | O_CLOEXEC)?;
///     out.write(&file.fd())?;
///     file.install();
///     Ok(0)
/// }
/// ```
pub fn getfd<T: FileOperations>(name: &CStr, device: T::Ptr, flags: u32) -> Result<ReservedFile> {
    let descriptor = FileDescriptorReservation::get_unused_fd_flags(flags & O_CLOEXEC)?;
    let file = getfile::<T>(name, device, flags & !O_CLOEXEC)?;
    Ok(ReservedFile { descriptor, file })
}

/// A file with a reserved file descriptor, as [`getfd`] makes it.
///
/// If it is dropped, user space does not get the file.
#[must_use = "the file is closed unless it is installed"]
pub struct ReservedFile {
    descriptor: FileDescriptorReservation,
    file: ARef<File>,
}

impl ReservedFile {
    /// Reserves a file descriptor for a file.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `flags` has another flag than [`O_CLOEXEC`].
    /// - [`EMFILE`] if the process has too many file descriptors.
    #[cfg_attr(not(CONFIG_MMU), expect(dead_code))]
    pub(super) fn new(file: ARef<File>, flags: u32) -> Result<Self> {
        if flags & !O_CLOEXEC != 0 {
            return Err(EINVAL);
        }
        let descriptor = FileDescriptorReservation::get_unused_fd_flags(flags)?;
        Ok(Self { descriptor, file })
    }

    /// Returns the number of the file descriptor.
    ///
    /// # Examples
    ///
    /// See [`getfd`].
    #[inline]
    pub fn fd(&self) -> u32 {
        self.descriptor.reserved_fd()
    }

    /// Returns the file.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{fs::{anon_inode::ReservedFile, File}, sync::aref::ARef};
    ///
    /// /// Installs the file, and keeps a reference to it.
    /// fn install(file: ReservedFile) -> ARef<File> {
    ///     let kept = file.file().into();
    ///     file.install();
    ///     kept
    /// }
    /// ```
    #[inline]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Installs the file descriptor, and returns its number.
    ///
    /// Other threads of the process can use the file, and close it, before this returns.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// See [`getfd`].
    #[inline]
    pub fn install(self) -> u32 {
        let fd = self.fd();
        self.descriptor.fd_install(self.file);
        fd
    }
}
