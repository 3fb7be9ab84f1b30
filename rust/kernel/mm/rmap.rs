// SPDX-License-Identifier: GPL-2.0

//! The mappings of a file, found from the file.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use crate::{
    bindings,
    error::from_err_ptr,
    mm::{
        file::MapFile,
        static_table::StaticTable, //
    },
    page::PAGE_SHIFT,
    prelude::*, //
};
use core::{
    ffi::c_void,
    ptr::NonNull, //
};

mod i_mmap;

pub use i_mmap::{
    FileMappings,
    IMmapReadGuard,
    IMmapWriteGuard,
    RmapIter,
    RmapVma, //
};

/// The set of all mappings of a device, in any process, and made through any of its files.
///
/// The kernel keeps the mappings of a file in the `address_space` of its inode. A device can have
/// several inodes. So it owns an `AddressSpace` for all of its files, and names it in
/// [`MiscDevice::address_space`](crate::miscdevice::MiscDevice::address_space).
///
/// # Invariants
///
/// - `file` is an open file that has an inode of its own, and this value owns a reference to it.
/// - The `address_space` of the inode has `OPERATIONS`.
pub struct AddressSpace {
    file: NonNull<bindings::file>,
}

// SAFETY: Any thread may use and close the file.
unsafe impl Send for AddressSpace {}
// SAFETY: All methods take the locks of the `address_space`, or only read fields that do not change
// once a file uses it.
unsafe impl Sync for AddressSpace {}

/// The operations of the file: none, since user space never gets it.
#[link_section = ".data..ro_after_init"]
static NO_OPERATIONS: StaticTable<bindings::file_operations> = StaticTable::new(pin_init::zeroed());

/// The operations of every [`AddressSpace`], which are identified by their address.
#[link_section = ".data..ro_after_init"]
static OPERATIONS: StaticTable<bindings::address_space_operations> = StaticTable::new({
    let mut ops: bindings::address_space_operations = pin_init::zeroed();
    // As for any inode without storage.
    ops.dirty_folio = Some(bindings::noop_dirty_folio);
    ops
});

impl AddressSpace {
    /// Makes an address space without mappings, for files of the type `T`.
    ///
    /// `T` must implement
    /// [`MiscDevice::address_space`](crate::miscdevice::MiscDevice::address_space), and return this
    /// address space from it. A driver whose `T` does not implement it fails to build, since its
    /// [`unmap`](Self::unmap) would find no mapping. If files of several types map the memory, each
    /// of the types must return it.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`ENOMEM`] or [`ENFILE`] if the kernel cannot make another file.
    /// - The error of a security module that denies the file.
    ///
    /// # Examples
    ///
    /// See [`unmap`](Self::unmap).
    pub fn new<T: MapFile>() -> Result<Self> {
        const {
            assert!(
                T::HAS_ADDRESS_SPACE,
                "the files of this type do not use the address space: implement `address_space`"
            )
        };
        Self::make()
    }

    fn make() -> Result<Self> {
        // SAFETY: The operations are static, and the name is only read during the call.
        let file = from_err_ptr(unsafe {
            bindings::anon_inode_create_getfile(
                c"[rust_mm]".as_char_ptr(),
                NO_OPERATIONS.as_ptr(),
                core::ptr::null_mut(),
                bindings::O_RDWR as c_int,
                core::ptr::null(),
            )
        })?;
        // INVARIANT: `space` owns the reference that was just made, to a file for which the kernel
        // has made an inode. It gets `OPERATIONS` below.
        let space = Self {
            // SAFETY: `anon_inode_create_getfile` returns a file or an error pointer, not null.
            file: unsafe { NonNull::new_unchecked(file) },
        };
        // SAFETY: By the type invariants, the address space is valid. No other code uses it yet.
        unsafe { (*space.as_ptr()).a_ops = OPERATIONS.as_ptr() };
        Ok(space)
    }

    /// Stores a pointer to the value that the address space is a part of, for [`owner`].
    ///
    /// Must be called before a file uses the address space.
    pub(super) fn set_owner(&self, owner: *mut c_void) {
        // SAFETY: By the type invariants, the inode belongs to this value alone. No file uses its
        // address space yet, so no thread reads the field.
        unsafe { (*(*self.as_ptr()).host).i_private = owner };
    }

    /// Returns the `address_space`, which is valid for as long as `self` is.
    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut bindings::address_space {
        // SAFETY: By the type invariants, the file is open. Its `f_mapping` does not change.
        unsafe { (*self.file.as_ptr()).f_mapping }
    }

    /// Unmaps `nr_pages` pages, starting at page offset `first`, from every mapping.
    ///
    /// The next access to them is a fault. Copy-on-write pages remain mapped.
    ///
    /// A fault handler that is running can map a page again after this, and user space keeps that
    /// page. The driver prevents this with a lock: the fault handler holds it while it looks up a
    /// page and maps it with [`Fault::insert_page`], and the caller of `unmap` holds it as well.
    /// [`Fault::return_page`] is no substitute, since that page is mapped after the handler has
    /// dropped its locks. A [`Revocation`] needs no such lock.
    ///
    /// # Context
    ///
    /// Sleeps. The caller may hold locks that a fault handler takes. Must not be called from
    /// [`mapped`](super::ops::VmOperations::mapped), which the kernel may call with the i_mmap lock
    /// held.
    ///
    /// # Examples
    ///
    /// A device whose one page can be replaced while user space has it mapped:
    ///
    /// ```
    /// use kernel::{
    ///     fs::File,
    ///     miscdevice::{MiscDevice, MiscDeviceRegistration},
    ///     mm::{
    ///         desc::{Mapping, VmaDesc},
    ///         ops::{Fault, FaultAnswer, FaultError, Ordinary, PerFile, VmOperations},
    ///         rmap::AddressSpace,
    ///         testing::*,
    ///         Folio, //
    ///     },
    ///     new_mutex,
    ///     page::PAGE_SIZE,
    ///     sync::{aref::ARef, Arc, ArcBorrow, Mutex},
    /// };
    ///
    /// #[pin_data]
    /// struct Slot {
    ///     space: AddressSpace,
    ///     #[pin]
    ///     folio: Mutex<ARef<Folio>>,
    /// }
    ///
    /// impl Slot {
    ///     /// Replaces the page: user space sees the new one from then on.
    ///     fn replace(&self, new: ARef<Folio>) {
    ///         // The fault handler maps the page under the same lock.
    ///         let mut folio = self.folio.lock();
    ///         *folio = new;
    ///         self.space.unmap(0, 1);
    ///     }
    /// }
    ///
    /// #[vtable]
    /// impl MiscDevice for Slot {
    ///     type Ptr = Arc<Self>;
    ///
    ///     fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
    ///         Err(ENODEV)
    ///     }
    ///
    ///     fn address_space<'a>(slot: ArcBorrow<'a, Self>, _file: &'a File) -> &'a AddressSpace {
    ///         &slot.into_ref().space
    ///     }
    ///
    ///     fn mmap_prepare<'f>(
    ///         _slot: ArcBorrow<'f, Self>,
    ///         mut desc: VmaDesc<'f, Self>,
    ///     ) -> Result<Mapping<'f, Self>> {
    ///         // A copy-on-write page would remain mapped.
    ///         desc.deny_cow()?;
    ///         Ok(desc.with_ops::<SlotOps>()?.on_fault())
    ///     }
    /// }
    ///
    /// struct SlotOps;
    ///
    /// #[vtable]
    /// impl VmOperations for SlotOps {
    ///     type File = Slot;
    ///     type Data = PerFile;
    ///     type Memory = Ordinary;
    ///
    ///     fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
    ///         if vmf.pgoff() != 0 {
    ///             return Err(FaultError::SigBus);
    ///         }
    ///         let slot = vmf.data();
    ///         let folio = slot.folio.lock();
    ///         Ok(vmf.insert_page(&folio, 0)?.into())
    ///     }
    /// }
    /// kernel::vm_operations!(SlotOps);
    ///
    /// let slot = Arc::pin_init(
    ///     try_pin_init!(Slot {
    ///         space: AddressSpace::new::<Slot>()?,
    ///         folio <- new_mutex!(Folio::alloc(0, GFP_KERNEL)?),
    ///     }? Error),
    ///     GFP_KERNEL,
    /// )?;
    /// let mm = UserMm::attach()?;
    /// let file = mm.open::<Slot>(slot.clone())?;
    /// let addr = file.mmap(PAGE_SIZE, READ | WRITE, SHARED, 0)?;
    /// mm.write(addr, b"old")?;
    ///
    /// let new = Folio::alloc(0, GFP_KERNEL)?;
    /// new.write_at(0, b"new")?;
    /// slot.replace(new);
    /// assert_eq!(mm.read(addr)?, *b"new");
    /// mm.munmap(addr, PAGE_SIZE)?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// [`Fault::insert_page`]: crate::mm::ops::Fault::insert_page
    /// [`Fault::return_page`]: crate::mm::ops::Fault::return_page
    /// [`Revocation`]: crate::mm::revoke::Revocation
    pub fn unmap(&self, first: usize, nr_pages: usize) {
        self.unmap_raw(first, nr_pages, false);
    }

    /// Unmaps every page that contains one of `len` bytes, starting at byte `start`, from every
    /// mapping.
    ///
    /// Otherwise the same as [`unmap`](Self::unmap). In C, this is `unmap_mapping_range()`.
    ///
    /// # Context
    ///
    /// As [`unmap`](Self::unmap).
    ///
    /// # Examples
    ///
    /// ```
    /// let space = kernel::mm::testing::address_space()?;
    /// // The last byte of the first page, and the first one of the second.
    /// space.unmap_range(kernel::page::PAGE_SIZE - 1, 2);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn unmap_range(&self, start: usize, len: usize) {
        if len == 0 {
            return;
        }
        // Not `unmap_mapping_range()`: it rounds the length as if `start` were page-aligned.
        let first = start >> PAGE_SHIFT;
        let last = start.saturating_add(len - 1) >> PAGE_SHIFT;
        self.unmap_raw(first, last - first + 1, false);
    }

    /// Unmaps pages from every mapping; with `even_cows`, copy-on-write pages too.
    pub(super) fn unmap_raw(&self, first: usize, nr_pages: usize, even_cows: bool) {
        if nr_pages == 0 {
            // `unmap_mapping_pages` takes 0 for all pages.
            return;
        }
        // SAFETY: By the type invariants, the address space is valid. The function handles
        // overflow: the range then ends at the last page.
        unsafe { bindings::unmap_mapping_pages(self.as_ptr(), first, nr_pages, even_cows) };
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, this value owns a reference to the file, which is not
        // used after this.
        unsafe { bindings::fput(self.file.as_ptr()) };
    }
}

/// Returns the pointer that [`AddressSpace::set_owner`] has stored, or null if there is none.
///
/// Returns [`None`] if `mapping` is not that of an [`AddressSpace`]: the layer cannot find mappings
/// there.
///
/// # Safety
///
/// `mapping` must be the `address_space` of an open file.
#[inline]
pub(super) unsafe fn owner(mapping: *const bindings::address_space) -> Option<*mut c_void> {
    // SAFETY: By the safety requirements of this function, `mapping` is valid. The field is written
    // before a file uses the address space.
    let ops = unsafe { (*mapping).a_ops };
    // SAFETY: `mapping` belongs to an inode that `AddressSpace::make` has made. The field is
    // written before a file uses the address space.
    core::ptr::eq(ops, OPERATIONS.as_ptr()).then(|| unsafe { (*(*mapping).host).i_private })
}
