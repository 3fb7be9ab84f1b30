// SPDX-License-Identifier: GPL-2.0

//! The contexts of the callbacks that fill memory, and what they answer with.

use super::UffdOps;
use crate::{
    bindings,
    mm::{
        filemap::{
            Filled,
            LockedCacheFolio,
            NewFolio,
            PageCache, //
        },
        memory::Folio,
        uffd::UffdModes,
        vma::StableVma, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    types::{
        ForeignOwnable,
        NotThreadSafe, //
    }, //
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ops::Deref,
    ptr::NonNull, //
};

/// The data that the driver gave to a file, as its callbacks borrow it.
pub type FileData<'a, T> = <<T as UffdOps>::Data as ForeignOwnable>::Borrowed<'a>;

/// Returns the page cache of an inode.
///
/// # Safety
///
/// `inode` must be that of a memory file, and must not be evicted during `'a`.
#[inline]
unsafe fn cache_of<'a>(inode: *mut bindings::inode) -> &'a PageCache {
    // SAFETY: By the safety requirements of this function, the inode is alive, and is that of a
    // memory file, whose page cache has the invariants of a `PageCache`.
    unsafe { PageCache::from_raw((*inode).i_mapping) }
}

/// Returns the data of a file.
///
/// # Safety
///
/// `inode` must be that of a memory file of the type `T`, and must not be evicted during `'a`.
#[inline]
unsafe fn data_of<'a, T: UffdOps>(inode: *mut bindings::inode) -> FileData<'a, T> {
    // SAFETY: By the safety requirements of this function, `i_private` of the inode is from
    // `T::Data::into_foreign`, and the data is dropped when the inode is evicted.
    unsafe { T::Data::borrow((*inode).i_private) }
}

/// A mapping of a memory file of the type `T`, which is locked.
///
/// # Invariants
///
/// - The invariants of [`StableVma`] hold.
/// - The VMA maps a memory file of the type `T`.
#[repr(transparent)]
pub struct UffdVma<T> {
    vma: StableVma,
    _ops: PhantomData<fn(T) -> T>,
}

impl<T> Deref for UffdVma<T> {
    type Target = StableVma;

    #[inline]
    fn deref(&self) -> &StableVma {
        &self.vma
    }
}

impl<T: UffdOps> UffdVma<T> {
    /// # Safety
    ///
    /// During `'a`, the VMA must be locked at least for reading, and it must map a memory file of
    /// the type `T`.
    #[inline]
    pub(super) unsafe fn from_raw<'a>(vma: *const bindings::vm_area_struct) -> &'a Self {
        // SAFETY: The types have the same layout, and by the safety requirements of this function
        // the type invariants hold during `'a`.
        unsafe { &*vma.cast() }
    }

    #[inline]
    fn inode(&self) -> *mut bindings::inode {
        // SAFETY: By the type invariants, the VMA has a file, to which it has a reference, and the
        // file has one to its inode.
        unsafe { (*(*self.as_ptr()).vm_file).f_inode }
    }

    /// Returns the page cache of the file.
    #[inline]
    pub fn cache(&self) -> &PageCache {
        // SAFETY: By the type invariants, it is the inode of a memory file, and the VMA keeps it
        // for as long as it is borrowed.
        unsafe { cache_of(self.inode()) }
    }

    /// Returns the data of the file.
    #[inline]
    pub fn data(&self) -> FileData<'_, T> {
        // SAFETY: By the type invariants, it is the inode of a memory file of the type `T`, and the
        // VMA keeps it for as long as it is borrowed.
        unsafe { data_of::<T>(self.inode()) }
    }

    /// Returns the modes in which the VMA is registered.
    #[inline]
    pub fn modes(&self) -> UffdModes {
        UffdModes::of_vma(self)
    }

    /// Returns the page offset of the page at `addr`, which is in the VMA.
    #[inline]
    fn index_of(&self, addr: usize) -> usize {
        let pages = addr.wrapping_sub(self.start()) >> PAGE_SHIFT;
        self.pgoff().wrapping_add(pages)
    }
}

/// The part that the contexts of a fill have in common.
///
/// # Invariants
///
/// For as long as the value exists, the VMA is locked at least for reading and maps a memory file
/// of the type `T`, and sleeping is allowed. `addr` is in the VMA, other than in a [`RemoveFolio`].
struct Fill<T> {
    vma: NonNull<bindings::vm_area_struct>,
    addr: usize,
    _ops: PhantomData<fn(T) -> T>,
    _not_send: NotThreadSafe,
}

impl<T: UffdOps> Fill<T> {
    #[inline]
    fn vma(&self) -> &UffdVma<T> {
        // SAFETY: By the type invariants, the VMA is locked while `self` is borrowed, and maps a
        // memory file of the type `T`.
        unsafe { UffdVma::from_raw(self.vma.as_ptr()) }
    }
}

/// Implements the methods that all contexts of a fill have in common.
macro_rules! common_methods {
    () => {
        /// # Safety
        ///
        /// For as long as the value exists, `vma` must be locked at least for reading, must map a
        /// memory file of the type `T`, and must contain `addr` unless this is a `RemoveFolio`; and
        /// the caller may sleep.
        #[inline]
        pub(super) unsafe fn new(vma: NonNull<bindings::vm_area_struct>, addr: usize) -> Self {
            // INVARIANT: By the safety requirements of this function, the invariants hold.
            Self(Fill {
                vma,
                addr,
                _ops: PhantomData,
                _not_send: NotThreadSafe,
            })
        }

        /// Returns the VMA.
        #[inline]
        pub fn vma(&self) -> &UffdVma<T> {
            self.0.vma()
        }

        /// Returns the page cache of the file.
        #[inline]
        pub fn cache(&self) -> &PageCache {
            self.vma().cache()
        }

        /// Returns the data of the file.
        #[inline]
        pub fn data(&self) -> FileData<'_, T> {
            self.vma().data()
        }
    };
}

/// The context of [`alloc_folio`](UffdOps::alloc_folio): user space fills a page.
pub struct AllocFolio<T>(Fill<T>);

/// The context of [`filemap_add`](UffdOps::filemap_add): the page that user space fills has its
/// contents.
pub struct AddFolio<T>(Fill<T>);

/// The context of [`filemap_remove`](UffdOps::filemap_remove): the page could not be mapped.
///
/// The address is not known: it is [`AddedFolio::index`](LockedCacheFolio::index) that tells what
/// page it is.
pub struct RemoveFolio<T>(Fill<T>);

impl<T: UffdOps> AllocFolio<T> {
    common_methods!();

    /// Returns the address that user space fills.
    #[inline]
    pub fn address(&self) -> usize {
        self.0.addr
    }

    /// Returns the page offset in the file of the page that user space fills.
    ///
    /// [`filemap_add`](UffdOps::filemap_add) may get another one for the same folio: see there.
    #[inline]
    pub fn index(&self) -> usize {
        self.vma().index_of(self.0.addr)
    }

    /// Allocates the folio, for which the memory cgroup of the process that has the mapping pays.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`EFAULT`] if the file ends before the page.
    /// - [`ENOMEM`] if there is not enough memory, also if the memory cgroup may not have more.
    pub fn alloc(&self) -> Result<NewFolio> {
        // The size can still change: `filemap_add` looks at it again.
        self.cache().check_size(self.index())?;
        // SAFETY: The VMA is locked, so its mm is valid.
        unsafe {
            self.cache()
                .alloc_for((*self.0.vma.as_ptr()).vm_mm, self.index(), 0)
        }
    }
}

impl<T: UffdOps> RemoveFolio<T> {
    common_methods!();
}

impl<T: UffdOps> AddFolio<T> {
    common_methods!();

    /// Returns the address that user space fills.
    #[inline]
    pub fn address(&self) -> usize {
        self.0.addr
    }

    /// Returns the page offset in the file of the page that user space fills.
    #[inline]
    pub fn index(&self) -> usize {
        self.vma().index_of(self.0.addr)
    }

    /// Adds the folio to the page cache of the file, at the page offset that user space fills.
    ///
    /// # Context
    ///
    /// Sleeps. Takes `invalidate_lock` of the page cache for reading. The caller must not hold the
    /// lock of a folio.
    ///
    /// # Errors
    ///
    /// - [`EFAULT`] if the file ends before the page.
    /// - [`EEXIST`] if the page is in the page cache already.
    /// - [`ENOMEM`] if there is not enough memory.
    pub fn add<'a>(&'a self, folio: FillFolio<'a>) -> Result<AddedFolio<'a>> {
        // SAFETY: By the type invariants of `folio`, it is a new folio to which C has written, and
        // its reference is used by nothing else. It goes back to C in both cases below.
        let folio = unsafe { NewFolio::from_raw(folio.folio).assume_filled() };
        match self.cache().add(folio, self.index()) {
            // INVARIANT: The folio was just added. `AddedFolio` does not drop the reference.
            Ok(folio) => Ok(AddedFolio(ManuallyDrop::new(folio))),
            Err((folio, e)) => {
                folio.into_raw();
                Err(e)
            }
        }
    }
}

/// The folio that user space fills, with its contents: it is in no page cache, and C has the
/// reference.
///
/// Only [`AddFolio::add`] makes use of it.
///
/// # Invariants
///
/// The folio is from [`UffdOps::alloc_folio`] or the layer's function in its place. All bytes were
/// written. It was never in a page cache and is not locked. The only reference is that of C, which
/// does not use it during `'a`.
pub struct FillFolio<'a> {
    folio: NonNull<bindings::folio>,
    _borrow: PhantomData<&'a mut ()>,
}

impl FillFolio<'_> {
    /// # Safety
    ///
    /// The type invariants must hold.
    #[inline]
    pub(super) unsafe fn new(folio: NonNull<bindings::folio>) -> Self {
        // INVARIANT: By the safety requirements of this function, the invariants hold.
        Self {
            folio,
            _borrow: PhantomData,
        }
    }

    /// Copies bytes out of the folio.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is not inside the folio. Nothing is copied in that case.
    pub fn read_at(&self, offset: usize, out: &mut [u8]) -> Result {
        // SAFETY: By the type invariants, the folio has a reference.
        unsafe { Folio::from_raw(self.folio.as_ptr()) }.read_at(offset, out)
    }

    /// Copies bytes into the folio.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is not inside the folio. Nothing is copied in that case.
    pub fn write_at(&mut self, offset: usize, data: &[u8]) -> Result {
        // SAFETY: By the type invariants, the folio has a reference.
        unsafe { Folio::from_raw(self.folio.as_ptr()) }.write_at(offset, data)
    }
}

/// Proof that the folio that user space fills was added to the page cache of the file.
///
/// The folio is locked, and remains locked until C has mapped it. If this is dropped, because the
/// callback fails after it has added the folio, the folio is removed again.
///
/// # Invariants
///
/// The folio is that of the fill. It is locked and in the page cache of the file. This value owns
/// the lock, but not the reference, which is C's.
pub struct AddedFolio<'a>(ManuallyDrop<LockedCacheFolio<'a>>);

impl<'a> AddedFolio<'a> {
    /// # Safety
    ///
    /// The type invariants must hold, and the caller must give up the lock.
    #[inline]
    pub(super) unsafe fn from_raw(cache: &'a PageCache, folio: NonNull<bindings::folio>) -> Self {
        // INVARIANT: By the safety requirements of this function, the invariants hold.
        // SAFETY: By the safety requirements of this function, the folio is locked and in `cache`.
        // The value in the `ManuallyDrop` does not use the reference.
        Self(ManuallyDrop::new(unsafe {
            LockedCacheFolio::from_raw(cache, folio)
        }))
    }

    /// Gives up the lock.
    #[inline]
    pub(super) fn leave_locked(self) {
        core::mem::forget(self);
    }
}

// Not `DerefMut`: the folio could be exchanged for another one then.
impl<'a> Deref for AddedFolio<'a> {
    type Target = LockedCacheFolio<'a>;

    #[inline]
    fn deref(&self) -> &LockedCacheFolio<'a> {
        &self.0
    }
}

impl Drop for AddedFolio<'_> {
    fn drop(&mut self) {
        let (cache, folio) = (self.cache().as_ptr(), self.as_ptr());
        // SAFETY: By the type invariants, the folio is locked and in the page cache, and this value
        // owns the lock. C has a reference.
        unsafe {
            bindings::rust_filemap_remove(cache, folio);
            bindings::folio_unlock(folio);
        }
    }
}

/// The context of [`get_folio_noalloc`](UffdOps::get_folio_noalloc): user space has written a page
/// of the page cache through another mapping, and maps it now.
///
/// # Invariants
///
/// For as long as the value exists, the inode is that of a memory file of the type `T` and is not
/// evicted, and sleeping is allowed.
pub struct FindFolio<T> {
    inode: NonNull<bindings::inode>,
    index: usize,
    _ops: PhantomData<fn(T) -> T>,
    _not_send: NotThreadSafe,
}

impl<T: UffdOps> FindFolio<T> {
    /// # Safety
    ///
    /// The type invariants must hold for as long as the value exists.
    #[inline]
    pub(super) unsafe fn new(inode: NonNull<bindings::inode>, index: usize) -> Self {
        // INVARIANT: By the safety requirements of this function, the invariants hold.
        Self {
            inode,
            index,
            _ops: PhantomData,
            _not_send: NotThreadSafe,
        }
    }

    /// Returns the page offset of the page in the file.
    #[inline]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the page cache of the file.
    #[inline]
    pub fn cache(&self) -> &PageCache {
        // SAFETY: By the type invariants, it is the inode of a memory file, which is not evicted.
        unsafe { cache_of(self.inode.as_ptr()) }
    }

    /// Returns the data of the file.
    #[inline]
    pub fn data(&self) -> FileData<'_, T> {
        // SAFETY: By the type invariants, it is the inode of a memory file of the type `T`, which
        // is not evicted.
        unsafe { data_of::<T>(self.inode.as_ptr()) }
    }

    /// Locks the folio that has the page, and returns it if there is one.
    ///
    /// # Context
    ///
    /// As [`PageCache::get_locked`].
    ///
    /// # Errors
    ///
    /// - [`EFAULT`] if the file ends before the page.
    /// - [`EIO`] if the folio is not up to date.
    pub fn find(&self) -> Result<Option<FoundFolio<'_>>> {
        FoundFolio::find(self.cache(), self.index)
    }
}

/// A locked folio that has the page of a [`FindFolio`] or a [`UffdFault`](super::UffdFault).
///
/// # Invariants
///
/// The folio has the page of the context that it was made from.
pub struct FoundFolio<'a>(LockedCacheFolio<'a>);

impl<'a> FoundFolio<'a> {
    /// Finds the folio that has a page.
    #[inline]
    pub(super) fn find(cache: &'a PageCache, index: usize) -> Result<Option<Self>> {
        let folio = cache.get_locked(index)?;
        cache.check_size(index)?;
        // INVARIANT: The folio has the page, and as long as it is locked it keeps it.
        Ok(folio.map(Self))
    }

    /// Finds the folio that has the page at an address of a VMA, or adds one.
    #[inline]
    pub(super) fn find_or_add<T: UffdOps>(vma: &'a UffdVma<T>, index: usize) -> Result<Self> {
        // SAFETY: The VMA is locked, so its mm is valid.
        let folio = unsafe { vma.cache().get_or_add_for((*vma.as_ptr()).vm_mm, index) }?;
        // INVARIANT: The folio has the page, and as long as it is locked it keeps it.
        Ok(Self(folio))
    }

    /// Adds a folio to a page cache, where it has the page `index`.
    #[inline]
    pub(super) fn add(cache: &'a PageCache, folio: NewFolio<Filled>, index: usize) -> Result<Self> {
        let first = index & (usize::MAX << folio.order());
        let added = cache.add(folio, first).map_err(|(_, e)| e)?;
        // The file may end inside the folio.
        cache.check_size(index)?;
        // INVARIANT: The folio has the pages from `first` on, one of which is `index`.
        Ok(Self(added))
    }

    /// Gives up the lock and the reference.
    #[inline]
    pub(super) fn into_raw(self) -> NonNull<bindings::folio> {
        self.0.into_raw()
    }

    /// Gives up the lock and the reference, which a page table entry for the page with page offset
    /// `index` gets.
    ///
    /// This is not inlined into a module: it calls a function that is not exported.
    ///
    /// # Errors
    ///
    /// [`EFAULT`] if the file ends before the page, or the folio has too many references to be
    /// mapped again.
    #[inline(never)]
    pub(super) fn into_mappable(self, index: usize) -> Result<NonNull<bindings::folio>> {
        match self.0.mappable_page(index) {
            Some(_) => Ok(self.into_raw()),
            None => Err(EFAULT),
        }
    }
}

// Not `DerefMut`: the folio could be exchanged for another one then.
impl<'a> Deref for FoundFolio<'a> {
    type Target = LockedCacheFolio<'a>;

    #[inline]
    fn deref(&self) -> &LockedCacheFolio<'a> {
        &self.0
    }
}
