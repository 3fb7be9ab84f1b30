// SPDX-License-Identifier: GPL-2.0

//! Memory files: files with a size and a page cache of their own.
//!
//! A driver makes such a file and hands its descriptor to user space, as `memfd_create(2)` does:
//! user space reads, writes, seeks, maps, truncates and seals it, and can have userfaultfd fill it
//! on demand. The layer implements all of this; the driver chooses what the file may do, with
//! [`Options`], can attach data to it, and can implement callbacks of [`UffdOps`].
//!
//! The memory is the page cache of the file's inode. A page is charged to the memory cgroup of the
//! process that first accesses it, or whose mapping userfaultfd fills. At the limit, the OOM killer
//! kills a process of the cgroup; if there is none that it may kill, the operation fails with
//! ENOMEM. The memory is never swapped out. It is freed when the last descriptor and the last
//! mapping are gone; so is the data of the driver. Until then, the module of the driver cannot be
//! unloaded.
//!
//! # Locks
//!
//! | operation | inode lock | `invalidate_lock` | folio lock |
//! |---|---|---|---|
//! | read | | | |
//! | write | held | for reading, to add a folio | held |
//! | fault, or userfaultfd fills a page | | for reading, to add a large folio | held |
//! | truncate, punch a hole | held | for writing | held, to remove a folio |
//! | allocate | held | for reading, to add a folio | held |
//! | add seals | held | | |
//!
//! The size changes only under the lock of the inode. A fault does not take it, so it looks at the
//! size once it has the lock of the folio, or `invalidate_lock`. Truncation holds `invalidate_lock`
//! when it writes the size, and takes the lock of each folio after that. A fault that has added one
//! page, without `invalidate_lock`, looks at the size again: see `rust_filemap_fill()`.
//!
//! # Examples
//!
//! ```
//! use kernel::{
//!     fs::memory_file::{MemoryFile, Options},
//!     mm::{testing::*, uffd::UffdOps},
//!     page::PAGE_SIZE, //
//! };
//!
//! struct Image;
//!
//! #[vtable]
//! impl UffdOps for Image {
//!     type Data = ();
//! }
//!
//! kernel::memory_file_type!(Image);
//!
//! let size = 4 * PAGE_SIZE as u64;
//! let file = MemoryFile::<Image>::new(c"image", size, Options::new(), ())?;
//! file.write_at(PAGE_SIZE as u64, b"from the driver")?;
//! assert_eq!(file.nr_pages(), 1);
//!
//! // What user space does with it.
//! let mm = UserMm::attach()?;
//! let user = mm.file(file.clone().into());
//! let addr = user.mmap(2 * PAGE_SIZE, READ | WRITE, SHARED, 0)?;
//! assert_eq!(mm.read(addr + PAGE_SIZE)?, *b"from the driver");
//! mm.write(addr, b"from user space")?;
//!
//! let mut out = [0; 15];
//! assert_eq!(file.read_at(0, &mut out)?, 15);
//! assert_eq!(&out, b"from user space");
//! assert_eq!(file.nr_pages(), 2);
//! # Ok::<(), Error>(())
//! ```
//!
//! C source: `fs/rust_memory_file.c`. `Documentation/mm/rust-mmap/memory-files.rst` compares memory
//! files with memfd.

use super::{
    anon_inode::ReservedFile,
    File,
    LocalFile, //
};
use crate::{
    bindings,
    error::from_err_ptr,
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    mm::uffd::{
        UffdModes,
        UffdOps, //
    },
    prelude::*,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    types::ForeignOwnable, //
};
use core::{
    marker::PhantomData,
    mem::MaybeUninit,
    ops::{
        BitOr,
        Deref,
        Range, //
    },
    ptr::NonNull, //
};

mod fault;
mod file_type;
#[cfg(CONFIG_USERFAULTFD)]
mod fill;
mod inode;
mod io;
mod owner;
mod space;
mod tables;

use inode::MemoryInode;

pub use file_type::{
    MemoryFileTable,
    MemoryFileType, //
};

/// Seals of a memory file: what can no longer be done with it.
///
/// See `F_ADD_SEALS` in `fcntl(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seals(c_uint);

impl Seals {
    /// No seals.
    pub const NONE: Self = Self(0);
    /// No more seals can be added.
    pub const SEAL: Self = Self(bindings::F_SEAL_SEAL);
    /// The file does not become smaller.
    pub const SHRINK: Self = Self(bindings::F_SEAL_SHRINK);
    /// The file does not become larger.
    pub const GROW: Self = Self(bindings::F_SEAL_GROW);
    /// The contents do not change.
    pub const WRITE: Self = Self(bindings::F_SEAL_WRITE);
    /// The contents change only through mappings that exist already.
    pub const FUTURE_WRITE: Self = Self(bindings::F_SEAL_FUTURE_WRITE);
    /// The bits of the mode that allow to execute the file do not change.
    pub const EXEC: Self = Self(bindings::F_SEAL_EXEC);

    /// All seals.
    pub const ALL: Self = Self(
        Self::SEAL.0
            | Self::SHRINK.0
            | Self::GROW.0
            | Self::WRITE.0
            | Self::FUTURE_WRITE.0
            | Self::EXEC.0,
    );

    /// Returns the seals that user space has named, as `F_SEAL_*`; [`None`] if there is another
    /// bit.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::fs::memory_file::Seals;
    ///
    /// assert_eq!(Seals::from_bits(0), Some(Seals::NONE));
    /// assert_eq!(Seals::from_bits(6), Some(Seals::SHRINK | Seals::GROW));
    /// assert_eq!(Seals::from_bits(1 << 31), None);
    /// ```
    pub const fn from_bits(bits: u32) -> Option<Self> {
        let seals = Self(bits);
        if Self::ALL.contains(seals) {
            Some(seals)
        } else {
            None
        }
    }

    const fn from_raw(seals: c_uint) -> Self {
        Self(seals)
    }

    /// Returns whether all seals of `other` are set.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::fs::memory_file::Seals;
    ///
    /// let seals = Seals::GROW | Seals::SHRINK;
    /// assert!(seals.contains(Seals::GROW));
    /// assert!(!seals.contains(Seals::GROW | Seals::WRITE));
    /// assert!(seals.intersects(Seals::GROW | Seals::WRITE));
    /// ```
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns whether one of the seals of `other` is set.
    #[inline]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Seals {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a new memory file is like.
///
/// Without options, the file is open for reading and writing, has the seal [`Seals::SEAL`], so that
/// no other seals can be added, and has pages that the kernel does not reclaim. userfaultfd cannot
/// be registered for its mappings, except for asynchronous write protection, which the kernel does
/// not ask the file for.
///
/// # Examples
///
/// ```
/// use kernel::{fs::memory_file::{Options, Seals}, mm::uffd::UffdModes};
///
/// // A file that user space fills on demand, and whose size does not change.
/// let image = Options::new()
///     .huge()
///     .sealed(Seals::GROW | Seals::SHRINK | Seals::SEAL)
///     .userfault(UffdModes::MISSING);
/// # let _ = image;
/// ```
#[derive(Clone, Copy)]
pub struct Options {
    flags: c_uint,
    seals: Seals,
    modes: UffdModes,
}

impl Options {
    /// Returns the options of a file as described above.
    #[expect(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self {
            flags: 0,
            seals: Seals::SEAL,
            modes: UffdModes::empty(),
        }
    }

    /// Lets the kernel reclaim pages that nothing has been written to, and so are still zero.
    ///
    /// Pages that were written to remain, but reclaim scans them again and again, and unmaps them
    /// each time. So this is for files that are read much more than they are written.
    pub const fn evictable(self) -> Self {
        self.with(bindings::RUST_MEMORY_FILE_EVICTABLE)
    }

    /// Lets the file have large folios, up to the size of a PMD mapping.
    ///
    /// An access allocates the largest folio for which there is memory and that is inside the file.
    /// Does nothing if the kernel has no transparent huge pages.
    pub const fn huge(self) -> Self {
        self.with(bindings::RUST_MEMORY_FILE_HUGE)
    }

    /// Opens the file for reading only.
    ///
    /// User space can open it again for writing, through `/proc/<pid>/fd`, unless a seal is set
    /// that forbids to write: see [`sealed`](Self::sealed).
    pub const fn read_only(self) -> Self {
        self.with(bindings::RUST_MEMORY_FILE_READ_ONLY)
    }

    /// Lets user space add seals.
    pub const fn sealable(self) -> Self {
        self.sealed(Seals::NONE)
    }

    /// Sets the seals that the file has from the start.
    ///
    /// Without [`Seals::SEAL`] among them, user space can add more.
    pub const fn sealed(mut self, seals: Seals) -> Self {
        self.seals = seals;
        self
    }

    /// Lets userfaultfd be registered for mappings of the file, with these modes.
    pub const fn userfault(mut self, modes: UffdModes) -> Self {
        self.modes = modes;
        self
    }

    const fn with(mut self, flag: c_uint) -> Self {
        self.flags |= flag;
        self
    }
}

/// The memory of a memory file: its page cache, its size, its seals, and the data of the driver.
///
/// It belongs to the inode, and so is the same for all files with which the inode is open. This is
/// always borrowed: from a [`MemoryFile`], or from any file that user space has passed to the
/// driver, with [`of`](Self::of).
///
/// # Invariants
///
/// The inode is that of a memory file of the type `T`: the data comes from `into_foreign` of
/// `T::Data`.
#[repr(transparent)]
pub struct Memory<T: UffdOps> {
    inode: MemoryInode,
    _type: PhantomData<fn(T) -> T>,
}

// SAFETY: All methods may be called by any number of threads at the same time. Those that need a
// lock take it.
unsafe impl<T: UffdOps> Sync for Memory<T> {}

impl<T: UffdOps> Memory<T> {
    /// Returns the memory of `file`, if that is a memory file of the type `T`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::fs::{
    ///     memory_file::{Memory, MemoryFileType},
    ///     LocalFile, //
    /// };
    ///
    /// /// Returns the size of a file whose descriptor user space has passed to an ioctl.
    /// fn size_of_file<T: MemoryFileType>(fd: u32) -> Result<u64> {
    ///     let file = LocalFile::fget(fd)?;
    ///     let memory = Memory::<T>::of(&file).ok_or(EINVAL)?;
    ///     Ok(memory.size())
    /// }
    /// ```
    pub fn of(file: &LocalFile) -> Option<&Self>
    where
        T: MemoryFileType,
    {
        // A file of another kind has no inode if its `open` has failed.
        file.check_opened().ok()?;
        // SAFETY: The file is open.
        let memory = unsafe { bindings::rust_memory_file(file.as_ptr()) };
        if memory.is_null() {
            return None;
        }
        // SAFETY: It is the inode of a memory file, which the file has a reference to. Its type
        // does not change before it is evicted.
        let type_ = unsafe { (*memory).type_ };
        if !core::ptr::eq(type_, T::table().as_ptr()) {
            return None;
        }
        // INVARIANT: The memory file is of the type `T`.
        //
        // SAFETY: The types have the same layout. The file keeps the inode while it is borrowed.
        Some(unsafe { &*memory.cast() })
    }

    /// Returns the data of the file.
    pub fn data(&self) -> <T::Data as ForeignOwnable>::Borrowed<'_> {
        // SAFETY: By the type invariants, the data comes from `into_foreign`. It is dropped when
        // the inode is evicted, which does not happen while it is borrowed.
        unsafe { T::Data::borrow((*self.inode.inode()).i_private) }
    }

    /// Returns the size in bytes, which user space can change at any time.
    pub fn size(&self) -> u64 {
        self.inode.size()
    }

    /// Returns the number of pages that are allocated.
    ///
    /// For tests and statistics: the number may have changed already.
    pub fn nr_pages(&self) -> usize {
        self.inode.cache().nr_pages()
    }

    /// Returns the seals.
    ///
    /// User space can add more at any time, unless [`Seals::SEAL`] is set.
    pub fn seals(&self) -> Seals {
        self.inode.seals()
    }

    /// Reads up to `out.len()` bytes at `pos`, and returns how many: fewer at the end of the file.
    ///
    /// # Context
    ///
    /// Process context. Sleeps.
    ///
    /// # Errors
    ///
    /// - [`EINTR`] if a fatal signal is pending.
    /// - [`EIO`] if the memory is broken.
    pub fn read_at(&self, pos: u64, out: &mut [u8]) -> Result<usize> {
        read_at(&self.inode, pos, out)
    }

    /// Writes `data` at `pos`, and returns the number of bytes: fewer if there was an error in
    /// between.
    ///
    /// The file grows if it ends before that.
    ///
    /// # Context
    ///
    /// Process context. Sleeps. Takes the lock of the inode.
    ///
    /// # Errors
    ///
    /// - [`EPERM`] if the seals do not allow it.
    /// - [`EFBIG`] if the file would become larger than a file can be.
    /// - [`EINTR`] if a fatal signal is pending.
    /// - [`EIO`] if the memory is broken.
    /// - [`ENOMEM`] if there is not enough memory, also if the memory cgroup may not have more.
    pub fn write_at(&self, pos: u64, data: &[u8]) -> Result<usize> {
        write_at(&self.inode, pos, data)
    }

    /// Fills a range with zeroes, and frees the pages that are entirely in it.
    ///
    /// They are unmapped everywhere.
    ///
    /// # Context
    ///
    /// Process context. Sleeps. Takes the lock of the inode.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the range is empty, or larger than a file can be.
    /// - [`EPERM`] if the seals do not allow it.
    pub fn punch_hole(&self, range: Range<u64>) -> Result {
        if range.is_empty() || range.end > i64::MAX as u64 {
            return Err(EINVAL);
        }
        let inode = self.inode.lock();
        inode.check_write()?;
        inode.punch_hole(range.start, range.end);
        Ok(())
    }
}

/// A memory file that the driver has made.
///
/// Keep it as an [`ARef<MemoryFile<T>>`](ARef). It converts to an [`ARef<File>`](File).
///
/// # Invariants
///
/// The file is open, and is a memory file of the type `T`.
#[repr(transparent)]
pub struct MemoryFile<T: UffdOps> {
    file: File,
    _type: PhantomData<fn(T) -> T>,
}

// SAFETY: These are the reference counts of the file.
unsafe impl<T: UffdOps> AlwaysRefCounted for MemoryFile<T> {
    #[inline]
    fn inc_ref(&self) {
        self.file.inc_ref();
    }

    #[inline]
    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The types have the same layout, and the safety requirements are the same.
        unsafe { File::dec_ref(obj.cast()) };
    }
}

impl<T: UffdOps> Deref for MemoryFile<T> {
    type Target = Memory<T>;

    #[inline]
    fn deref(&self) -> &Memory<T> {
        // SAFETY: By the type invariants, the file is a memory file of the type `T`, which has a
        // reference to its inode. The types have the same layout.
        unsafe { &*core::ptr::from_ref(MemoryInode::from_file(self.file.as_ptr())).cast() }
    }
}

impl<T: UffdOps> MemoryFile<T> {
    /// Makes a memory file of `size` bytes, all of which are zero.
    ///
    /// `name` is what `/proc/<pid>/fd` and `/proc/<pid>/maps` show. `data` is dropped when the last
    /// descriptor and the last mapping of the file are gone.
    ///
    /// # Context
    ///
    /// Process context. Sleeps.
    ///
    /// # Errors
    ///
    /// - [`EFBIG`] if the size is more than a file can have.
    /// - [`ENOENT`] if the module of `T` is being unloaded.
    /// - [`ENFILE`] if there are too many open files.
    /// - [`ENOMEM`] if there is not enough memory.
    pub fn new(name: &CStr, size: u64, options: Options, data: T::Data) -> Result<ARef<Self>>
    where
        T: MemoryFileType,
    {
        let data = data.into_foreign();
        // SAFETY: The table is that of `T`, and the data is from `into_foreign`.
        match unsafe { create(name, size, options, T::table().as_ptr(), data) } {
            // INVARIANT: The file was just made, and is of the type `T`.
            //
            // SAFETY: The file is new, so its reference is ours. No thread has an active
            // `fdget_pos` region on it.
            Ok(file) => Ok(unsafe { ARef::from_raw(file.cast()) }),
            Err(err) => {
                // SAFETY: The pointer is from `into_foreign`, and C has not taken it.
                drop(unsafe { T::Data::from_foreign(data) });
                Err(err)
            }
        }
    }

    /// Returns the file.
    #[inline]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Reserves a file descriptor for the file.
    ///
    /// User space has the file only after [`ReservedFile::install`], which cannot fail.
    ///
    /// `flags` is 0 or [`O_CLOEXEC`](super::file::flags::O_CLOEXEC).
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `flags` has another flag.
    /// - [`EMFILE`] if the process has too many file descriptors.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::fs::{
    ///     file::flags::O_CLOEXEC,
    ///     memory_file::{MemoryFile, MemoryFileType, Options}, //
    /// };
    ///
    /// /// What an ioctl does that hands out a memory file.
    /// fn hand_out<T: MemoryFileType>(size: u64, data: T::Data) -> Result<isize> {
    ///     let file = MemoryFile::<T>::new(c"memory", size, Options::new(), data)?;
    ///     Ok(MemoryFile::reserve_fd(file, O_CLOEXEC)?.install() as isize)
    /// }
    /// ```
    pub fn reserve_fd(this: ARef<Self>, flags: u32) -> Result<ReservedFile> {
        ReservedFile::new(this.into(), flags)
    }
}

impl<T: UffdOps> From<ARef<MemoryFile<T>>> for ARef<File> {
    #[inline]
    fn from(file: ARef<MemoryFile<T>>) -> Self {
        // SAFETY: The types have the same layout and count the same references, one of which is
        // passed on.
        unsafe { ARef::from_raw(ARef::into_raw(file).cast()) }
    }
}

/// Makes a memory file.
///
/// If it fails, `data` remains the caller's.
///
/// # Errors
///
/// As [`MemoryFile::new`].
///
/// # Safety
///
/// `type_` must be the table of a type of memory file, and `data` must be from `into_foreign` of
/// the data of that type.
unsafe fn create(
    name: &CStr,
    size: u64,
    options: Options,
    type_: *const bindings::rust_memory_type,
    data: *mut c_void,
) -> Result<NonNull<bindings::file>> {
    let params = bindings::rust_memory_file_params {
        size,
        flags: options.flags,
        seals: options.seals.0,
        modes: options.modes.bits(),
    };
    // SAFETY: The name and the parameters are only read during the call. By the safety requirements
    // of this function, the type exists for as long as its owner is loaded, and its callbacks are
    // right for the data. The tables are built in.
    let file = from_err_ptr(unsafe {
        bindings::rust_memory_file_create(
            name.as_char_ptr(),
            &params,
            type_,
            tables::TABLES.as_ptr(),
            data,
        )
    })?;
    NonNull::new(file).ok_or(ENOMEM)
}

/// Returns an iterator over a buffer of the kernel.
///
/// # Safety
///
/// `vec` must describe a buffer, and must not be moved while the iterator is used.
unsafe fn iov_of(vec: &bindings::kvec, direction: c_uint) -> bindings::iov_iter {
    let mut iov = MaybeUninit::uninit();
    // SAFETY: `iov` is valid for writes, and `vec` is one vector.
    unsafe { bindings::iov_iter_kvec(iov.as_mut_ptr(), direction, vec, 1, vec.iov_len) };
    // SAFETY: C has initialised the iterator.
    unsafe { iov.assume_init() }
}

/// Reads into a buffer of the kernel, as [`Memory::read_at`] does.
fn read_at(memory: &MemoryInode, pos: u64, out: &mut [u8]) -> Result<usize> {
    let vec = bindings::kvec {
        iov_base: out.as_mut_ptr().cast(),
        iov_len: out.len(),
    };
    // SAFETY: `vec` is the buffer, which is borrowed until this function returns.
    let mut iov = unsafe { iov_of(&vec, bindings::ITER_DEST) };
    // SAFETY: The iterator is one of a destination, and nothing else uses it.
    io::read(memory, pos, unsafe { IovIterDest::from_raw(&mut iov) })
}

/// Writes from a buffer of the kernel, as [`Memory::write_at`] does.
fn write_at(memory: &MemoryInode, pos: u64, data: &[u8]) -> Result<usize> {
    let vec = bindings::kvec {
        iov_base: data.as_ptr().cast_mut().cast(),
        iov_len: data.len(),
    };
    // SAFETY: `vec` is the buffer, which is borrowed until this function returns. It is only read.
    let mut iov = unsafe { iov_of(&vec, bindings::ITER_SOURCE) };
    let inode = memory.lock();
    let end = pos.checked_add(data.len() as u64).ok_or(EFBIG)?;
    inode.check_max_size(end)?;
    inode.check_write_to(end)?;
    // SAFETY: The iterator is one of a source, and nothing else uses it.
    let iov = unsafe { IovIterSource::from_raw(&mut iov) };
    io::write(&inode, pos, data.len(), iov)
}
