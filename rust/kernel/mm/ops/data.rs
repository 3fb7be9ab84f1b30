// SPDX-License-Identifier: GPL-2.0

//! The contents of `vm_private_data`.
//!
//! The kernel copies this field whenever it makes one VMA from another, so each of its states has
//! one meaning:
//!
//! | `vm_private_data`               | [`PerFile`]          | [`PerVma`]      | [`PerVmaUnique`]  |
//! |---------------------------------|----------------------|-----------------|-------------------|
//! | NULL                            | closed               | closed          | closed, or a copy |
//! | the device's pointer, bit 0 set | not mapped           | not mapped      | not mapped        |
//! | another pointer (*live*)        | the device, borrowed | the data, owned | the data, owned   |
//!
//! A mapping that is made with [`map_pieces`] has a list of pieces in place of the device, and
//! otherwise the states of a `PerFile` one.
//!
//! "Not mapped" means that `mapped` has not succeeded, or not yet. The VMA owns nothing then, so
//! there is nothing to release if a mapping is merged or fails. The VMA keeps its file open, so the
//! device can be borrowed while the VMA exists.
//!
//! [`map_pieces`]: crate::mm::desc::VmaDesc::map_pieces

use super::sealed::Sealed;
use crate::{
    mm::file::MapFile,
    sync::{
        Arc,
        ArcBorrow, //
    },
    types::ForeignOwnable, //
};
use core::ffi::c_void;

/// Set in `vm_private_data` until `mapped` has succeeded.
const UNMAPPED: usize = 1;

/// Returns the `vm_private_data` of a mapping whose `mapped` has not been called.
#[inline]
pub(super) fn unmapped(device: *mut c_void) -> *mut c_void {
    device.map_addr(|addr| addr | UNMAPPED)
}

/// Returns the device's pointer from a `vm_private_data` that [`unmapped`] has returned.
#[inline]
pub(super) fn device(word: *mut c_void) -> *mut c_void {
    word.map_addr(|addr| addr & !UNMAPPED)
}

/// Returns whether `word` is the `vm_private_data` of a VMA whose `mapped` has succeeded and that
/// has its data.
#[inline]
pub(super) fn is_live(word: *mut c_void) -> bool {
    !word.is_null() && word.addr() & UNMAPPED == 0
}

/// The data that belongs to a VMA: [`PerFile`], [`PerVma`] or [`PerVmaUnique`].
pub trait VmaData: Sealed + Sized + Send + Sync + 'static {
    #[doc(hidden)]
    const PER_VMA: bool;

    /// Whether the kernel must never make a second VMA from one with such data.
    #[doc(hidden)]
    const UNIQUE: bool = false;

    #[doc(hidden)]
    const ALIGN: usize;

    /// What the callbacks borrow.
    type Ref<'a, F: MapFile>;

    /// Borrows what a live `vm_private_data` stands for.
    ///
    /// # Safety
    ///
    /// `word` must be live, and come from a VMA with this kind of data, whose file has the type
    /// `F`. The VMA must not be closed during `'a`.
    #[doc(hidden)]
    unsafe fn borrow<'a, F: MapFile>(word: *mut c_void) -> Self::Ref<'a, F>;

    /// Turns the data into a live `vm_private_data`, given the device's pointer.
    #[doc(hidden)]
    fn into_word(self, device: *mut c_void) -> *mut c_void;

    /// Returns the `vm_private_data`, live or NULL, for a VMA that the kernel makes from another
    /// one.
    ///
    /// # Safety
    ///
    /// `word` must come from the other VMA, which has this kind of data, and must be live during
    /// the call.
    #[doc(hidden)]
    unsafe fn duplicate(word: *mut c_void) -> *mut c_void;

    /// Releases a live `vm_private_data`.
    ///
    /// # Safety
    ///
    /// `word` must be live, and come from a VMA with this kind of data or from
    /// [`into_word`](Self::into_word). It must not be used afterwards.
    #[doc(hidden)]
    unsafe fn release(word: *mut c_void);
}

/// A VMA has no data of its own: the callbacks borrow the device.
#[derive(Clone, Copy, Debug, Default)]
pub struct PerFile;

impl Sealed for PerFile {}

impl VmaData for PerFile {
    const PER_VMA: bool = false;
    // `VmOpsTable::new` checks bit 0 of the device's pointer.
    const ALIGN: usize = 2;
    type Ref<'a, F: MapFile> = <F::Ptr as ForeignOwnable>::Borrowed<'a>;

    #[inline]
    unsafe fn borrow<'a, F: MapFile>(word: *mut c_void) -> Self::Ref<'a, F> {
        // SAFETY:
        // - By the safety requirements of this function, `word` is live, so it is the device's
        //   pointer, which `into_foreign` has returned when the file was opened.
        // - `from_foreign` is called when the file is released. The VMA, which is not closed during
        //   `'a`, keeps it open.
        unsafe { <F::Ptr as ForeignOwnable>::borrow(word) }
    }

    #[inline]
    fn into_word(self, device: *mut c_void) -> *mut c_void {
        device
    }

    #[inline]
    unsafe fn duplicate(word: *mut c_void) -> *mut c_void {
        word
    }

    #[inline]
    unsafe fn release(_word: *mut c_void) {}
}

/// Each VMA owns a `P`.
///
/// [`mapped`](super::VmOperations::mapped) makes it, the layer duplicates it when the kernel makes
/// one VMA from another, and drops it when the VMA is closed.
///
/// Such a VMA has `VM_DONTEXPAND`: the kernel neither merges nor grows it. A merged VMA could hold
/// the data of only one of the two.
///
/// Any thread, of any process, may use and drop the data. It must not hold an `ARef<MmWithUser>`,
/// which would keep the mm and its VMAs, while the VMA would keep the data: neither would be freed.
#[derive(Clone, Copy, Debug, Default)]
pub struct PerVma<P>(pub P);

impl<P> Sealed for PerVma<P> {}

impl<P: DupForeign + Send + Sync + 'static> VmaData for PerVma<P> {
    const PER_VMA: bool = true;
    const ALIGN: usize = P::FOREIGN_ALIGN;
    type Ref<'a, F: MapFile> = P::Borrowed<'a>;

    #[inline]
    unsafe fn borrow<'a, F: MapFile>(word: *mut c_void) -> Self::Ref<'a, F> {
        // SAFETY: By the safety requirements of this function, `word` is live, so `into_foreign` in
        // `into_word` has returned it. `from_foreign` in `release` takes it when the VMA is closed,
        // which is not during `'a`.
        unsafe { P::borrow(word) }
    }

    #[inline]
    fn into_word(self, _device: *mut c_void) -> *mut c_void {
        self.0.into_foreign()
    }

    #[inline]
    unsafe fn duplicate(word: *mut c_void) -> *mut c_void {
        // SAFETY: By the safety requirements of this function, `word` is live during the call:
        // `into_foreign` has returned it, and `release` has not taken it.
        P::dup_foreign(unsafe { P::borrow(word) }).into_foreign()
    }

    #[inline]
    unsafe fn release(word: *mut c_void) {
        // SAFETY: By the safety requirements of this function, `word` is live or comes from
        // `into_word`, so `into_foreign` has returned it, and it is not used afterwards. No other
        // VMA has it: a copy gets its own from `duplicate`.
        drop(unsafe { P::from_foreign(word) });
    }
}

/// Each VMA owns a `P` that cannot be duplicated.
///
/// [`mapped`](super::VmOperations::mapped) makes it, and the layer drops it when the VMA is closed.
/// The kernel never makes a second VMA from such a VMA: a child does not inherit it on `fork`, and
/// what would split or move it fails with [`EINVAL`](crate::error::code::EINVAL), such as `munmap`
/// or `mprotect` of a part, or `mremap` to another address.
///
/// This is for data about one mapping in a [`KBox`](crate::alloc::KBox), for example what the
/// driver has told the device about it.
///
/// # Examples
///
/// ```
/// use kernel::mm::{
///     desc::{Mapping, VmaDesc},
///     ops::{DeviceRef, MappedArea, Ordinary, PerVmaUnique, VmOperations},
///     testing::*, //
/// };
/// use kernel::{
///     fs::File,
///     miscdevice::{MiscDevice, MiscDeviceRegistration},
///     page::PAGE_SIZE, //
/// };
///
/// struct Device(u32);
///
/// #[vtable]
/// impl MiscDevice for Device {
///     type Ptr = KBox<Self>;
///
///     fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
///         Err(ENODEV)
///     }
///
///     fn mmap_prepare<'f>(_: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
///         Ok(desc.with_ops::<Ops>()?.map_nothing())
///     }
/// }
///
/// struct Ops;
///
/// #[vtable]
/// impl VmOperations for Ops {
///     type File = Device;
///     type Data = PerVmaUnique<KBox<MappedArea>>;
///     type Memory = Ordinary;
///
///     fn mapped(_: DeviceRef<'_, Self>, area: &MappedArea) -> Result<Self::Data> {
///         Ok(PerVmaUnique(KBox::new(area.clone(), GFP_KERNEL)?))
///     }
/// }
/// kernel::vm_operations!(Ops);
///
/// let mm = UserMm::attach()?;
/// let file = mm.open::<Device>(KBox::new(Device(1), GFP_KERNEL)?)?;
/// let addr = file.mmap(2 * PAGE_SIZE, READ, SHARED, 0)?;
/// assert_eq!(mm.munmap(addr, PAGE_SIZE), Err(EINVAL));
/// {
///     let vma = mm.current().lock_driver_vma::<Ops>(addr).ok_or(ESRCH)?;
///     assert_eq!(vma.data().range, addr..addr + 2 * PAGE_SIZE);
/// }
/// mm.munmap(addr, 2 * PAGE_SIZE)?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Default)]
pub struct PerVmaUnique<P>(pub P);

impl<P> Sealed for PerVmaUnique<P> {}

impl<P: ForeignOwnable + Send + Sync + 'static> VmaData for PerVmaUnique<P> {
    const PER_VMA: bool = true;
    const UNIQUE: bool = true;
    const ALIGN: usize = P::FOREIGN_ALIGN;
    type Ref<'a, F: MapFile> = P::Borrowed<'a>;

    #[inline]
    unsafe fn borrow<'a, F: MapFile>(word: *mut c_void) -> Self::Ref<'a, F> {
        // SAFETY: By the safety requirements of this function, `word` is live, so `into_foreign` in
        // `into_word` has returned it. `from_foreign` in `release` takes it when the VMA is closed,
        // which is not during `'a`.
        unsafe { P::borrow(word) }
    }

    #[inline]
    fn into_word(self, _device: *mut c_void) -> *mut c_void {
        self.0.into_foreign()
    }

    #[inline]
    unsafe fn duplicate(_word: *mut c_void) -> *mut c_void {
        // `mremap(2)` is about to move the VMA. It calls the `mremap` callback next, which fails,
        // and then removes this copy. The kernel makes no other copies: `DONTCOPY` is set, and
        // `may_split` fails.
        core::ptr::null_mut()
    }

    #[inline]
    unsafe fn release(word: *mut c_void) {
        // SAFETY: By the safety requirements of this function, `word` is live or comes from
        // `into_word`, so `into_foreign` has returned it, and it is not used afterwards. No other
        // VMA has it: `duplicate` returns NULL.
        drop(unsafe { P::from_foreign(word) });
    }
}

/// A pointer that can be duplicated from a borrow, without failing.
///
/// The layer duplicates the data of a VMA in `vm_operations_struct::open`, which cannot return an
/// error.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be duplicated without failing",
    note = "the data of a VMA is duplicated where nothing can fail: use `Arc<T>`, or `PerVmaUnique`"
)]
pub trait DupForeign: ForeignOwnable {
    /// Returns a duplicate of the pointer that `borrowed` was borrowed from.
    fn dup_foreign(borrowed: Self::Borrowed<'_>) -> Self;
}

impl<T: 'static> DupForeign for Arc<T> {
    #[inline]
    fn dup_foreign(borrowed: ArcBorrow<'_, T>) -> Self {
        borrowed.into()
    }
}
