// SPDX-License-Identifier: GPL-2.0

//! The mappings of a file, under the lock of the tree that they are in.

use super::AddressSpace;
use crate::{
    bindings,
    fs::File,
    mm::evidence::{
        sealed::{
            Held,
            Sealed,
            Token, //
        },
        Stable, //
    },
    page::PAGE_SHIFT,
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
/// address space. So this is no [`VmaRef`](crate::mm::virt::VmaRef), and does not turn into an
/// [`OwnedVma`](crate::mm::owned::OwnedVma). As evidence, it allows to traverse page tables, not to
/// install any.
///
/// # Invariants
///
/// The VMA is one of a file's mappings, whose i_mmap lock the current thread holds for as long as
/// there is a reference.
#[repr(transparent)]
pub struct RmapVma(Opaque<bindings::vm_area_struct>);

impl RmapVma {
    #[inline]
    pub(in crate::mm) fn as_ptr(&self) -> *mut bindings::vm_area_struct {
        self.0.get()
    }

    /// Returns the (inclusive) start address, in an address space that is not known.
    #[inline]
    pub fn start(&self) -> usize {
        // SAFETY: By the type invariants, the field does not change.
        unsafe { (*self.as_ptr()).__bindgen_anon_1.__bindgen_anon_1.vm_start }
    }

    /// Returns the (exclusive) end address.
    #[inline]
    pub fn end(&self) -> usize {
        // SAFETY: By the type invariants, the field does not change.
        unsafe { (*self.as_ptr()).__bindgen_anon_1.__bindgen_anon_1.vm_end }
    }

    /// Returns the page offset in the file of the first page.
    #[inline]
    pub fn pgoff(&self) -> usize {
        // SAFETY: By the type invariants, the field does not change.
        unsafe { (*self.as_ptr()).vm_pgoff }
    }

    /// Returns the number of pages.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        (self.end() - self.start()) >> PAGE_SHIFT
    }

    /// Returns the address at which a page of the file is mapped, if it is.
    #[inline]
    pub fn address_of(&self, pgoff: usize) -> Option<usize> {
        let index = pgoff.checked_sub(self.pgoff())?;
        (index < self.nr_pages()).then(|| self.start() + (index << PAGE_SHIFT))
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
        // SAFETY: By the type invariants, it is a mapping of a file, and the one whose lock is held.
        Held::Rmap(unsafe { (*(*self.as_ptr()).vm_file).f_mapping })
    }
}

impl Stable for RmapVma {}

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
    /// let mappings = file.file().i_mmap_lock_read();
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
    NonNull::new(unsafe { bindings::mapping_rmap_first(mapping, first, last) })
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
    NonNull::new(unsafe { bindings::mapping_rmap_next(vma.as_ptr(), first, last) })
}

/// A guard for the i_mmap lock of a file, for reading: mappings neither come nor go.
///
/// # Invariants
///
/// Owns the lock of `mapping` for reading.
#[must_use = "the lock is given up when this is dropped"]
pub struct IMmapReadGuard<'a> {
    mapping: NonNull<bindings::address_space>,
    _file: PhantomData<&'a ()>,
    _not_send: NotThreadSafe,
}

/// A guard for the i_mmap lock of a file, for writing: also nobody else looks at the mappings.
///
/// # Invariants
///
/// Owns the lock of `mapping` for writing.
#[must_use = "the lock is given up when this is dropped"]
pub struct IMmapWriteGuard<'a> {
    mapping: NonNull<bindings::address_space>,
    _file: PhantomData<&'a ()>,
    _not_send: NotThreadSafe,
}

impl Deref for IMmapReadGuard<'_> {
    type Target = FileMappings;

    #[inline]
    fn deref(&self) -> &FileMappings {
        // SAFETY: By the type invariants, the lock is held; the types have the same layout.
        unsafe { self.mapping.cast().as_ref() }
    }
}

impl Deref for IMmapWriteGuard<'_> {
    type Target = FileMappings;

    #[inline]
    fn deref(&self) -> &FileMappings {
        // SAFETY: By the type invariants, the lock is held; the types have the same layout.
        unsafe { self.mapping.cast().as_ref() }
    }
}

impl Drop for IMmapReadGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::i_mmap_unlock_read(self.mapping.as_ptr()) };
    }
}

impl Drop for IMmapWriteGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::i_mmap_unlock_write(self.mapping.as_ptr()) };
    }
}

impl<'a> IMmapReadGuard<'a> {
    /// # Safety
    ///
    /// `mapping` must be valid during `'a`.
    unsafe fn lock(mapping: NonNull<bindings::address_space>) -> Self {
        // SAFETY: The caller's promise.
        unsafe { bindings::i_mmap_lock_read(mapping.as_ptr()) };
        // INVARIANT: Just taken.
        Self {
            mapping,
            _file: PhantomData,
            _not_send: NotThreadSafe,
        }
    }

    /// # Safety
    ///
    /// `mapping` must be valid during `'a`.
    unsafe fn try_lock(mapping: NonNull<bindings::address_space>) -> Option<Self> {
        // SAFETY: The caller's promise.
        let taken = unsafe { bindings::i_mmap_trylock_read(mapping.as_ptr()) };
        // INVARIANT: Just taken.
        taken.then_some(()).map(|()| Self {
            mapping,
            _file: PhantomData,
            _not_send: NotThreadSafe,
        })
    }
}

impl<'a> IMmapWriteGuard<'a> {
    /// # Safety
    ///
    /// `mapping` must be valid during `'a`.
    unsafe fn lock(mapping: NonNull<bindings::address_space>) -> Self {
        // SAFETY: The caller's promise.
        unsafe { bindings::i_mmap_lock_write(mapping.as_ptr()) };
        // INVARIANT: Just taken.
        Self {
            mapping,
            _file: PhantomData,
            _not_send: NotThreadSafe,
        }
    }

    /// # Safety
    ///
    /// `mapping` must be valid during `'a`.
    unsafe fn try_lock(mapping: NonNull<bindings::address_space>) -> Option<Self> {
        // SAFETY: The caller's promise.
        let taken = unsafe { bindings::i_mmap_trylock_write(mapping.as_ptr()) };
        // INVARIANT: Just taken.
        taken.then_some(()).map(|()| Self {
            mapping,
            _file: PhantomData,
            _not_send: NotThreadSafe,
        })
    }
}

/// Gives a type the methods that lock its mappings.
macro_rules! i_mmap_locks {
    ($type:ty, $setup:literal, $value:literal) => {
        impl $type {
            /// Locks the mappings of the file, for reading.
            ///
            /// # Context
            ///
            /// Sleeps. This lock is inside the mmap lock: while it is held, the mmap lock of no
            /// address space may be taken, and no VMA lock. Nothing of the file may be mapped or
            /// unmapped, either, which takes this lock. Nor may memory be allocated in a way that
            /// waits for memory to be freed (`GFP_KERNEL`): that takes this lock, to look where a
            /// file's pages are mapped.
            ///
            /// # Examples
            ///
            /// ```
            #[doc = $setup]
            #[doc = concat!("let mappings = ", $value, ".i_mmap_lock_read();")]
            /// assert!(mappings.vmas(0..0).next().is_none());
            /// # Ok::<(), Error>(())
            /// ```
            pub fn i_mmap_lock_read(&self) -> IMmapReadGuard<'_> {
                // SAFETY: It is valid for as long as `self` is.
                unsafe { IMmapReadGuard::lock(self.mapping_ptr()) }
            }

            /// As [`i_mmap_lock_read`](Self::i_mmap_lock_read), but does not wait.
            ///
            /// # Examples
            ///
            /// ```
            #[doc = $setup]
            #[doc = concat!("let first = ", $value, ".i_mmap_trylock_read();")]
            #[doc = concat!("assert!(", $value, ".i_mmap_trylock_write().is_none());")]
            /// assert!(first.is_some());
            /// # Ok::<(), Error>(())
            /// ```
            pub fn i_mmap_trylock_read(&self) -> Option<IMmapReadGuard<'_>> {
                // SAFETY: It is valid for as long as `self` is.
                unsafe { IMmapReadGuard::try_lock(self.mapping_ptr()) }
            }

            /// Locks the mappings of the file, for writing.
            ///
            /// # Context
            ///
            /// As [`i_mmap_lock_read`](Self::i_mmap_lock_read).
            ///
            /// # Examples
            ///
            /// ```
            #[doc = $setup]
            #[doc = concat!("let mappings = ", $value, ".i_mmap_lock_write();")]
            #[doc = concat!("assert!(", $value, ".i_mmap_trylock_read().is_none());")]
            /// # drop(mappings);
            /// # Ok::<(), Error>(())
            /// ```
            pub fn i_mmap_lock_write(&self) -> IMmapWriteGuard<'_> {
                // SAFETY: It is valid for as long as `self` is.
                unsafe { IMmapWriteGuard::lock(self.mapping_ptr()) }
            }

            /// As [`i_mmap_lock_write`](Self::i_mmap_lock_write), but does not wait.
            ///
            /// # Examples
            ///
            /// See [`i_mmap_trylock_read`](Self::i_mmap_trylock_read).
            pub fn i_mmap_trylock_write(&self) -> Option<IMmapWriteGuard<'_>> {
                // SAFETY: It is valid for as long as `self` is.
                unsafe { IMmapWriteGuard::try_lock(self.mapping_ptr()) }
            }
        }
    };
}

impl AddressSpace {
    #[inline]
    fn mapping_ptr(&self) -> NonNull<bindings::address_space> {
        // SAFETY: A file has mappings, if only none.
        unsafe { NonNull::new_unchecked(self.as_ptr()) }
    }
}

impl File {
    #[inline]
    fn mapping_ptr(&self) -> NonNull<bindings::address_space> {
        // SAFETY: The file is open; the field is set when it is opened, to what its inode has or, of
        // a device that has an address space of its own, to that. It stays until the file is released.
        unsafe { NonNull::new_unchecked((*self.as_ptr()).f_mapping) }
    }
}

i_mmap_locks!(
    AddressSpace,
    "let space = kernel::mm::rmap::AddressSpace::new()?;",
    "space"
);
i_mmap_locks!(
    File,
    "let mm = kernel::mm::testing::UserMm::attach()?;\n\
     let file = mm.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;\n\
     let file = file.file();",
    "file"
);
