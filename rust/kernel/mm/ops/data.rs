// SPDX-License-Identifier: GPL-2.0

//! What `vm_private_data` holds.
//!
//! The field is one word, and the kernel copies it whenever it makes one VMA from another. So each
//! of its states has one meaning:
//!
//! | word                              | [`PerFile`]          | [`PerVma`], [`PerVmaUnique`]  |
//! |-----------------------------------|----------------------|-------------------------------|
//! | null                              | never                | could not be duplicated       |
//! | the device's pointer, bit 0 set   | `mapped` is to come  | `mapped` is to come           |
//! | a pointer                         | the device, borrowed | the data, owned by the VMA    |
//!
//! The device is borrowed for as long as the VMA exists, since the VMA keeps its file open. A word
//! with bit 0 set owns nothing, so a mapping that is merged or that fails has nothing to give back.

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

/// Marks a word whose VMA is not mapped yet.
const UNMAPPED: usize = 1;

/// Returns the word that the hook leaves behind.
pub(super) fn unmapped(device: *mut c_void) -> *mut c_void {
    device.map_addr(|addr| addr | UNMAPPED)
}

/// Returns the device's pointer in a word that the hook left behind.
pub(super) fn device(word: *mut c_void) -> *mut c_void {
    word.map_addr(|addr| addr & !UNMAPPED)
}

/// Is it the word of a VMA whose `mapped` has succeeded, and whose data is there?
#[inline]
pub(super) fn is_live(word: *mut c_void) -> bool {
    !word.is_null() && word.addr() & UNMAPPED == 0
}

/// What belongs to a VMA: [`PerFile`], [`PerVma`] or [`PerVmaUnique`].
pub trait VmaData: Sealed + Sized + Send + Sync + 'static {
    #[doc(hidden)]
    const PER_VMA: bool;

    /// Must there never be a second VMA made from one?
    #[doc(hidden)]
    const UNIQUE: bool = false;

    #[doc(hidden)]
    const ALIGN: usize;

    /// What the callbacks borrow.
    type Ref<'a, F: MapFile>;

    /// Borrows what a live word stands for.
    ///
    /// # Safety
    ///
    /// `word` must be live, of a VMA of this kind of data whose file is of type `F`, and the VMA
    /// must not be closed during `'a`.
    #[doc(hidden)]
    unsafe fn borrow<'a, F: MapFile>(word: *mut c_void) -> Self::Ref<'a, F>;

    /// Turns the data into a live word; `device` is the device's pointer.
    #[doc(hidden)]
    fn into_word(self, device: *mut c_void) -> *mut c_void;

    /// Returns the word for a VMA that is made from one with a live word: live, or null.
    ///
    /// # Safety
    ///
    /// `word` must be live, of a VMA of this kind of data, and stay so during the call.
    #[doc(hidden)]
    unsafe fn duplicate(word: *mut c_void) -> *mut c_void;

    /// Gives up a live word.
    ///
    /// # Safety
    ///
    /// `word` must be live, of a VMA of this kind of data, or just come from
    /// [`into_word`](Self::into_word), and not be used afterwards.
    #[doc(hidden)]
    unsafe fn release(word: *mut c_void);
}

/// Nothing belongs to the VMA: callbacks borrow the device.
#[derive(Clone, Copy, Debug, Default)]
pub struct PerFile;

impl Sealed for PerFile {}

impl VmaData for PerFile {
    const PER_VMA: bool = false;
    // Bit 0 is checked with the device's pointer.
    const ALIGN: usize = 2;
    type Ref<'a, F: MapFile> = <F::Ptr as ForeignOwnable>::Borrowed<'a>;

    #[inline]
    unsafe fn borrow<'a, F: MapFile>(word: *mut c_void) -> Self::Ref<'a, F> {
        // SAFETY: A live word is the device's pointer, from the file's `into_foreign`. The file goes
        // back to `from_foreign` only when it is released, and the VMA keeps it open.
        unsafe { <F::Ptr as ForeignOwnable>::borrow(word) }
    }

    fn into_word(self, device: *mut c_void) -> *mut c_void {
        device
    }

    unsafe fn duplicate(word: *mut c_void) -> *mut c_void {
        word
    }

    unsafe fn release(_word: *mut c_void) {}
}

/// Every VMA owns a `P`, which is made by [`mapped`](super::VmOperations::mapped), duplicated when a
/// VMA is made from another one, and dropped when it goes away.
///
/// Such a VMA is never merged and cannot be grown, since there would be one too few of the data.
///
/// The data may be used and dropped by any thread, in any process. It must not hold a reference to
/// an mm's users (`ARef<MmWithUser>`), or neither would ever go away.
#[derive(Clone, Copy, Debug, Default)]
pub struct PerVma<P>(pub P);

impl<P> Sealed for PerVma<P> {}

impl<P: DupForeign + Send + Sync + 'static> VmaData for PerVma<P> {
    const PER_VMA: bool = true;
    const ALIGN: usize = P::FOREIGN_ALIGN;
    type Ref<'a, F: MapFile> = P::Borrowed<'a>;

    #[inline]
    unsafe fn borrow<'a, F: MapFile>(word: *mut c_void) -> Self::Ref<'a, F> {
        // SAFETY: A live word comes from `into_foreign` in `into_word`, and goes back to
        // `from_foreign` in `release`, when the VMA is closed.
        unsafe { P::borrow(word) }
    }

    fn into_word(self, _device: *mut c_void) -> *mut c_void {
        self.0.into_foreign()
    }

    unsafe fn duplicate(word: *mut c_void) -> *mut c_void {
        // SAFETY: The word is live, hence from `into_foreign`, and is not given up meanwhile.
        P::dup_foreign(unsafe { P::borrow(word) }).into_foreign()
    }

    unsafe fn release(word: *mut c_void) {
        // SAFETY: The word is live, hence from `into_foreign`, and this is the only time that it
        // goes back: each VMA has a word of its own.
        drop(unsafe { P::from_foreign(word) });
    }
}

/// Every VMA owns a `P`, as with [`PerVma`], which there is only one of: it cannot be duplicated.
///
/// So such a VMA stays what it is until it goes away. A forked child does not get it, and whatever
/// would split or move it fails with [`EINVAL`](crate::error::code::EINVAL): `munmap`, `mprotect` and
/// the like on a part of it, `mremap` to another address. For data that knows its mapping, like the
/// bookkeeping of what the device was told about it, in a [`KBox`](crate::alloc::KBox).
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
        // SAFETY: A live word comes from `into_foreign` in `into_word`, and goes back to
        // `from_foreign` in `release`, when the VMA is closed.
        unsafe { P::borrow(word) }
    }

    fn into_word(self, _device: *mut c_void) -> *mut c_void {
        self.0.into_foreign()
    }

    unsafe fn duplicate(_word: *mut c_void) -> *mut c_void {
        // A VMA that is about to be moved: `mremap` is refused next, and this one goes away again.
        // No other is made from ours: they are neither inherited nor split.
        core::ptr::null_mut()
    }

    unsafe fn release(word: *mut c_void) {
        // SAFETY: The word is live, hence from `into_foreign`, and this is the only time that it
        // goes back: no other VMA has it.
        drop(unsafe { P::from_foreign(word) });
    }
}

/// A pointer that can be duplicated, from a borrow, without ever failing.
///
/// The kernel cannot be told that a VMA could not be duplicated.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be duplicated without failing",
    note = "the data of a VMA is duplicated where nothing can fail: use `Arc<T>`, or `PerVmaUnique`"
)]
pub trait DupForeign: ForeignOwnable {
    /// Makes another one.
    fn dup_foreign(borrowed: Self::Borrowed<'_>) -> Self;
}

impl<T: 'static> DupForeign for Arc<T> {
    #[inline]
    fn dup_foreign(borrowed: ArcBorrow<'_, T>) -> Self {
        borrowed.into()
    }
}
