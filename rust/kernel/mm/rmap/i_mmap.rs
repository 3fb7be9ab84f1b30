// SPDX-License-Identifier: GPL-2.0

//! The mappings of a file, under its i_mmap lock.

use super::AddressSpace;
use crate::{
    bindings,
    fs::File,
    mm::vma::{
        evidence::{
            Held,
            Sealed,
            Token, //
        },
        Traverse,
        VmaRange, //
    },
    prelude::*,
    sync::aref::ARef,
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};
use core::{
    marker::PhantomData,
    ops::{
        Deref,
        Range, //
    },
    ptr::NonNull, //
};

/// A VMA of any process, found from the file that it maps.
///
/// The i_mmap lock keeps its addresses and its page offset stable. Other fields can change, or are
/// not set yet: the kernel may still be making the VMA, and may not have set its operations and
/// private data; other threads may set its flags; its process may be exiting, so there is no access
/// to the mm. So this is not a [`VmaRef`](crate::mm::virt::VmaRef), and cannot become a
/// [`DriverVma`](crate::mm::ops::DriverVma). As evidence, it allows traversing page tables, not
/// installing them.
///
/// # Invariants
///
/// The VMA is a mapping of a file, and the current thread holds the i_mmap lock of that file for as
/// long as there is a reference.
#[repr(transparent)]
pub struct RmapVma(VmaRange);

impl Deref for RmapVma {
    type Target = VmaRange;

    #[inline]
    fn deref(&self) -> &VmaRange {
        &self.0
    }
}

// SAFETY: By the type invariants, the current thread holds the i_mmap lock, which keeps the range
// and the page offset. The kernel removes a VMA from the tree before it frees its page tables.
unsafe impl Sealed for RmapVma {
    #[inline]
    fn vma(&self, _: Token) -> *mut bindings::vm_area_struct {
        self.as_ptr()
    }

    #[inline]
    fn held(&self, _: Token) -> Held {
        // SAFETY: By the type invariants, the VMA maps a file. The kernel links and unlinks the VMA
        // by this field, so it names the tree that the VMA is in, whose lock is held.
        Held::Rmap(unsafe { (*(*self.as_ptr()).vm_file).f_mapping })
    }
}

impl Traverse for RmapVma {}

/// The mappings of a file, while its i_mmap lock is held.
///
/// # Invariants
///
/// The current thread holds the i_mmap lock for as long as there is a reference.
#[repr(transparent)]
pub struct FileMappings(Opaque<bindings::address_space>);

impl FileMappings {
    /// Returns an iterator over the VMAs that contain a page of a range of page offsets.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::testing::*, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let file = mm.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
    /// let addr = file.mmap(4 * PAGE_SIZE, READ, SHARED, 0)?;
    ///
    /// let mappings = file.file().i_mmap_lock_read()?;
    /// let page = mappings.vmas(3..4).find_map(|vma| vma.address_of(3));
    /// drop(mappings);
    /// assert_eq!(page, Some(addr + 3 * PAGE_SIZE));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn vmas(&self, pgoffs: Range<usize>) -> RmapIter<'_> {
        let Some(last) = pgoffs
            .end
            .checked_sub(1)
            .filter(|last| pgoffs.start <= *last)
        else {
            return RmapIter {
                next: None,
                first: 0,
                last: 0,
                _mappings: PhantomData,
            };
        };
        RmapIter {
            // SAFETY: By the type invariants, the i_mmap lock is held.
            next: unsafe { first(self.0.get(), pgoffs.start, last) },
            first: pgoffs.start,
            last,
            _mappings: PhantomData,
        }
    }

    /// Returns whether the file has no mapping.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.vmas(0..usize::MAX).next.is_none()
    }
}

/// An iterator over the VMAs that map a file.
///
/// See [`FileMappings::vmas`].
///
/// # Invariants
///
/// `next` is a VMA in the tree of a file whose i_mmap lock is held during `'a`.
pub struct RmapIter<'a> {
    next: Option<NonNull<bindings::vm_area_struct>>,
    first: usize,
    last: usize,
    _mappings: PhantomData<&'a FileMappings>,
}

impl<'a> Iterator for RmapIter<'a> {
    type Item = &'a RmapVma;

    #[inline]
    fn next(&mut self) -> Option<&'a RmapVma> {
        let vma = self.next?;
        // SAFETY: By the type invariants, the i_mmap lock has been held since the VMA was found.
        self.next = unsafe { next(vma, self.first, self.last) };
        // SAFETY: By the type invariants, the VMA is in a tree whose i_mmap lock is held during
        // `'a`. The types have the same layout.
        Some(unsafe { vma.cast().as_ref() })
    }
}

// The next two are neither generic nor inlined: the C functions are not exported to modules.

/// Returns the first VMA that contains a page of `first..=last`.
///
/// # Safety
///
/// The i_mmap lock of `mapping` must be held.
#[inline(never)]
unsafe fn first(
    mapping: *mut bindings::address_space,
    first: usize,
    last: usize,
) -> Option<NonNull<bindings::vm_area_struct>> {
    // SAFETY: By the safety requirements of this function, the i_mmap lock of `mapping` is held.
    NonNull::new(unsafe { bindings::mapping_rmap_tree_iter_first(mapping, first, last) })
}

/// Returns the VMA after `vma` that contains a page of `first..=last`.
///
/// # Safety
///
/// The i_mmap lock of the file that `vma` maps must have been held since `vma` was found.
#[inline(never)]
unsafe fn next(
    vma: NonNull<bindings::vm_area_struct>,
    first: usize,
    last: usize,
) -> Option<NonNull<bindings::vm_area_struct>> {
    // SAFETY: By the safety requirements of this function, the i_mmap lock has been held since
    // `vma` was found, so `vma` is still in the tree.
    NonNull::new(unsafe { bindings::mapping_rmap_tree_iter_next(vma.as_ptr(), first, last) })
}

/// A reference to a file that has been opened.
///
/// # Invariants
///
/// The file has been opened, and is not being released, so its `f_mapping` is valid. If a file
/// system replaces it, the old one remains valid: it belongs to the inode of the file, or to that
/// of another file which the file keeps.
struct OpenFile(ARef<File>);

impl OpenFile {
    fn new(file: &File) -> Result<Self> {
        // INVARIANT: `try_get_opened` has checked that the file is open.
        Ok(Self(file.try_get_opened()?))
    }

    /// Returns a reference to the file of an [`AddressSpace`], which is always open.
    fn of(space: &AddressSpace) -> Self {
        // INVARIANT: By the invariants of `AddressSpace`, the file is open.
        //
        // SAFETY:
        // - By the invariants of `AddressSpace`, the file is open, and `space` owns a reference.
        // - User space does not have the file, so no thread is in `fdget_pos` for it.
        Self(unsafe { File::from_raw_file(space.file.as_ptr()) }.into())
    }

    #[inline]
    fn mapping(&self) -> NonNull<bindings::address_space> {
        // SAFETY: By the type invariants, the file is valid, and its `f_mapping` is not null.
        unsafe { NonNull::new_unchecked((*self.0.as_ptr()).f_mapping) }
    }
}

/// A guard for the i_mmap lock of a file, held for reading.
///
/// While it is held, no mapping of the file is added or removed. The guard holds a reference to the
/// file. So a leaked guard leaves only this file's mappings locked, since the file is never freed.
///
/// # Invariants
///
/// - The guard owns the i_mmap lock of `mapping` for reading.
/// - `mapping` was the `f_mapping` of `_open`, and is valid for as long as there is a reference to
///   that file. The file may have another `f_mapping` by now: a file system (Coda) replaces it in
///   `mmap`.
#[must_use = "the lock is released when this is dropped"]
pub struct IMmapReadGuard<'a> {
    mapping: NonNull<bindings::address_space>,
    _open: OpenFile,
    _file: PhantomData<&'a ()>,
    _not_send: NotThreadSafe,
}

/// A guard for the i_mmap lock of a file, held for writing.
///
/// While it is held, no other thread adds, removes or looks up mappings of the file. As
/// [`IMmapReadGuard`], it holds a reference to the file.
///
/// # Invariants
///
/// Those of [`IMmapReadGuard`], but the lock is held for writing.
#[must_use = "the lock is released when this is dropped"]
pub struct IMmapWriteGuard<'a> {
    mapping: NonNull<bindings::address_space>,
    _open: OpenFile,
    _file: PhantomData<&'a ()>,
    _not_send: NotThreadSafe,
}

/// Implements the methods that both guards have.
macro_rules! guard {
    ($guard:ident, $lock:ident, $trylock:ident, $unlock:ident) => {
        impl Deref for $guard<'_> {
            type Target = FileMappings;

            #[inline]
            fn deref(&self) -> &FileMappings {
                // SAFETY: By the type invariants, the lock of `mapping` is held, and `mapping` is
                // valid. The types have the same layout.
                unsafe { self.mapping.cast().as_ref() }
            }
        }

        impl Drop for $guard<'_> {
            #[inline]
            fn drop(&mut self) {
                // SAFETY: By the type invariants, the guard owns the lock of `mapping`, in this
                // mode.
                unsafe { bindings::$unlock(self.mapping.as_ptr()) };
            }
        }

        impl $guard<'_> {
            fn lock(open: OpenFile) -> Self {
                let mapping = open.mapping();
                // SAFETY: By the invariants of `OpenFile`, `mapping` is valid.
                unsafe { bindings::$lock(mapping.as_ptr()) };
                // INVARIANT: The lock was just taken, and `mapping` is that of `open`.
                Self {
                    mapping,
                    _open: open,
                    _file: PhantomData,
                    _not_send: NotThreadSafe,
                }
            }

            fn try_lock(open: OpenFile) -> Option<Self> {
                let mapping = open.mapping();
                // SAFETY: By the invariants of `OpenFile`, `mapping` is valid.
                let taken = unsafe { bindings::$trylock(mapping.as_ptr()) };
                // INVARIANT: The lock was just taken, and `mapping` is that of `open`.
                taken.then(|| Self {
                    mapping,
                    _open: open,
                    _file: PhantomData,
                    _not_send: NotThreadSafe,
                })
            }
        }
    };
}

guard!(
    IMmapReadGuard,
    i_mmap_lock_read,
    i_mmap_trylock_read,
    i_mmap_unlock_read
);
guard!(
    IMmapWriteGuard,
    i_mmap_lock_write,
    i_mmap_trylock_write,
    i_mmap_unlock_write
);

impl AddressSpace {
    /// Takes the i_mmap lock for reading.
    ///
    /// # Context
    ///
    /// Sleeps. The i_mmap lock is taken after the mmap lock and after VMA locks. While the caller
    /// holds it, the caller must not:
    ///
    /// - take the mmap lock or a VMA lock of any mm;
    /// - map or unmap a part of the file, which takes this lock;
    /// - allocate memory in a way that may wait for reclaim (`GFP_KERNEL`), which takes this lock
    ///   to find the mappings of a file's pages.
    ///
    /// # Examples
    ///
    /// ```
    /// let space = kernel::mm::testing::address_space()?;
    /// let mappings = space.i_mmap_lock_read();
    /// assert!(mappings.vmas(0..0).next().is_none());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn i_mmap_lock_read(&self) -> IMmapReadGuard<'_> {
        IMmapReadGuard::lock(OpenFile::of(self))
    }

    /// Takes the i_mmap lock for reading, or returns [`None`] if it would have to wait.
    ///
    /// # Context
    ///
    /// Does not sleep. While the guard exists, the rules of
    /// [`i_mmap_lock_read`](Self::i_mmap_lock_read) apply.
    ///
    /// # Examples
    ///
    /// ```
    /// let space = kernel::mm::testing::address_space()?;
    /// let first = space.i_mmap_trylock_read();
    /// assert!(space.i_mmap_trylock_write().is_none());
    /// assert!(first.is_some());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn i_mmap_trylock_read(&self) -> Option<IMmapReadGuard<'_>> {
        IMmapReadGuard::try_lock(OpenFile::of(self))
    }

    /// Takes the i_mmap lock for writing.
    ///
    /// # Context
    ///
    /// As [`i_mmap_lock_read`](Self::i_mmap_lock_read).
    ///
    /// # Examples
    ///
    /// ```
    /// let space = kernel::mm::testing::address_space()?;
    /// let mappings = space.i_mmap_lock_write();
    /// assert!(space.i_mmap_trylock_read().is_none());
    /// # drop(mappings);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn i_mmap_lock_write(&self) -> IMmapWriteGuard<'_> {
        IMmapWriteGuard::lock(OpenFile::of(self))
    }

    /// Takes the i_mmap lock for writing, or returns [`None`] if it would have to wait.
    ///
    /// # Context
    ///
    /// Does not sleep. While the guard exists, the rules of
    /// [`i_mmap_lock_read`](Self::i_mmap_lock_read) apply.
    ///
    /// # Examples
    ///
    /// See [`i_mmap_trylock_read`](Self::i_mmap_trylock_read).
    pub fn i_mmap_trylock_write(&self) -> Option<IMmapWriteGuard<'_>> {
        IMmapWriteGuard::try_lock(OpenFile::of(self))
    }
}

impl File {
    /// Takes the i_mmap lock of the file for reading.
    ///
    /// # Context
    ///
    /// As [`AddressSpace::i_mmap_lock_read`].
    ///
    /// # Errors
    ///
    /// [`EBADF`] if the file is being opened or released, or if its `open` has failed.
    ///
    /// # Examples
    ///
    /// ```
    /// let mm = kernel::mm::testing::UserMm::attach()?;
    /// let file = mm.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
    /// let mappings = file.file().i_mmap_lock_read()?;
    /// assert!(file.file().i_mmap_trylock_read()?.is_some());
    /// assert!(file.file().i_mmap_trylock_write()?.is_none());
    /// assert!(mappings.is_empty());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn i_mmap_lock_read(&self) -> Result<IMmapReadGuard<'_>> {
        Ok(IMmapReadGuard::lock(OpenFile::new(self)?))
    }

    /// Takes the i_mmap lock of the file for reading, or returns [`None`] if it would have to wait.
    ///
    /// # Context
    ///
    /// As [`AddressSpace::i_mmap_trylock_read`].
    ///
    /// # Errors
    ///
    /// As [`i_mmap_lock_read`](Self::i_mmap_lock_read).
    ///
    /// # Examples
    ///
    /// See [`i_mmap_lock_read`](Self::i_mmap_lock_read).
    pub fn i_mmap_trylock_read(&self) -> Result<Option<IMmapReadGuard<'_>>> {
        Ok(IMmapReadGuard::try_lock(OpenFile::new(self)?))
    }

    /// Takes the i_mmap lock of the file for writing.
    ///
    /// # Context
    ///
    /// As [`AddressSpace::i_mmap_lock_read`].
    ///
    /// # Errors
    ///
    /// As [`i_mmap_lock_read`](Self::i_mmap_lock_read).
    ///
    /// # Examples
    ///
    /// See [`AddressSpace::i_mmap_lock_write`].
    pub fn i_mmap_lock_write(&self) -> Result<IMmapWriteGuard<'_>> {
        Ok(IMmapWriteGuard::lock(OpenFile::new(self)?))
    }

    /// Takes the i_mmap lock of the file for writing, or returns [`None`] if it would have to wait.
    ///
    /// # Context
    ///
    /// As [`AddressSpace::i_mmap_trylock_write`].
    ///
    /// # Errors
    ///
    /// As [`i_mmap_lock_read`](Self::i_mmap_lock_read).
    ///
    /// # Examples
    ///
    /// See [`i_mmap_lock_read`](Self::i_mmap_lock_read).
    pub fn i_mmap_trylock_write(&self) -> Result<Option<IMmapWriteGuard<'_>>> {
        Ok(IMmapWriteGuard::try_lock(OpenFile::new(self)?))
    }
}
