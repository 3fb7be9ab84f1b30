// SPDX-License-Identifier: GPL-2.0

//! Mappings that consist of several objects.
//!
//! The kernel populates a mapping with one object at mmap time, or with none. So a mapping of
//! several objects is faulted in, and its action is none. A [`Pieces`] says where in the mapping
//! each object is.

use super::{
    sealed::Sealed,
    Fault,
    FaultAnswer,
    FaultAround,
    FaultError,
    Paged,
    Pfn,
    VmOperations, //
};
#[cfg(CONFIG_HAVE_IOREMAP_PROT)]
use super::{
    Access,
    DriverVmaUnderMmap, //
};
use crate::{
    alloc::{
        flags::__GFP_HIGHMEM,
        Flags,
        KVVec, //
    },
    bindings,
    mm::{
        desc::VmaDesc,
        flags::{
            ClearFlags,
            VmaFlags, //
        },
        memory::{
            gfp,
            page_array::PageArray,
            Cache,
            DeviceMemory,
            Folio,
            KernelPages, //
        },
        revoke::RevocableMemory, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    }, //
};
use core::ops::Range;

mod mapping;

/// What a mapping consists of: pieces of several objects, and holes between them.
///
/// A driver makes a list of the pieces, and maps it with
/// [`VmaDesc::map_pieces`](crate::mm::desc::VmaDesc::map_pieces). The list counts pages: a mapping
/// with page offset 0 starts at page 0 of the list. An access to a hole ends with SIGBUS.
///
/// All pieces of a list are of one kind, which the type says:
///
/// - `Pieces<PageSource>` has pages of [`KernelPages`] and [`Folio`]s;
/// - `Pieces<FrameSource>` has memory of a device, such as ranges of a BAR.
///
/// A mapping cannot have both. Frames without reference counts need a `VM_PFNMAP` mapping, which
/// must not have pages. `VM_MIXEDMAP` would permit both, but the kernel inserts a PFN there with
/// the cache mode of the mapping, which would be that of the pages. And the whole mapping would be
/// out of reach of `get_user_pages`, or not.
///
/// The list owns a reference to each object. It does not change while it is mapped: to change what
/// user space can map, a driver makes another list. A file that always has the same list owns it,
/// and uses `map_pieces`. With a list that is replaced, a mapping has to keep the one that it was
/// made with: see [`fault`](Pieces::fault).
///
/// # Invariants
///
/// - No piece is empty. Each starts where the one before it ends, or later. The last one ends at
///   `nr_pages` or before.
/// - The object of each piece has all the pages of the piece.
/// - `nr_pages` is not zero, and `nr_pages << PAGE_SHIFT` does not overflow `isize`.
///
/// # Examples
///
/// A ring: a page that user space can only read, a hole, and the data twice, so that user space can
/// access a record in one piece that goes across the end.
///
/// ```
/// use kernel::{
///     fs::File,
///     miscdevice::{MiscDevice, MiscDeviceRegistration},
///     mm::{
///         desc::{Mapping, VmaDesc},
///         ops::{PageSource, Pieces},
///         testing::*,
///         Folio,
///         KernelPages, //
///     },
///     page::PAGE_SIZE,
///     sync::Arc, //
/// };
///
/// struct Ring {
///     pieces: Pieces<PageSource>,
/// }
///
/// #[vtable]
/// impl MiscDevice for Ring {
///     type Ptr = KBox<Self>;
///
///     fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
///         Err(ENODEV)
///     }
///
///     fn mmap_prepare<'f>(ring: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
///         desc.map_pieces(&ring.pieces)
///     }
/// }
///
/// let header = Folio::alloc(0, GFP_KERNEL)?;
/// header.write_at(0, b"ring")?;
/// let data = Arc::new(KernelPages::new(2, GFP_KERNEL)?, GFP_KERNEL)?;
///
/// let mut pieces = Pieces::new(6, 3, GFP_KERNEL)?;
/// pieces.add_read_only(0, header, 0..1)?;
/// pieces.add(2, data.clone(), 0..2)?;
/// pieces.add(4, data.clone(), 0..2)?;
///
/// let mm = UserMm::attach()?;
/// let file = mm.open::<Ring>(KBox::new(Ring { pieces }, GFP_KERNEL)?)?;
/// let addr = file.mmap(6 * PAGE_SIZE, READ, SHARED, 0)?;
/// assert_eq!(mm.read(addr)?, *b"ring");
/// assert_eq!(mm.read::<1>(addr + PAGE_SIZE), Err(EFAULT));
///
/// // The data can be written, the header cannot.
/// assert_eq!(file.mmap(6 * PAGE_SIZE, READ | WRITE, SHARED, 0), Err(EACCES));
/// let ring = file.mmap(4 * PAGE_SIZE, READ | WRITE, SHARED, 2)?;
/// mm.write(ring + 2 * PAGE_SIZE - 2, b"across")?;
/// assert_eq!(mm.read(ring)?, *b"ross");
/// # Ok::<(), Error>(())
/// ```
pub struct Pieces<S> {
    pieces: KVVec<Piece<S>>,
    nr_pages: usize,
}

/// Consecutive pages of one object, in consecutive pages of a list.
struct Piece<S> {
    /// The pages of the list.
    at: Range<usize>,
    /// The index in the object of the first page.
    first: usize,
    read_only: bool,
    source: S,
}

impl<S> Piece<S> {
    /// Returns the index in the object of a page of the list that the piece has.
    #[inline]
    fn index(&self, page: usize) -> usize {
        // Neither wraps: the piece has the page, and the object has all pages of the piece.
        self.first.wrapping_add(page.wrapping_sub(self.at.start))
    }
}

impl<S: PieceSource> Pieces<S> {
    /// The most pieces that a list can have.
    pub const MAX_PIECES: usize = 4096;

    /// Makes a list of `nr_pages` pages, all of which are a hole, with room for `max` pieces.
    ///
    /// If user space can have the driver make a list, `flags` should be
    /// [`GFP_KERNEL_ACCOUNT`](crate::alloc::flags::GFP_KERNEL_ACCOUNT).
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `nr_pages` is zero, or so large that the size in bytes overflows.
    /// - [`E2BIG`] if `max` is above [`MAX_PIECES`](Self::MAX_PIECES).
    /// - [`ENOMEM`] if there is not enough memory.
    pub fn new(nr_pages: usize, max: usize, flags: Flags) -> Result<Self> {
        if nr_pages == 0 || nr_pages > (isize::MAX as usize) >> PAGE_SHIFT {
            return Err(EINVAL);
        }
        if max > Self::MAX_PIECES {
            return Err(E2BIG);
        }
        // INVARIANT: There are no pieces, and `nr_pages` was checked above.
        Ok(Self {
            pieces: KVVec::with_capacity(max, gfp::known(flags) & !__GFP_HIGHMEM)?,
            nr_pages,
        })
    }

    /// Adds a piece: the pages `pages` of `source`, from page `at` of the list on.
    ///
    /// The pieces are added in the order in which they are in the list. What lies between two of
    /// them is a hole. An object can be in several pieces.
    ///
    /// # Errors
    ///
    /// The list has not changed then.
    ///
    /// - [`EINVAL`] if `pages` is empty or the object does not have all of them, if `at` lies
    ///   before the end of the piece that was added last, or if the piece extends past the list.
    /// - [`ENOSPC`] if the list has no room for another piece.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::{
    ///         ops::{PageSource, Pieces},
    ///         KernelPages, //
    ///     },
    ///     sync::Arc, //
    /// };
    ///
    /// let pages = Arc::new(KernelPages::new(4, GFP_KERNEL)?, GFP_KERNEL)?;
    /// let mut pieces = Pieces::<PageSource>::new(8, 2, GFP_KERNEL)?;
    /// pieces.add(1, pages.clone(), 2..4)?;
    /// // Page 2 is taken.
    /// assert_eq!(pieces.add(2, pages.clone(), 0..1), Err(EINVAL));
    /// assert_eq!(pieces.add(3, pages.clone(), 3..5), Err(EINVAL));
    /// assert_eq!(pieces.add(7, pages.clone(), 0..2), Err(EINVAL));
    /// pieces.add(7, pages.clone(), 0..1)?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn add(&mut self, at: usize, source: impl Into<S>, pages: Range<usize>) -> Result {
        self.insert(at, source.into(), pages, false)
    }

    /// Adds a piece as [`add`](Self::add) does, which user space can only read.
    ///
    /// The kernel decides for a whole mapping whether it can be written. So a shared mapping that
    /// has a page of this piece can never be written, and is refused with [`EACCES`] if user space
    /// asks for a writable one. In a private mapping, a write makes a copy-on-write page.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub fn add_read_only(
        &mut self,
        at: usize,
        source: impl Into<S>,
        pages: Range<usize>,
    ) -> Result {
        self.insert(at, source.into(), pages, true)
    }

    fn insert(&mut self, at: usize, source: S, pages: Range<usize>, read_only: bool) -> Result {
        // A range can be the wrong way round.
        let len = pages.end.checked_sub(pages.start).ok_or(EINVAL)?;
        let end = at.checked_add(len).ok_or(EINVAL)?;
        let free = self.pieces.last().map_or(0, |last| last.at.end);
        if len == 0 || pages.end > source.nr_pages() || at < free || end > self.nr_pages {
            return Err(EINVAL);
        }
        // INVARIANT: The checks above show that the piece is not empty, starts where the last one
        // ends or later, and ends at `nr_pages` or before, and that the object has all its pages.
        self.pieces
            .push_within_capacity(Piece {
                at: at..end,
                first: pages.start,
                read_only,
                source,
            })
            .map_err(|_| ENOSPC)
    }

    /// Returns the number of pages, with those of holes.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        self.nr_pages
    }

    /// Returns the piece that has a page of the list.
    #[inline]
    fn find(&self, page: usize) -> Option<&Piece<S>> {
        let after = self.pieces.partition_point(|piece| piece.at.start <= page);
        let piece = self.pieces.get(after.checked_sub(1)?)?;
        piece.at.contains(&page).then_some(piece)
    }

    /// Returns the pieces that have one of the pages `pages` of the list.
    fn within(&self, pages: Range<usize>) -> impl Iterator<Item = &Piece<S>> {
        let before = self
            .pieces
            .partition_point(|piece| piece.at.end <= pages.start);
        self.pieces
            .iter()
            .skip(before)
            .take_while(move |piece| piece.at.start < pages.end)
    }

    /// Returns the cache mode of the pieces that have one of the pages `pages` of the list, or
    /// [`NonCached`](Cache::NonCached) if they have several.
    fn cache(&self, pages: Range<usize>) -> Cache {
        let mut modes = self.within(pages).map(|piece| piece.source.cache());
        match modes.next() {
            Some(first) if modes.all(|mode| mode == first) => first,
            _ => Cache::NonCached,
        }
    }

    /// Checks that a mapping can consist of these pieces, from the page at its page offset on.
    ///
    /// If there is a page among them that is read-only, a shared mapping loses the permission to
    /// become writable.
    ///
    /// [`VmaDesc::map_pieces`](crate::mm::desc::VmaDesc::map_pieces) does this. It is for a driver
    /// that has callbacks of its own: see [`fault`](Pieces::fault).
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the mapping starts or extends past the end of the list.
    /// - [`EINVAL`] if it has a piece of a [`RevocableMemory`], and the file does not have the
    ///   address space of its revocation.
    /// - [`EINVAL`] if these are frames, and the mapping is
    ///   [copy-on-write](crate::mm::desc::VmaDesc::is_cow).
    /// - [`EACCES`] if it is shared and writable, and has a page that is read-only.
    pub fn check_mapping<D>(&self, desc: &mut VmaDesc<'_, D>) -> Result {
        let end = desc
            .pgoff()
            .checked_add(desc.nr_pages())
            .filter(|end| *end <= self.nr_pages)
            .ok_or(EINVAL)?;
        if S::FRAMES && desc.is_cow() {
            return Err(EINVAL);
        }
        // SAFETY: The file of a descriptor is open, so `f_mapping` is its address space.
        let mapping = unsafe { (*desc.file().as_ptr()).f_mapping };
        let mut read_only = false;
        for piece in self.within(desc.pgoff()..end) {
            if !piece.source.may_be_mapped_in(mapping) {
                return Err(EINVAL);
            }
            read_only |= piece.read_only;
        }
        if read_only && desc.flags().is_shared_maywrite() {
            desc.try_clear(ClearFlags::MAYWRITE)?;
        }
        Ok(())
    }
}

/// What a list of pieces can have: a [`PageSource`] or a [`FrameSource`].
pub trait PieceSource: Sealed + Send + Sync + Sized + 'static {
    /// Whether the memory has no reference counts.
    #[doc(hidden)]
    const FRAMES: bool;

    /// Returns the number of pages of the object.
    #[doc(hidden)]
    fn nr_pages(&self) -> usize;

    /// Returns the cache mode of user space's accesses.
    #[doc(hidden)]
    fn cache(&self) -> Cache;

    /// Returns whether the object may be mapped by files with the address space `mapping`.
    #[doc(hidden)]
    fn may_be_mapped_in(&self, mapping: *const bindings::address_space) -> bool;

    /// Returns the callbacks of a mapping that consists of such pieces.
    #[doc(hidden)]
    fn table(has_address_space: bool) -> *const bindings::vm_operations_struct;
}

/// An object that consists of pages: a [`KernelPages`] or a [`Folio`].
///
/// It is made from a reference to the object, or from `DmaMemory`.
pub struct PageSource(Object);

enum Object {
    Pages(Arc<KernelPages>),
    Folio(ARef<Folio>),
}

impl From<Arc<KernelPages>> for PageSource {
    #[inline]
    fn from(pages: Arc<KernelPages>) -> Self {
        Self(Object::Pages(pages))
    }
}

impl From<ARef<Folio>> for PageSource {
    #[inline]
    fn from(folio: ARef<Folio>) -> Self {
        Self(Object::Folio(folio))
    }
}

#[cfg(CONFIG_PCI)]
impl From<crate::mm::dma::DmaMemory> for PageSource {
    /// Makes the memory a piece of [`Pieces`](crate::mm::ops::Pieces).
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::{
    ///         dma::DmaMemory,
    ///         ops::{PageSource, Pieces},
    ///         KernelPages, //
    ///     },
    ///     sync::Arc, //
    /// };
    ///
    /// /// The indices are in the first page, the data of the device in four more.
    /// fn ring(indices: Arc<KernelPages>, data: DmaMemory) -> Result<Pieces<PageSource>> {
    ///     let mut pieces = Pieces::new(5, 2, GFP_KERNEL)?;
    ///     pieces.add(0, indices, 0..1)?;
    ///     pieces.add(1, data, 0..4)?;
    ///     Ok(pieces)
    /// }
    /// ```
    #[inline]
    fn from(memory: crate::mm::dma::DmaMemory) -> Self {
        memory.into_pages().into()
    }
}

impl Sealed for PageSource {}

impl PieceSource for PageSource {
    const FRAMES: bool = false;

    #[inline]
    fn nr_pages(&self) -> usize {
        match &self.0 {
            Object::Pages(pages) => pages.nr_pages(),
            Object::Folio(folio) => folio.nr_pages(),
        }
    }

    #[inline]
    fn cache(&self) -> Cache {
        Cache::Cached
    }

    #[inline]
    fn may_be_mapped_in(&self, _mapping: *const bindings::address_space) -> bool {
        true
    }

    #[inline]
    fn table(has_address_space: bool) -> *const bindings::vm_operations_struct {
        mapping::page_table(has_address_space)
    }
}

impl Piece<PageSource> {
    /// Returns a page of the list that the piece has: a folio, and the index of the page in it.
    #[inline]
    fn page(&self, page: usize) -> Option<(&Folio, usize)> {
        let index = self.index(page);
        match &self.source.0 {
            Object::Pages(pages) => {
                let page = pages.page(index)?;
                // SAFETY: The page is one of order 0, which is a folio. The array has a reference
                // to it while it is borrowed.
                Some((unsafe { Folio::from_raw(page.as_ptr().cast()) }, 0))
            }
            Object::Folio(folio) => Some((&**folio, index)),
        }
    }
}

/// Returns whether user space can write to the pages of a VMA with these flags, and must not write
/// to those of `piece`.
///
/// A mapping that has read-only pages is not writable, unless the driver has mapped another list
/// than that whose pages it inserts.
#[inline]
fn is_forbidden<S>(piece: &Piece<S>, flags: VmaFlags) -> bool {
    piece.read_only && flags.is_shared_maywrite()
}

impl Pieces<PageSource> {
    /// Answers a fault with the page of the list at the page offset of the fault.
    ///
    /// For a driver that has callbacks of its own. It calls
    /// [`check_mapping`](Self::check_mapping) in its `mmap_prepare`, and this in its `fault`.
    ///
    /// # Errors
    ///
    /// [`FaultError::SigBus`] if the page is in a hole or past the end of the list, or if it is
    /// read-only and the mapping can be written: it was not checked, or for another list.
    ///
    /// # Examples
    ///
    /// A device whose list can be replaced. A mapping keeps the list that it was made with:
    ///
    /// ```
    /// use kernel::{
    ///     fs::File,
    ///     miscdevice::{MiscDevice, MiscDeviceRegistration},
    ///     mm::{
    ///         desc::{Mapping, VmaDesc},
    ///         ops::{
    ///             DeviceRef,
    ///             Fault,
    ///             FaultAnswer,
    ///             FaultAround,
    ///             FaultError,
    ///             MappedArea,
    ///             Ordinary,
    ///             PageSource,
    ///             PerVma,
    ///             Pieces,
    ///             VmOperations, //
    ///         }, //
    ///     },
    ///     sync::{Arc, Mutex}, //
    /// };
    ///
    /// type List = Arc<Pieces<PageSource>>;
    ///
    /// #[pin_data]
    /// struct Device {
    ///     #[pin]
    ///     list: Mutex<List>,
    /// }
    ///
    /// #[vtable]
    /// impl MiscDevice for Device {
    ///     type Ptr = Pin<KBox<Self>>;
    ///
    ///     fn open(_: &File, _: &MiscDeviceRegistration<Self>) -> Result<Pin<KBox<Self>>> {
    ///         Err(ENODEV)
    ///     }
    ///
    ///     fn mmap_prepare<'f>(
    ///         device: Pin<&'f Self>,
    ///         mut desc: VmaDesc<'f, Self>,
    ///     ) -> Result<Mapping<'f, Self>> {
    ///         device.list.lock().check_mapping(&mut desc)?;
    ///         Ok(desc.with_ops::<DeviceOps>()?.on_fault())
    ///     }
    /// }
    ///
    /// struct DeviceOps;
    ///
    /// #[vtable]
    /// impl VmOperations for DeviceOps {
    ///     type File = Device;
    ///     type Data = PerVma<List>;
    ///     type Memory = Ordinary;
    ///
    ///     fn mapped(device: DeviceRef<'_, Self>, _area: &MappedArea) -> Result<Self::Data> {
    ///         // Another list than that of `mmap_prepare`, if it was replaced in between.
    ///         Ok(PerVma(device.list.lock().clone()))
    ///     }
    ///
    ///     fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
    ///         vmf.data().fault(vmf)
    ///     }
    ///
    ///     fn map_pages(vmf: &FaultAround<Self>) {
    ///         vmf.data().map_pages(vmf);
    ///     }
    /// }
    /// kernel::vm_operations!(DeviceOps);
    /// ```
    pub fn fault<'a, O>(&self, vmf: &'a Fault<O>) -> Result<FaultAnswer<'a>, FaultError>
    where
        O: VmOperations<Memory: Paged>,
    {
        let piece = self.find(vmf.pgoff()).ok_or(FaultError::SigBus)?;
        if is_forbidden(piece, vmf.vma().flags()) {
            return Err(FaultError::SigBus);
        }
        let (folio, index) = piece.page(vmf.pgoff()).ok_or(FaultError::SigBus)?;
        // The list does not change, so this driver never unmaps the page.
        vmf.return_page(folio.into(), index)
    }

    /// Maps pages of the list around a page that is read.
    ///
    /// For a driver that has callbacks of its own, with [`fault`](Self::fault). It leaves out what
    /// `fault` refuses.
    pub fn map_pages<O>(&self, vmf: &FaultAround<O>)
    where
        O: VmOperations<Memory: Paged>,
    {
        let flags = vmf.vma().flags();
        let mut last: Option<&Piece<PageSource>> = None;
        vmf.map(|pgoff| {
            // The next page is in the same piece as a rule.
            let piece = match last {
                Some(piece) if piece.at.contains(&pgoff) => piece,
                _ => self.find(pgoff)?,
            };
            last = Some(piece);
            if is_forbidden(piece, flags) {
                return None;
            }
            piece.page(pgoff)
        });
    }
}

/// Memory of a device, with the cache mode of user space's accesses.
pub struct FrameSource {
    memory: Frames,
    cache: Cache,
}

enum Frames {
    Revocable(Arc<RevocableMemory>),
    Fixed(Arc<DeviceMemory>),
}

impl FrameSource {
    /// Returns the memory of a device that is revoked when its driver is unbound, such as a BAR.
    ///
    /// User space's accesses have the cache mode of the [`RevocableMemory`]; see
    /// [`VmaDesc::map_pieces`](crate::mm::desc::VmaDesc::map_pieces) for a list with several modes.
    /// The list does not keep
    /// the memory from being revoked. It can be mapped only by files that have the address space of
    /// its revocation.
    #[inline]
    pub fn revocable(memory: Arc<RevocableMemory>) -> Self {
        Self {
            cache: memory.cache(),
            memory: Frames::Revocable(memory),
        }
    }

    /// Returns the memory of a device that is never revoked.
    #[inline]
    pub fn fixed(memory: Arc<DeviceMemory>, cache: Cache) -> Self {
        Self {
            memory: Frames::Fixed(memory),
            cache,
        }
    }
}

impl Sealed for FrameSource {}

impl PieceSource for FrameSource {
    const FRAMES: bool = true;

    #[inline]
    fn nr_pages(&self) -> usize {
        match &self.memory {
            Frames::Revocable(memory) => memory.nr_pages(),
            Frames::Fixed(memory) => memory.pfns().nr_pages(),
        }
    }

    #[inline]
    fn cache(&self) -> Cache {
        self.cache
    }

    #[inline]
    fn may_be_mapped_in(&self, mapping: *const bindings::address_space) -> bool {
        match &self.memory {
            Frames::Revocable(memory) => {
                core::ptr::eq(mapping, memory.revocation().address_space().as_ptr())
            }
            Frames::Fixed(_) => true,
        }
    }

    #[inline]
    fn table(has_address_space: bool) -> *const bindings::vm_operations_struct {
        mapping::frame_table(has_address_space)
    }
}

impl Pieces<FrameSource> {
    /// Maps the PFN of the list at the page offset of a fault.
    ///
    /// For a driver that has callbacks of its own: see
    /// [`Pieces<PageSource>::fault`](Pieces::fault).
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`FaultError::SigBus`] if the page is in a hole or past the end of the list, or if it is
    ///   read-only and the mapping can be written.
    /// - Those of [`Fault::insert_pfn`].
    pub fn fault<'a, O>(&self, vmf: &'a Fault<O>) -> Result<FaultAnswer<'a>, FaultError>
    where
        O: VmOperations<Memory = Pfn>,
    {
        let piece = self.find(vmf.pgoff()).ok_or(FaultError::SigBus)?;
        if is_forbidden(piece, vmf.vma().flags()) {
            return Err(FaultError::SigBus);
        }
        let (index, cache) = (piece.index(vmf.pgoff()), piece.source.cache);
        let inserted = match &piece.source.memory {
            Frames::Revocable(memory) => vmf.insert_pfn_cached(memory.all(), index, cache),
            Frames::Fixed(memory) => vmf.insert_pfn_cached(memory.pfns().all(), index, cache),
        };
        Ok(inserted?.into())
    }

    /// Accesses the page of the list that a mapping has at `addr`, and returns the number of bytes.
    ///
    /// For a driver that has callbacks of its own: it calls this in its
    /// [`access`](VmOperations::access). Nothing need be mapped at `addr` if the page is one of a
    /// [`RevocableMemory`].
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `addr` is not in the VMA, if the page is in a hole or past the end of the
    ///   list, or if it is read-only and the mapping can be written.
    /// - Those of [`DriverVmaUnderMmap::access_pfn`] for a [`RevocableMemory`], and otherwise those
    ///   of [`DriverVmaUnderMmap::access_phys`].
    #[cfg(CONFIG_HAVE_IOREMAP_PROT)]
    pub fn access<O>(
        &self,
        vma: &DriverVmaUnderMmap<O>,
        addr: usize,
        access: Access<'_>,
    ) -> Result<usize>
    where
        O: VmOperations<Memory = Pfn>,
    {
        let page = vma.pgoff_at(addr).ok_or(EINVAL)?;
        let piece = self.find(page).ok_or(EINVAL)?;
        if is_forbidden(piece, vma.flags()) {
            return Err(EINVAL);
        }
        match &piece.source.memory {
            Frames::Revocable(memory) => {
                vma.access_pfn(addr, memory.all(), piece.index(page), access)
            }
            Frames::Fixed(_) => vma.access_phys(addr, access),
        }
    }
}
