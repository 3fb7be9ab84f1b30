// SPDX-License-Identifier: GPL-2.0

//! A file's mappings, seen from the file.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use crate::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    sync::atomic::{
        Atomic,
        Full,
        Relaxed, //
    },
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};
use core::{
    marker::PhantomData,
    pin::Pin,
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
/// `file` is an open file with an inode of its own, of which this value owns a reference.
pub struct AddressSpace {
    file: NonNull<bindings::file>,
}

// SAFETY: The file may be used, and closed, by any thread.
unsafe impl Send for AddressSpace {}
// SAFETY: As above; unmapping takes its own locks.
unsafe impl Sync for AddressSpace {}

/// The operations of the file: none. It is never given to user space.
struct NoOperations(bindings::file_operations);

// SAFETY: The table is never written, and has nothing in it.
unsafe impl Sync for NoOperations {}

static NO_OPERATIONS: NoOperations = NoOperations(pin_init::zeroed());

impl AddressSpace {
    /// Makes an address space without mappings.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`] or [`ENFILE`] if there cannot be another file; or what a security module says.
    pub fn new() -> Result<Self> {
        // SAFETY: The operations are static, the name is only read during the call.
        let file = from_err_ptr(unsafe {
            bindings::anon_inode_create_getfile(
                c"[rust_mm]".as_char_ptr(),
                &NO_OPERATIONS.0,
                core::ptr::null_mut(),
                bindings::O_RDWR as c_int,
                core::ptr::null(),
            )
        })?;
        // INVARIANT: We own the reference that was just made.
        Ok(Self {
            // SAFETY: A pointer that is no error is a file.
            file: unsafe { NonNull::new_unchecked(file) },
        })
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
    /// A fault that is on its way may put a page back in, with what the driver gave it before. So
    /// make sure first that it gives nothing any more, and that what it has given is mapped:
    /// insert pages in the fault handler, holding a lock (see [`Fault::insert_page`]), and hold that
    /// lock here. Or use a [`Revocation`].
    ///
    /// # Context
    ///
    /// Sleeps. May be called with locks held that a fault handler takes, and must not be called from
    /// [`mapped`](super::ops::VmOperations::mapped).
    ///
    /// [`Fault::insert_page`]: super::fault::Fault::insert_page
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
    /// use kernel::mm::rmap::AddressSpace;
    ///
    /// let space = AddressSpace::new()?;
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

    fn unmap_raw(&self, first: usize, nr_pages: usize, even_cows: bool) {
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

/// A switch that takes a device's memory away from everybody who has it mapped.
///
/// For memory that is not always there: the device sleeps, is reset, or is gone. After
/// [`revoke`](Self::revoke) has returned, no process can access the memory: every access ends with
/// SIGBUS, and new mappings are refused, until [`restore`](Self::restore).
///
/// That takes more than unmapping, since a fault or a mapping in the making may be just about to put
/// something in. Operations that name their revocation in
/// [`VmOperations::revocation`](super::ops::VmOperations::revocation) have all of it: faults are
/// refused and waited for, and mappings that were filled meanwhile fail.
///
/// # Limits
///
/// - A mapping that is filled when it is made, and whose `mmap` has begun before
///   [`revoke`](Revocation::revoke) did, can be accessed by a thread that knows its address until that
///   `mmap` fails, which can be shortly after `revoke` has returned. Memory that comes by faults cannot.
/// - Pages that the kernel has pinned for I/O (`O_DIRECT`, io_uring) stay accessible to that I/O.
/// - A file that is mapped through a stacked file system which keeps its own mappings is out of
///   reach. So is, for a moment, what a stacked driver's `.mmap` has us fill: its mapping can be found
///   only after all of that.
/// - A huge entry of page frames that the kernel copies or moves meanwhile can stay. Folios that are
///   mapped so are not copied.
///
/// Memory which somebody else may get afterwards comes as [`RevocableMemory`](super::RevocableMemory),
/// which none of this concerns.
///
/// # Invariants
///
/// `srcu` is initialised.
#[pin_data(PinnedDrop)]
pub struct Revocation {
    space: AddressSpace,
    /// [`THERE`], [`REVOKED`] or [`GONE`].
    state: Atomic<i32>,
    #[pin]
    srcu: Opaque<bindings::srcu_struct>,
}

/// The memory can be accessed.
const THERE: i32 = 0;
/// It is taken away until it is restored.
const REVOKED: i32 = 1;
/// It is taken away for good.
const GONE: i32 = 2;

// SAFETY: All of it may be used, and dropped, by any thread.
unsafe impl Send for Revocation {}
// SAFETY: As above.
unsafe impl Sync for Revocation {}

impl Revocation {
    /// Makes a switch, with an address space of its own.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`] or [`ENFILE`] if there is not enough of something; or what a security module says,
    /// which is asked whether the current task may have the file behind the address space.
    pub fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            space: AddressSpace::new()?,
            state: Atomic::new(THERE),
            // INVARIANT: Initialised here.
            srcu <- Opaque::try_ffi_init(|srcu| {
                // SAFETY: `srcu` is memory for a `srcu_struct`, which does not move.
                to_result(unsafe { bindings::init_srcu_struct(srcu) })
            }),
        }? Error)
    }

    /// Returns the address space, for
    /// [`MiscDevice::address_space`](crate::miscdevice::MiscDevice::address_space).
    #[inline]
    pub fn address_space(&self) -> &AddressSpace {
        &self.space
    }

    /// Takes the memory away.
    ///
    /// # Context
    ///
    /// Sleeps until no fault handler of the device runs. Must not be called from one, nor with a
    /// lock held that one takes.
    pub fn revoke(&self) {
        // What is taken away already is waited for all the same.
        let _ = self.state.cmpxchg(THERE, REVOKED, Full);
        self.take_away();
    }

    /// Takes memory away that is gone: it stays so, whatever is [restored](Self::restore).
    ///
    /// What a driver gets of a device ([`RevocableMemory`](super::RevocableMemory)) is taken away like
    /// this when the driver is unbound.
    ///
    /// # Context
    ///
    /// As [`revoke`](Self::revoke).
    pub fn revoke_for_good(&self) {
        self.state.xchg(GONE, Full);
        self.take_away();
    }

    fn take_away(&self) {
        // Full order, of the switch that was just set together with the grace period: a fault handler
        // either sees it, or is waited for.
        //
        // SAFETY: By the type invariants, it is initialised. We are not inside a section of it, the
        // context of the callers says.
        unsafe { bindings::synchronize_srcu(self.srcu.get()) };
        self.space.unmap_raw(0, usize::MAX, true);
    }

    /// Gives the memory back: mappings that still exist work again.
    pub fn restore(&self) {
        let _ = self.state.cmpxchg(REVOKED, THERE, Full);
    }

    /// Is the memory taken away for good?
    #[inline]
    pub(super) fn is_gone(&self) -> bool {
        self.state.load(Relaxed) == GONE
    }

    /// Is the memory taken away? For information: it may have changed already.
    #[inline]
    pub fn is_revoked(&self) -> bool {
        self.state.load(Relaxed) != THERE
    }

    /// Makes sure that, until the result is dropped, [`revoke`](Self::revoke) does not return. Fails
    /// if the memory is taken away.
    #[inline]
    pub(super) fn enter(&self) -> Option<RevocationGuard<'_>> {
        // SAFETY: By the type invariants, it is initialised.
        let index = unsafe { bindings::srcu_read_lock(self.srcu.get()) };
        let guard = RevocationGuard {
            revocation: self,
            index,
            _not_send: PhantomData,
        };
        // After the section has begun, which has full order: either this sees the switch, or the
        // switch waits for this.
        (!self.is_revoked()).then_some(guard)
    }
}

#[pinned_drop]
impl PinnedDrop for Revocation {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants, it is initialised; nobody can be inside a section, since
        // that borrows `self`.
        unsafe { bindings::cleanup_srcu_struct(self.srcu.get()) };
    }
}

/// A section that a revocation waits for.
///
/// # Invariants
///
/// `index` comes from `srcu_read_lock` on this thread.
pub(super) struct RevocationGuard<'a> {
    revocation: &'a Revocation,
    index: c_int,
    _not_send: PhantomData<NotThreadSafe>,
}

impl Drop for RevocationGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::srcu_read_unlock(self.revocation.srcu.get(), self.index) };
    }
}
