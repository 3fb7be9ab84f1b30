// SPDX-License-Identifier: GPL-2.0

//! Pages that are allocated when user space accesses them.
//!
//! A [`FaultedPages`] is for memory that a driver faults in: it has the pages, allocates them,
//! answers the faults, and gives pages back. In C, each driver has an array or an XArray of pages,
//! and a lock.

use crate::{
    alloc::{
        Flags,
        NumaNode, //
    },
    bindings,
    mm::{
        memory::{
            Folio,
            Slots, //
        },
        ops::{
            Fault,
            FaultAnswer,
            FaultAround,
            FaultError,
            Paged,
            VmOperations, //
        },
        revoke::Revocation,
        rmap::AddressSpace, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    sync::aref::ARef, //
};
use core::{
    ops::Range,
    ptr, //
};

mod io;

mod sealed {
    use crate::bindings;

    /// # Safety
    ///
    /// [`mapping`](Self::mapping) must return null, or the same valid address space for as long as
    /// the value exists. It must not return null if the type implements
    /// [`UnmapFrom`](super::UnmapFrom).
    pub unsafe trait Sealed {
        /// Returns the address space that discarded pages are unmapped from.
        fn mapping(&self) -> *mut bindings::address_space;
    }
}
use sealed::Sealed;

/// What a [`FaultedPages`] knows of the mappings of its pages.
pub trait Mappings: Sealed {}

/// The mappings that a [`FaultedPages`] unmaps pages from: those of an [`AddressSpace`].
pub trait UnmapFrom: Mappings {}

/// The [`Mappings`] of pages that are not discarded one by one: nothing.
pub struct Unknown(());

// SAFETY: This returns null, and the type does not implement `UnmapFrom`.
unsafe impl Sealed for Unknown {
    #[inline]
    fn mapping(&self) -> *mut bindings::address_space {
        ptr::null_mut()
    }
}

impl Mappings for Unknown {}

// SAFETY: The file of an `AddressSpace`, and its `f_mapping`, do not change.
unsafe impl Sealed for AddressSpace {
    #[inline]
    fn mapping(&self) -> *mut bindings::address_space {
        self.as_ptr()
    }
}

impl Mappings for AddressSpace {}
impl UnmapFrom for AddressSpace {}

// SAFETY: A `Revocation` has one `AddressSpace`.
unsafe impl Sealed for Revocation {
    #[inline]
    fn mapping(&self) -> *mut bindings::address_space {
        self.address_space().as_ptr()
    }
}

impl Mappings for Revocation {}
impl UnmapFrom for Revocation {}

/// Pages that are allocated when user space accesses them, or when the driver writes to them.
///
/// The number of pages is fixed, and the index of a page is its page offset in the file. Pages that
/// are not allocated read as zeroes: they are holes. The driver's
/// [`fault`](VmOperations::fault) is [`FaultedPages::fault`], and its
/// [`map_pages`](VmOperations::map_pages) is [`FaultedPages::map_pages`].
///
/// All methods may be called at the same time. None of them takes a lock, except for the locks of
/// page tables, so a driver may copy to and from user memory, which may be a mapping of the same
/// pages.
///
/// # Giving pages back
///
/// With an [`AddressSpace`] or a [`Revocation`] as `M`, a driver can [`discard`](Self::discard)
/// pages: they are unmapped from all mappings, and later accesses find zeroes. A fault that runs at
/// the same time does not map a page that is discarded. So that it can be relied on, `fault`
/// refuses mappings of files that do not have this address space.
///
/// By default, `M` is [`Unknown`], and pages are only dropped together.
///
/// # Drop
///
/// Dropping the value drops the references to the pages, and may sleep. Pages that are mapped
/// remain mapped, as with [`KernelPages`](crate::mm::KernelPages): the kernel frees them with the
/// last mapping.
///
/// # Charge and placement
///
/// User space decides how many pages are allocated. With [`GFP_KERNEL_ACCOUNT`], they are charged
/// to the memory cgroup of the task that accesses a page first, and the array to that of the task
/// that makes the value. See "Charge" in `Documentation/mm/rust-mmap/own-driver.rst`.
///
/// A page is allocated on the [node](Self::set_node) that the driver has set. If it has set none,
/// the memory policy decides that user space has set for the mapping (`mbind`), or for the task.
///
/// # Cost
///
/// The array has a pointer for each page, also for holes. Memory that is large and sparse is better
/// off in a [memory file](crate::fs::memory_file).
///
/// # Examples
///
/// A device whose memory is faulted in, and given back:
///
/// ```
/// use kernel::{
///     fs::File,
///     miscdevice::{MiscDevice, MiscDeviceRegistration},
///     mm::{
///         desc::{Mapping, VmaDesc},
///         ops::{Fault, FaultAnswer, FaultAround, FaultError, Ordinary, PerFile, VmOperations},
///         rmap::AddressSpace,
///         testing::*,
///         FaultedPages, //
///     },
///     page::PAGE_SIZE,
///     sync::{Arc, ArcBorrow}, //
/// };
///
/// #[pin_data]
/// struct Scratch {
///     #[pin]
///     pages: FaultedPages<AddressSpace>,
/// }
///
/// #[vtable]
/// impl MiscDevice for Scratch {
///     type Ptr = Arc<Self>;
///
///     fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
///         Err(ENODEV)
///     }
///
///     fn address_space<'a>(scratch: ArcBorrow<'a, Self>, _file: &'a File) -> &'a AddressSpace {
///         scratch.into_ref().pages.mappings()
///     }
///
///     fn mmap_prepare<'f>(
///         _scratch: ArcBorrow<'f, Self>,
///         desc: VmaDesc<'f, Self>,
///     ) -> Result<Mapping<'f, Self>> {
///         Ok(desc.with_ops::<ScratchOps>()?.on_fault())
///     }
/// }
///
/// struct ScratchOps;
///
/// #[vtable]
/// impl VmOperations for ScratchOps {
///     type File = Scratch;
///     type Data = PerFile;
///     type Memory = Ordinary;
///
///     fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
///         vmf.data().pages.fault(vmf)
///     }
///
///     fn map_pages(vmf: &FaultAround<Self>) {
///         vmf.data().pages.map_pages(vmf);
///     }
/// }
/// kernel::vm_operations!(ScratchOps);
///
/// let space = AddressSpace::new::<Scratch>();
/// let scratch = Arc::pin_init(
///     try_pin_init!(Scratch {
///         pages <- FaultedPages::unmapped_from(space, 4, GFP_KERNEL_ACCOUNT),
///     }? Error),
///     GFP_KERNEL_ACCOUNT,
/// )?;
/// let mm = UserMm::attach()?;
/// let file = mm.open::<Scratch>(scratch.clone())?;
/// let addr = file.mmap(4 * PAGE_SIZE, READ | WRITE, SHARED, 0)?;
///
/// mm.write(addr + PAGE_SIZE, b"user")?;
/// assert_eq!(scratch.pages.nr_present(), 1);
/// let mut out = [1; 4];
/// scratch.pages.read_at(PAGE_SIZE, &mut out)?;
/// assert_eq!(&out, b"user");
///
/// assert_eq!(scratch.pages.discard(0..4), 1);
/// assert_eq!(mm.read(addr + PAGE_SIZE)?, [0; 4]);
/// mm.munmap(addr, 4 * PAGE_SIZE)?;
/// # Ok::<(), Error>(())
/// ```
#[pin_data]
pub struct FaultedPages<M: Mappings = Unknown> {
    slots: Slots,
    #[pin]
    mappings: M,
}

impl FaultedPages {
    /// Makes an array of `nr_pages` holes.
    ///
    /// The pages are zeroed with any `flags`, since user space will see them. Bits of `flags` for
    /// which [`alloc::flags`](crate::alloc::flags) has no name are ignored.
    ///
    /// # Context
    ///
    /// Sleeps if `flags` allows it. So do the methods that allocate pages, with the same flags.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `nr_pages` is so large that the size in bytes overflows.
    /// - [`ENOMEM`] if there is not enough memory for the array of pointers.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::FaultedPages, page::PAGE_SIZE};
    ///
    /// let pages = FaultedPages::new(2, GFP_KERNEL)?;
    /// assert_eq!((pages.nr_pages(), pages.nr_present()), (2, 0));
    /// assert!(FaultedPages::new(usize::MAX, GFP_KERNEL).is_err_and(|e| e == EINVAL));
    /// let too_much = FaultedPages::new(usize::MAX / PAGE_SIZE / 4, GFP_KERNEL);
    /// # #[cfg(CONFIG_64BIT)]
    /// assert!(too_much.is_err_and(|e| e == ENOMEM));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new(nr_pages: usize, flags: Flags) -> Result<Self> {
        Ok(Self {
            slots: Slots::new(nr_pages, flags)?,
            mappings: Unknown(()),
        })
    }
}

impl<M: UnmapFrom> FaultedPages<M> {
    /// Makes an array of `nr_pages` holes, whose pages can be [discarded](Self::discard).
    ///
    /// `mappings` is the result of [`AddressSpace::new`] or [`Revocation::new`]. The files that map
    /// the pages must have this address space: the driver returns it from
    /// [`MiscDevice::address_space`](crate::miscdevice::MiscDevice::address_space).
    ///
    /// # Context
    ///
    /// As [`new`](FaultedPages::new).
    ///
    /// # Errors
    ///
    /// As [`new`](FaultedPages::new), and those of `mappings`.
    ///
    /// # Examples
    ///
    /// See [`FaultedPages`].
    pub fn unmapped_from(
        mappings: impl PinInit<M, Error>,
        nr_pages: usize,
        flags: Flags,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            slots: Slots::new(nr_pages, flags)?,
            mappings <- mappings,
        })
    }

    /// Returns the address space, or the revocation, that the pages are unmapped from.
    #[inline]
    pub fn mappings(&self) -> &M {
        &self.mappings
    }

    /// Makes holes of pages: drops them, and unmaps them from all mappings.
    ///
    /// When this returns, no process has a page mapped that was in the range before, and later
    /// accesses find zeroes. A fault that runs at the same time maps no such page afterwards.
    /// Copy-on-write pages remain mapped, and pages that the kernel has pinned for I/O remain
    /// accessible to that I/O. So do pages that [`get`](Self::get) has returned, and a copy that
    /// has started may go to the old page.
    ///
    /// The part of the range that extends past the end is left out. Returns the number of pages
    /// that were dropped.
    ///
    /// # Context
    ///
    /// Sleeps. The caller may hold locks that a fault handler takes. Must not be called from
    /// [`mapped`](VmOperations::mapped), which the kernel may call with the i_mmap lock held.
    ///
    /// # Examples
    ///
    /// See [`FaultedPages`].
    pub fn discard(&self, range: Range<usize>) -> usize {
        // SAFETY: By the safety requirements of `Sealed`, the address space is valid, and it is not
        // null.
        unsafe { self.slots.discard(range, self.mappings.mapping()) }
    }

    /// Makes a hole of all the memory: see [`discard`](Self::discard).
    ///
    /// # Context
    ///
    /// As [`discard`](Self::discard).
    #[inline]
    pub fn discard_all(&self) -> usize {
        self.discard(0..self.nr_pages())
    }
}

impl<M: Mappings> FaultedPages<M> {
    /// Returns the number of pages, holes included.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        self.slots.nr_pages()
    }

    /// Returns the size in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.nr_pages() << PAGE_SHIFT
    }

    /// Returns whether the array has no pages, not even holes.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.nr_pages() == 0
    }

    /// Returns the number of pages that are allocated.
    ///
    /// For information: the number may have changed already, and it includes pages that other
    /// threads are allocating.
    #[inline]
    pub fn nr_present(&self) -> usize {
        self.slots.nr_present()
    }

    /// Sets the node of the pages that are allocated from now on.
    ///
    /// If it has no memory left, the kernel takes that of another node. With
    /// [`NumaNode::NO_NODE`], memory policies choose the node, which is the default.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the node is not online.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{alloc::NumaNode, mm::FaultedPages};
    ///
    /// let pages = FaultedPages::new(2, GFP_KERNEL)?;
    /// pages.set_node(NumaNode::new(0)?)?;
    /// assert_eq!(pages.get_or_make(0)?.nid(), 0);
    /// pages.set_node(NumaNode::NO_NODE)?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn set_node(&self, node: NumaNode) -> Result {
        self.slots.set_node(node)
    }

    /// Returns a reference to a page, or [`None`] if it is a hole or past the end.
    ///
    /// With an address space, the page may be [discarded](Self::discard) at any time: the reference
    /// keeps the memory, but not its place. A driver that maps such a page itself may map it after
    /// it was discarded; [`fault`](Self::fault) does not.
    ///
    /// # Context
    ///
    /// Does not sleep.
    #[inline]
    pub fn get(&self, index: usize) -> Option<ARef<Folio>> {
        if self.mappings.mapping().is_null() {
            // SAFETY: Without an address space, there is no `discard`, and pages leave the slots
            // only when `self` is dropped.
            return unsafe { self.slots.get_stable(index) }.map(Into::into);
        }
        self.slots.get(index)
    }

    /// Returns a reference to a page, which is allocated if it is a hole.
    ///
    /// The restriction of [`get`](Self::get) holds.
    ///
    /// # Context
    ///
    /// Sleeps if the flags allow it.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `index` is past the end.
    /// - [`ENOMEM`] if there is not enough memory.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::FaultedPages;
    ///
    /// let pages = FaultedPages::new(2, GFP_KERNEL)?;
    /// assert!(pages.get(1).is_none());
    /// let page = pages.get_or_make(1)?;
    /// assert!(pages.get(1).is_some_and(|other| core::ptr::eq(&*other, &*page)));
    /// assert!(pages.get_or_make(2).is_err_and(|e| e == EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn get_or_make(&self, index: usize) -> Result<ARef<Folio>> {
        self.slots.get_or_make(index)
    }

    /// Returns whether `folio` is the page with the given index.
    ///
    /// For [`page_mkwrite`](VmOperations::page_mkwrite), which may be called for a page that was
    /// discarded since the kernel has looked it up. For information: the page may be discarded as
    /// soon as this returns. The kernel then does not make it writable.
    ///
    /// # Context
    ///
    /// Does not sleep.
    #[inline]
    pub fn holds(&self, index: usize, folio: &Folio) -> bool {
        self.slots.holds(index, folio)
    }

    /// Answers a fault: maps the page at the page offset of the fault, before it returns.
    ///
    /// A hole becomes a page, whether the access is a read or a write. In a private mapping, a
    /// write faults twice: this maps the page read-only, and the kernel copies it then.
    ///
    /// If the page is [discarded](Self::discard) at the same time, the access may fault again.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`FaultError::SigBus`] if the page offset is past the end, the file of the VMA does not
    ///   have the address space of [`mappings`](Self::mappings), the page has [too many
    ///   references](Folio#references), or the mapping is private and the OOM killer is reaping the
    ///   mm.
    /// - [`FaultError::HwPoison`] if the memory of the page is broken.
    /// - [`FaultError::Oom`] if there is not enough memory for the page or for page tables.
    ///
    /// # Examples
    ///
    /// See [`FaultedPages`].
    #[inline]
    pub fn fault<'a, O>(&self, vmf: &'a Fault<O>) -> Result<FaultAnswer<'a>, FaultError>
    where
        O: VmOperations<Memory: Paged>,
    {
        // SAFETY: Pages leave the slots only in `discard`, which unmaps them from this address
        // space, at the page offsets that are the indices of the slots. If it is null, there is no
        // `discard`.
        Ok(unsafe { vmf.insert_slot(&self.slots, self.mappings.mapping()) }?.into())
    }

    /// Answers a read of a page that is not mapped, by mapping the pages around it that are
    /// allocated.
    ///
    /// Returns how many pages it has mapped. Holes remain holes. If the page that is read is one,
    /// the kernel calls [`fault`](VmOperations::fault).
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Examples
    ///
    /// See [`FaultedPages`].
    #[inline]
    pub fn map_pages<O>(&self, vmf: &FaultAround<O>) -> usize
    where
        O: VmOperations<Memory: Paged>,
    {
        // SAFETY: Pages leave the slots only in `discard`, which unmaps them from this address
        // space, at the page offsets that are the indices of the slots. If it is null, there is no
        // `discard`.
        unsafe { vmf.map_slots(&self.slots, self.mappings.mapping()) }
    }
}
