// SPDX-License-Identifier: GPL-2.0

//! The mappings of a file, under the lock of the tree that they are in.

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

/// A VMA that was found from the file that it maps, whoever's it is.
///
/// The lock of the file's mappings keeps its addresses and its page offset. All else can change, or
/// is not there: it may be just being made, so its operations and private data may not have been
/// set; others may set its flags; and its process may be about to end, so there is no way to its
/// mm. So this is no [`VmaRef`](crate::mm::virt::VmaRef), and does not turn into an
/// [`DriverVma`](crate::mm::ops::DriverVma). As evidence, it allows to traverse page tables, not to
/// install any.
///
/// # Invariants
///
/// The VMA is one of a file's mappings, whose i_mmap lock the current thread holds for as long as
/// there is a reference.
#[repr(transparent)]
pub struct RmapVma(VmaRange);

impl Deref for RmapVma {
    type Target = VmaRange;

    #[inline]
    fn deref(&self) -> &VmaRange {
        &self.0
    }
}

// SAFETY: By the type invariants, the i_mmap lock is held, which keeps range and offset. What is in
// the tree is taken out before its page tables are freed.
unsafe impl Sealed for RmapVma {
    #[inline]
    fn vma(&self, _: Token) -> *mut bindings::vm_area_struct {
        self.as_ptr()
    }

    #[inline]
    fn held(&self, _: Token) -> Held {
        // SAFETY: By the type invariants, it is a mapping of a file. Linking and unlinking it go by this
        // field, so it names the tree that the VMA is in, whose lock is held.
        Held::Rmap(unsafe { (*(*self.as_ptr()).vm_file).f_mapping })
    }
}

impl Traverse for RmapVma {}

/// The mappings of a file, while the lock of them is held.
///
/// # Invariants
///
/// The current thread holds the i_mmap lock for as long as there is a reference.
#[repr(transparent)]
pub struct FileMappings(Opaque<bindings::address_space>);

impl FileMappings {
    /// Returns the mappings in which a page of a range of page offsets is mapped.
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
            // SAFETY: By the type invariants, the lock of the tree is held.
            next: unsafe { first(self.0.get(), pgoffs.start, last) },
            first: pgoffs.start,
            last,
            _mappings: PhantomData,
        }
    }

    /// Is nothing of the file mapped?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.vmas(0..usize::MAX).next.is_none()
    }
}

/// An iterator over [mappings](FileMappings::vmas).
///
/// # Invariants
///
/// `next` is a VMA in a tree whose lock is held during `'a`.
pub struct RmapIter<'a> {
    next: Option<NonNull<bindings::vm_area_struct>>,
    first: usize,
    last: usize,
    _mappings: PhantomData<&'a FileMappings>,
}

impl<'a> Iterator for RmapIter<'a> {
    type Item = &'a RmapVma;

    fn next(&mut self) -> Option<&'a RmapVma> {
        let vma = self.next?;
        // SAFETY: By the type invariants, the lock of the tree is held.
        self.next = unsafe { next(vma, self.first, self.last) };
        // SAFETY: As above, during `'a`; the types have the same layout.
        Some(unsafe { vma.cast().as_ref() })
    }
}

// These are not generic, since modules cannot call the functions of C.

/// # Safety
///
/// The i_mmap lock of `mapping` must be held.
#[inline(never)]
unsafe fn first(
    mapping: *mut bindings::address_space,
    first: usize,
    last: usize,
) -> Option<NonNull<bindings::vm_area_struct>> {
    // SAFETY: The caller's promise.
    NonNull::new(unsafe { bindings::mapping_rmap_tree_iter_first(mapping, first, last) })
}

/// # Safety
///
/// The i_mmap lock of the file that `vma` maps must be held, since `vma` was found.
#[inline(never)]
unsafe fn next(
    vma: NonNull<bindings::vm_area_struct>,
    first: usize,
    last: usize,
) -> Option<NonNull<bindings::vm_area_struct>> {
    // SAFETY: The caller's promise.
    NonNull::new(unsafe { bindings::mapping_rmap_tree_iter_next(vma.as_ptr(), first, last) })
}

/// A reference to a file that has been opened.
///
/// # Invariants
///
/// The file has been opened, and is not being released, so its `f_mapping` is valid, and stays so if it is
/// replaced: the inode that it belongs to is the file's own, or that of a file which the file keeps.
struct OpenFile(ARef<File>);

impl OpenFile {
    fn new(file: &File) -> Result<Self> {
        // INVARIANT: Checked by the callee.
        Ok(Self(file.try_get_opened()?))
    }

    /// Nobody opens or releases the file of an [`AddressSpace`].
    fn of(space: &AddressSpace) -> Self {
        // INVARIANT: By the invariants of `AddressSpace`, it is open.
        //
        // SAFETY: As above; user space does not have it, so nobody is in `fdget_pos`.
        Self(unsafe { File::from_raw_file(space.file.as_ptr()) }.into())
    }

    #[inline]
    fn mapping(&self) -> NonNull<bindings::address_space> {
        // SAFETY: By the type invariants, the file has an address space.
        unsafe { NonNull::new_unchecked((*self.0.as_ptr()).f_mapping) }
    }
}

/// A guard for the i_mmap lock of a file, for reading: mappings neither come nor go.
///
/// It has a reference to the file, so one that is leaked locks no other file's mappings: the file stays.
///
/// # Invariants
///
/// - Owns the lock of `mapping` for reading.
/// - `mapping` was the `f_mapping` of `_open`, and is valid for as long as that file has a reference. The
///   file can have another one by now: a file system (Coda) replaces it in `mmap`.
#[must_use = "the lock is given up when this is dropped"]
pub struct IMmapReadGuard<'a> {
    mapping: NonNull<bindings::address_space>,
    _open: OpenFile,
    _file: PhantomData<&'a ()>,
    _not_send: NotThreadSafe,
}

/// A guard for the i_mmap lock of a file, for writing: also nobody else looks at the mappings.
///
/// As [`IMmapReadGuard`], it has a reference to the file.
///
/// # Invariants
///
/// As [`IMmapReadGuard`], but for writing.
#[must_use = "the lock is given up when this is dropped"]
pub struct IMmapWriteGuard<'a> {
    mapping: NonNull<bindings::address_space>,
    _open: OpenFile,
    _file: PhantomData<&'a ()>,
    _not_send: NotThreadSafe,
}

/// What the guards have in common.
macro_rules! guard {
    ($guard:ident, $lock:ident, $trylock:ident, $unlock:ident) => {
        impl Deref for $guard<'_> {
            type Target = FileMappings;

            #[inline]
            fn deref(&self) -> &FileMappings {
                // SAFETY: By the type invariants, the lock is held; the types have the same layout.
                unsafe { self.mapping.cast().as_ref() }
            }
        }

        impl Drop for $guard<'_> {
            #[inline]
            fn drop(&mut self) {
                // SAFETY: By the type invariants.
                unsafe { bindings::$unlock(self.mapping.as_ptr()) };
            }
        }

        impl $guard<'_> {
            fn lock(open: OpenFile) -> Self {
                let mapping = open.mapping();
                // SAFETY: By the invariants of `OpenFile`, it is valid.
                unsafe { bindings::$lock(mapping.as_ptr()) };
                // INVARIANT: Just taken, and the mapping is that of `open`.
                Self {
                    mapping,
                    _open: open,
                    _file: PhantomData,
                    _not_send: NotThreadSafe,
                }
            }

            fn try_lock(open: OpenFile) -> Option<Self> {
                let mapping = open.mapping();
                // SAFETY: By the invariants of `OpenFile`, it is valid.
                let taken = unsafe { bindings::$trylock(mapping.as_ptr()) };
                // INVARIANT: Just taken, and the mapping is that of `open`.
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
    /// Locks the mappings, for reading.
    ///
    /// # Context
    ///
    /// Sleeps. This lock is inside the mmap lock: while it is held, the mmap lock of no mm
    /// may be taken, and no VMA lock. Nothing of the file may be mapped or unmapped, either, which takes
    /// this lock. Nor may memory be allocated in a way that waits for memory to be freed (`GFP_KERNEL`):
    /// that takes this lock, to look where a file's pages are mapped.
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

    /// As [`i_mmap_lock_read`](Self::i_mmap_lock_read), but does not wait.
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

    /// Locks the mappings, for writing.
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

    /// As [`i_mmap_lock_write`](Self::i_mmap_lock_write), but does not wait.
    ///
    /// # Examples
    ///
    /// See [`i_mmap_trylock_read`](Self::i_mmap_trylock_read).
    pub fn i_mmap_trylock_write(&self) -> Option<IMmapWriteGuard<'_>> {
        IMmapWriteGuard::try_lock(OpenFile::of(self))
    }
}

impl File {
    /// Locks the mappings of the file, for reading; see [`AddressSpace::i_mmap_lock_read`].
    ///
    /// # Context
    ///
    /// As there.
    ///
    /// # Errors
    ///
    /// [`EBADF`] if the file is being opened or released, or could not be opened.
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

    /// As [`i_mmap_lock_read`](Self::i_mmap_lock_read), but does not wait.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn i_mmap_trylock_read(&self) -> Result<Option<IMmapReadGuard<'_>>> {
        Ok(IMmapReadGuard::try_lock(OpenFile::new(self)?))
    }

    /// Locks the mappings of the file, for writing; see [`AddressSpace::i_mmap_lock_read`].
    ///
    /// # Context
    ///
    /// As there.
    ///
    /// # Errors
    ///
    /// As [`i_mmap_lock_read`](Self::i_mmap_lock_read).
    pub fn i_mmap_lock_write(&self) -> Result<IMmapWriteGuard<'_>> {
        Ok(IMmapWriteGuard::lock(OpenFile::new(self)?))
    }

    /// As [`i_mmap_lock_write`](Self::i_mmap_lock_write), but does not wait.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn i_mmap_trylock_write(&self) -> Result<Option<IMmapWriteGuard<'_>>> {
        Ok(IMmapWriteGuard::try_lock(OpenFile::new(self)?))
    }
}
