// SPDX-License-Identifier: GPL-2.0

//! A file's mappings, seen from the file.
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

/// The mappings of a device, whatever the file and the process through which they were made.
///
/// The kernel keeps the mappings of a file with its inode. A device can have several inodes, so what
/// it needs is one place for all: it owns an `AddressSpace`, and says so with
/// [`MiscDevice::address_space`](crate::miscdevice::MiscDevice::address_space).
///
/// # Invariants
///
/// `file` is an open file with an inode of its own, of which this value owns a reference. The address
/// space of the inode has `OPERATIONS`.
pub struct AddressSpace {
    file: NonNull<bindings::file>,
}

// SAFETY: The file may be used, and closed, by any thread.
unsafe impl Send for AddressSpace {}
// SAFETY: As above; unmapping takes its own locks.
unsafe impl Sync for AddressSpace {}

/// The operations of the file: none. It is never given to user space.
#[link_section = ".data..ro_after_init"]
static NO_OPERATIONS: StaticTable<bindings::file_operations> = StaticTable::new(pin_init::zeroed());

/// The operations of the address spaces of this type, which their address tells from all others.
#[link_section = ".data..ro_after_init"]
static OPERATIONS: StaticTable<bindings::address_space_operations> = StaticTable::new({
    let mut ops: bindings::address_space_operations = pin_init::zeroed();
    // As every inode without storage has it.
    ops.dirty_folio = Some(bindings::noop_dirty_folio);
    ops
});

impl AddressSpace {
    /// Makes an address space without mappings, for files of the type `T`.
    ///
    /// `T` must say that it is the address space of its files:
    /// [`MiscDevice::address_space`](crate::miscdevice::MiscDevice::address_space). A driver that does
    /// not does not build, since it would unmap nothing. If several types of files map the memory, each
    /// of them must say so.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`] or [`ENFILE`] if there cannot be another file; or what a security module says.
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
        // SAFETY: The operations are static, the name is only read during the call.
        let file = from_err_ptr(unsafe {
            bindings::anon_inode_create_getfile(
                c"[rust_mm]".as_char_ptr(),
                NO_OPERATIONS.as_ptr(),
                core::ptr::null_mut(),
                bindings::O_RDWR as c_int,
                core::ptr::null(),
            )
        })?;
        // INVARIANT: This owns the reference that was just made. The inode was made for the file.
        let space = Self {
            // SAFETY: A pointer that is no error is a file.
            file: unsafe { NonNull::new_unchecked(file) },
        };
        // SAFETY: Nobody else has the address space yet.
        unsafe { (*space.as_ptr()).a_ops = OPERATIONS.as_ptr() };
        Ok(space)
    }

    /// Remembers what the address space is a part of, for [`owner`].
    ///
    /// To be called before any file uses the address space.
    pub(super) fn set_owner(&self, owner: *mut c_void) {
        // SAFETY: By the type invariants, the inode is this value's own, and no file uses its address
        // space yet.
        unsafe { (*(*self.as_ptr()).host).i_private = owner };
    }

    /// Returns the C side's address space, which is valid for as long as `self` is.
    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut bindings::address_space {
        // SAFETY: By the type invariants, the file is open. The field does not change.
        unsafe { (*self.file.as_ptr()).f_mapping }
    }

    /// Takes `nr_pages` pages, from page offset `first` on, out of every mapping. The next access to
    /// them is a fault. Private copies that a process has made stay.
    ///
    /// A fault that is being handled can map a page again after this, and user space keeps that page.
    /// The driver prevents this by a lock that the fault handler holds while it looks a page up and
    /// maps it, by [`Fault::insert_page`], and that the caller holds here. [`Fault::return_page`] is no
    /// substitute: the kernel maps that page when the handler's locks are dropped. Or use a
    /// [`Revocation`].
    ///
    /// # Context
    ///
    /// Sleeps. May be called with locks held that a fault handler takes, and must not be called from
    /// [`mapped`](super::ops::VmOperations::mapped).
    ///
    /// [`Fault::insert_page`]: crate::mm::ops::Fault::insert_page
    /// [`Fault::return_page`]: crate::mm::ops::Fault::return_page
    /// [`Revocation`]: crate::mm::revoke::Revocation
    pub fn unmap(&self, first: usize, nr_pages: usize) {
        self.unmap_raw(first, nr_pages, false);
    }

    /// As [`unmap`](Self::unmap), in bytes: every page that has one of them (`unmap_mapping_range`).
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
        // Not C's function for bytes: it rounds the length as if the range began with a page.
        let first = start >> PAGE_SHIFT;
        let last = start.saturating_add(len - 1) >> PAGE_SHIFT;
        self.unmap_raw(first, last - first + 1, false);
    }

    /// Unmaps pages; with `even_cows`, also what processes have made copies of.
    pub(super) fn unmap_raw(&self, first: usize, nr_pages: usize, even_cows: bool) {
        if nr_pages == 0 {
            // To C, this is everything.
            return;
        }
        // SAFETY: By the type invariants, the address space is valid. Overflow is taken care of in
        // C: the range ends at the last page then.
        unsafe { bindings::unmap_mapping_pages(self.as_ptr(), first, nr_pages, even_cows) };
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, we own a reference, which is not used after this.
        unsafe { bindings::fput(self.file.as_ptr()) };
    }
}

/// Returns what an address space is a part of: null, or what [`AddressSpace::set_owner`] was called
/// with. [`None`] if it is not an [`AddressSpace`], so that what is mapped with it is out of reach.
///
/// # Safety
///
/// `mapping` must be valid.
#[inline]
pub(super) unsafe fn owner(mapping: *const bindings::address_space) -> Option<*mut c_void> {
    // SAFETY: The caller promises that it is valid. The field is written before a file uses the
    // address space.
    let ops = unsafe { (*mapping).a_ops };
    // SAFETY: It is that of an inode of this module's own, of which the field is written before a
    // file uses the address space.
    core::ptr::eq(ops, OPERATIONS.as_ptr()).then(|| unsafe { (*(*mapping).host).i_private })
}
