// SPDX-License-Identifier: GPL-2.0

//! Revocation: unmapping memory from all processes, and keeping it unmapped.

use crate::{
    bindings,
    mm::{
        file::MapFile,
        rmap::{
            self,
            AddressSpace, //
        }, //
    },
    prelude::*,
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};

mod claim;
mod device;
mod populated;
mod section;
#[cfg(CONFIG_HAS_IOMEM)]
#[cfg_attr(not(CONFIG_PCI), allow(dead_code))]
mod view;

pub(crate) use claim::Claim;
#[cfg(CONFIG_KUNIT = "y")]
pub(crate) use claim::Share;
#[cfg_attr(not(CONFIG_PCI), allow(unused_imports))]
pub(super) use device::DeviceRam;
pub use device::{
    RevocableMemory,
    RevocableSlice, //
};
pub(super) use populated::table as populated_table;
pub(super) use section::RevocationGuard;
#[cfg(CONFIG_HAS_IOMEM)]
#[cfg_attr(not(CONFIG_PCI), allow(unused_imports))]
pub(crate) use view::View;

/// A switch that revokes the memory of a device in all mappings.
///
/// For memory that is not always accessible: the device sleeps, is reset, or is gone. After
/// [`revoke`](Self::revoke) has returned, no process can access the memory: every access ends with
/// SIGBUS, and new mappings are refused, until [`restore`](Self::restore).
///
/// Unmapping alone does not do this, since a fault handler or an `mmap` that is running may be
/// about to map a page. The layer handles both, for files that have the revocation's
/// [address space](Self::address_space). It refuses mappings and faults while the memory is
/// revoked, waits for fault handlers that are running, and fails an `mmap` that is running. The
/// driver only declares the address space, with
/// [`MiscDevice::address_space`](crate::miscdevice::MiscDevice::address_space).
///
/// # Limits
///
/// - A mapping that is populated at mmap time, and whose `mmap` started before
///   [`revoke`](Revocation::revoke), is accessible to a thread that knows its address until that
///   `mmap` fails, which may be shortly after `revoke` has returned. Memory that is faulted in is
///   not affected.
/// - Pages that the kernel has pinned for I/O (`O_DIRECT`, io_uring) remain accessible to that I/O.
/// - A stacked file system may make a mapping that keeps another file than the driver's. A
///   revocation would not find it, so the layer refuses it, with [`ENODEV`].
/// - The deprecated [`MiscDevice::mmap`](crate::miscdevice::MiscDevice::mmap) is not covered: a
///   driver has to revoke by itself what it maps there.
/// - If the `.mmap` of a stacked driver has the layer populate a mapping, the kernel adds the
///   mapping to those of the file only after that `.mmap`. A revocation in between does not find
///   it. Memory that is faulted in is not affected.
/// - A PMD or PUD mapping of PFNs that the kernel copies or moves during the revocation may remain
///   mapped. Those of folios are not copied.
///
/// None of these limits applies to a [`RevocableMemory`], which is for memory that another driver
/// may get afterwards.
///
/// # Invariants
///
/// `sections` is initialised. The owner that `space` stores is this value.
///
/// # Examples
///
/// A device that takes its page away from user space, and gives it back:
///
/// ```
/// use kernel::{
///     fs::File,
///     miscdevice::{MiscDevice, MiscDeviceRegistration},
///     mm::{
///         desc::{Mapping, VmaDesc},
///         ops::{Fault, FaultAnswer, FaultError, Ordinary, PerFile, VmOperations},
///         revoke::Revocation,
///         rmap::AddressSpace,
///         testing::*,
///         Folio, //
///     },
///     page::PAGE_SIZE,
///     sync::{aref::ARef, Arc, ArcBorrow},
/// };
///
/// #[pin_data]
/// struct Buffer {
///     folio: ARef<Folio>,
///     #[pin]
///     revocation: Revocation,
/// }
///
/// #[vtable]
/// impl MiscDevice for Buffer {
///     type Ptr = Arc<Self>;
///
///     fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
///         Err(ENODEV)
///     }
///
///     fn address_space<'a>(buffer: ArcBorrow<'a, Self>, _file: &'a File) -> &'a AddressSpace {
///         buffer.into_ref().revocation.address_space()
///     }
///
///     fn mmap_prepare<'f>(
///         _buffer: ArcBorrow<'f, Self>,
///         desc: VmaDesc<'f, Self>,
///     ) -> Result<Mapping<'f, Self>> {
///         Ok(desc.with_ops::<BufferOps>()?.on_fault())
///     }
/// }
///
/// struct BufferOps;
///
/// #[vtable]
/// impl VmOperations for BufferOps {
///     type File = Buffer;
///     type Data = PerFile;
///     type Memory = Ordinary;
///
///     fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
///         if vmf.pgoff() != 0 {
///             return Err(FaultError::SigBus);
///         }
///         // No lock is needed: `revoke` waits until the kernel has mapped the page.
///         let buffer = vmf.data();
///         vmf.return_page(buffer.folio.clone(), 0)
///     }
/// }
/// kernel::vm_operations!(BufferOps);
///
/// let buffer = Arc::pin_init(
///     try_pin_init!(Buffer {
///         folio: Folio::alloc(0, GFP_KERNEL)?,
///         revocation <- Revocation::new::<Buffer>(),
///     }? Error),
///     GFP_KERNEL,
/// )?;
/// buffer.folio.write_at(0, b"data")?;
///
/// let mm = UserMm::attach()?;
/// let file = mm.open::<Buffer>(buffer.clone())?;
/// let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
/// assert_eq!(mm.read(addr)?, *b"data");
///
/// buffer.revocation.revoke();
/// assert_eq!(mm.read::<1>(addr), Err(EFAULT));
/// assert_eq!(file.mmap(PAGE_SIZE, READ, SHARED, 0), Err(ENODEV));
///
/// buffer.revocation.restore();
/// assert_eq!(mm.read(addr)?, *b"data");
/// mm.munmap(addr, PAGE_SIZE)?;
/// # Ok::<(), Error>(())
/// ```
#[pin_data]
pub struct Revocation {
    space: AddressSpace,
    /// The number of sections, and whether the memory is revoked.
    #[pin]
    sections: Opaque<bindings::rust_mm_revocation>,
}

// SAFETY: Any thread may use and drop an `AddressSpace` and a `rust_mm_revocation`.
unsafe impl Send for Revocation {}
// SAFETY: Any number of threads may use an `AddressSpace` and a `rust_mm_revocation` at the same
// time.
unsafe impl Sync for Revocation {}

impl Revocation {
    /// Makes a revocation, with an address space of its own, for files of the type `T`.
    ///
    /// `T` must return that address space from
    /// [`MiscDevice::address_space`](crate::miscdevice::MiscDevice::address_space), as with
    /// [`AddressSpace::new`]. The layer does not know which memory a file maps: if files of other
    /// types map the same memory, their `address_space` must return this address space as well, or
    /// a revocation does not find their mappings.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`ENOMEM`] if there is not enough memory.
    /// - [`ENFILE`] if there are too many open files.
    /// - The error of a security module: the kernel asks it whether the current task may have the
    ///   file behind the address space.
    ///
    /// # Examples
    ///
    /// See [`Revocation`].
    pub fn new<T: MapFile>() -> impl PinInit<Self, Error> {
        let init = |slot| {
            let space = AddressSpace::new::<T>()?;
            // SAFETY: `slot` is memory for a `Revocation`, which does not move.
            unsafe { Self::init(slot, space) };
            Ok(())
        };
        // SAFETY: `init` initialises all of the memory, or fails and leaves nothing there that has
        // to be dropped.
        unsafe { pin_init::pin_init_from_closure(init) }
    }

    /// Initialises the memory of a revocation.
    ///
    /// # Safety
    ///
    /// `slot` must point to memory for a `Revocation` that does not move.
    unsafe fn init(slot: *mut Self, space: AddressSpace) {
        // INVARIANT: The owner is this value, which does not move.
        space.set_owner(slot.cast());
        // INVARIANT: `init_sections` initialises `sections`.
        //
        // SAFETY: By the safety requirements of this function, `slot` is valid for writes and does
        // not move.
        unsafe {
            init_sections(Opaque::cast_into(&raw const (*slot).sections));
            (&raw mut (*slot).space).write(space);
        }
    }

    /// Returns the address space of the revocation.
    ///
    /// A driver returns it from
    /// [`MiscDevice::address_space`](crate::miscdevice::MiscDevice::address_space).
    #[inline]
    pub fn address_space(&self) -> &AddressSpace {
        &self.space
    }

    /// Revokes the memory.
    ///
    /// Also unmaps copy-on-write pages. If the memory is already revoked, it still waits for
    /// in-flight faults.
    ///
    /// # Context
    ///
    /// Sleeps until no fault handler of the device is running, and no
    /// [`access`](crate::mm::ops::VmOperations::access). Must not be called from either, or with a
    /// lock held that either takes.
    pub fn revoke(&self) {
        self.take_away(false);
    }

    /// Revokes the memory forever.
    ///
    /// [`restore`](Self::restore) has no effect after this. The memory of a device
    /// ([`RevocableMemory`]) is revoked like this when the driver is unbound.
    ///
    /// # Context
    ///
    /// As [`revoke`](Self::revoke).
    pub fn revoke_for_good(&self) {
        self.take_away(true);
    }

    fn take_away(&self, forever: bool) {
        // A fault handler either has entered its section before, and is waited for, or cannot
        // enter it.
        //
        // SAFETY:
        // - By the type invariants, `sections` is initialised.
        // - By the context of the callers, the current thread is in no section of it. If it is, it
        //   waits forever.
        unsafe { bindings::rust_mm_revocation_revoke(self.sections.get(), forever) };
        self.space.unmap_raw(0, usize::MAX, true);
    }

    /// Makes the memory accessible again, unless it was revoked forever.
    ///
    /// The layer then accepts new mappings, and handles faults in mappings that still exist. It
    /// does not map again what was mapped without a fault, by `mmap` or by the driver: without a
    /// fault handler, an access still ends with SIGBUS.
    ///
    /// If another thread is in [`revoke`](Self::revoke), it may return before all fault handlers
    /// have ended.
    ///
    /// # Context
    ///
    /// Does not sleep.
    pub fn restore(&self) {
        // SAFETY: By the type invariants, `sections` is initialised.
        unsafe { bindings::rust_mm_revocation_restore(self.sections.get()) };
    }

    /// Returns whether the memory is revoked forever.
    #[inline]
    fn is_gone(&self) -> bool {
        // SAFETY: By the type invariants, `sections` is initialised.
        unsafe { bindings::rust_mm_revocation_is_revoked(self.sections.get(), true) }
    }

    /// Returns whether the memory is revoked.
    ///
    /// For information: the state may have changed already.
    #[inline]
    pub fn is_revoked(&self) -> bool {
        // SAFETY: By the type invariants, `sections` is initialised.
        unsafe { bindings::rust_mm_revocation_is_revoked(self.sections.get(), false) }
    }

    /// Enters a section that [`revoke`](Self::revoke) waits for, or returns [`None`] if the memory
    /// is revoked.
    #[inline]
    fn enter(&self) -> Option<RevocationGuard<'_>> {
        // SAFETY: By the type invariants, `sections` is initialised. The section ends on this
        // thread: the guard is not `Send`. It is a value on the stack of this thread, which the
        // layer neither leaks nor gives to a driver.
        let entered = unsafe { bindings::rust_mm_revocation_enter(self.sections.get()) };
        // INVARIANT: This thread has just entered a section.
        entered.then(|| RevocationGuard {
            revocation: self,
            _not_send: NotThreadSafe,
        })
    }
}

/// Initialises the sections of a revocation.
///
/// Neither generic nor inlined: lockdep expects one name for one key, and a module that makes a
/// revocation would have its own copy of the name.
///
/// # Safety
///
/// `sections` must point to memory for a `rust_mm_revocation` that does not move.
#[inline(never)]
unsafe fn init_sections(sections: *mut bindings::rust_mm_revocation) {
    // SAFETY: By the safety requirements of this function, `sections` points to memory for a
    // `rust_mm_revocation`. The name and the key are static.
    unsafe {
        bindings::rust_mm_revocation_init(
            sections,
            c"rust_mm_revocation".as_char_ptr(),
            crate::static_lock_class!().as_ptr(),
        )
    };
}

/// Enters a section that the revocation of `mapping` waits for, if `mapping` has a revocation.
///
/// # Errors
///
/// [`ENODEV`] if the memory is revoked, or if `mapping` is not that of an [`AddressSpace`]: no
/// revocation finds mappings there.
///
/// # Safety
///
/// `mapping` must be the address space of a file that was opened, and is not released during `'a`.
#[inline]
pub(super) unsafe fn enter<'a>(
    mapping: *const bindings::address_space,
) -> Result<Option<RevocationGuard<'a>>> {
    // SAFETY: By the safety requirements of this function, `mapping` is valid.
    let owner = unsafe { rmap::owner(mapping) }.ok_or(ENODEV)?;
    // SAFETY: The owner is null or a `Revocation`. A file has this address space from the borrow
    // that `MiscDevice::address_space` returned, which lasts until the file is released; or it
    // keeps such a file, and uses the address space of that (Coda). By the safety requirements of
    // this function, the file is not released during `'a`.
    let revocation = unsafe { owner.cast::<Revocation>().as_ref() };
    match revocation {
        Some(revocation) => revocation.enter().map(Some).ok_or(ENODEV),
        None => Ok(None),
    }
}

/// Checks that the memory of a mapping is not revoked, and returns whether it can be revoked.
///
/// The memory may be revoked as soon as this returns. If the VMA is among the mappings of `mapping`
/// already, the revocation zaps it then: a revocation that this does not see takes the i_mmap lock
/// after the thread that has added the VMA, and sees the entries that were made for it.
///
/// # Errors
///
/// As [`enter`].
///
/// # Safety
///
/// As [`enter`].
pub(super) unsafe fn check(mapping: *const bindings::address_space) -> Result<bool> {
    // SAFETY: By the safety requirements of this function, `mapping` is valid.
    let owner = unsafe { rmap::owner(mapping) }.ok_or(ENODEV)?;
    // What the kernel has populated comes before the read of the state. This pairs with the barrier
    // in `rust_mm_revocation_revoke`: without them, a revocation could find no entry, and this
    // check no revocation. (7.2 has no `smp_mb(Full)`.)
    //
    // SAFETY: A barrier has no requirements.
    unsafe { bindings::smp_mb() };
    // SAFETY: As in `enter`, the owner is null or a `Revocation`. The file is not released during
    // the call.
    match unsafe { owner.cast::<Revocation>().as_ref() } {
        Some(revocation) if revocation.is_revoked() => Err(ENODEV),
        Some(_) => Ok(true),
        None => Ok(false),
    }
}
