// SPDX-License-Identifier: GPL-2.0

//! Taking memory away from everybody who has it mapped.

use crate::{
    bindings,
    error::to_result,
    mm::{
        file::MapFile,
        rmap::{
            self,
            AddressSpace, //
        }, //
    },
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
use core::pin::Pin;

mod device;
mod populated;
mod section;

pub use device::{
    RevocableMemory,
    RevocableSlice, //
};
pub(super) use populated::table as populated_table;
pub(super) use section::RevocationGuard;

/// A switch that takes a device's memory away from everybody who has it mapped.
///
/// For memory that is not always there: the device sleeps, is reset, or is gone. After
/// [`revoke`](Self::revoke) has returned, no process can access the memory: every access ends with
/// SIGBUS, and new mappings are refused, until [`restore`](Self::restore).
///
/// That takes more than unmapping, since a fault or a mapping in the making may be just about to put
/// something in. The layer does all of it for files that have the revocation's
/// [address space](Self::address_space), which is the one thing that a driver declares
/// ([`MiscDevice::address_space`](crate::miscdevice::MiscDevice::address_space)): mappings and faults
/// are refused, and those that have begun are waited for.
///
/// # Limits
///
/// - A mapping that is filled when it is made, and whose `mmap` has begun before
///   [`revoke`](Revocation::revoke) did, can be accessed by a thread that knows its address until that
///   `mmap` fails, which can be shortly after `revoke` has returned. Memory that comes by faults cannot.
/// - Pages that the kernel has pinned for I/O (`O_DIRECT`, io_uring) stay accessible to that I/O.
/// - A mapping that keeps another file than the driver's, as a stacked file system may make it, would be
///   out of reach: it is refused, with [`ENODEV`].
/// - The deprecated [`MiscDevice::mmap`](crate::miscdevice::MiscDevice::mmap) is not concerned: what a
///   driver maps there is its own to revoke.
/// - Where a stacked driver's `.mmap` has the layer populate a mapping, the kernel keeps it with the file
///   only after that `.mmap`. A revocation in between does not find it. Memory that comes by faults is not
///   concerned.
/// - A huge entry of page frames that the kernel copies or moves meanwhile can stay. Folios that are
///   mapped so are not copied.
///
/// Memory which somebody else may get afterwards comes as [`RevocableMemory`],
/// which none of this concerns.
///
/// # Invariants
///
/// `srcu` is initialised. The owner of `space` is this value.
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
    /// Makes a switch, with an address space of its own, for files of the type `T`.
    ///
    /// `T` must say that it is the address space of its files, as with [`AddressSpace::new`]. The layer
    /// does not know which memory a file maps: if files of other types map the same memory, their
    /// [`address_space`](crate::miscdevice::MiscDevice::address_space) has to return this one as well, or
    /// a revocation does not find their mappings.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`] or [`ENFILE`] if there is not enough of something; or what a security module says,
    /// which is asked whether the current task may have the file behind the address space.
    pub fn new<T: MapFile>() -> impl PinInit<Self, Error> {
        try_pin_init!(&this in Self {
            space: {
                let space = AddressSpace::new::<T>()?;
                // INVARIANT: This value, which is pinned.
                space.set_owner(this.as_ptr().cast());
                space
            },
            state: Atomic::new(THERE),
            // INVARIANT: Initialised here.
            srcu <- Opaque::try_ffi_init(|srcu| {
                // SAFETY: `srcu` is memory for a `srcu_struct`, which does not move.
                unsafe { init_srcu(srcu) }
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
    /// What a driver gets of a device ([`RevocableMemory`]) is taken away like
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

    /// Gives the memory back: faults in mappings that still exist are answered again.
    ///
    /// What was mapped without a fault, by mmap or by the driver, is not mapped again by this: without a
    /// fault handler, an access still ends with SIGBUS.
    pub fn restore(&self) {
        let _ = self.state.cmpxchg(REVOKED, THERE, Full);
    }

    /// Is the memory taken away for good?
    #[inline]
    fn is_gone(&self) -> bool {
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
    fn enter(&self) -> Option<RevocationGuard<'_>> {
        // SAFETY: By the type invariants, it is initialised.
        let index = unsafe { bindings::srcu_read_lock(self.srcu.get()) };
        let guard = RevocationGuard {
            revocation: self,
            index,
            _not_send: NotThreadSafe,
        };
        // After the section has begun, which has full order: either this sees the switch, or the
        // switch waits for this.
        (!self.is_revoked()).then_some(guard)
    }
}

/// Initialises the `srcu_struct` of a revocation.
///
/// Neither generic nor inlined: lockdep wants one name for one key, and a module that makes a revocation
/// would have a copy of the name.
///
/// # Safety
///
/// `srcu` must be memory for a `srcu_struct`, which does not move.
#[inline(never)]
unsafe fn init_srcu(srcu: *mut bindings::srcu_struct) -> Result {
    // SAFETY: The caller's promise; the name and the key are static.
    to_result(unsafe {
        bindings::init_srcu_struct_with_key(
            srcu,
            c"rust_mm_revocation".as_char_ptr(),
            crate::static_lock_class!().as_ptr(),
        )
    })
}

#[pinned_drop]
impl PinnedDrop for Revocation {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants, it is initialised; nobody can be inside a section, since
        // that borrows `self`.
        unsafe { bindings::cleanup_srcu_struct(self.srcu.get()) };
    }
}

/// Enters the section that the revocation of an address space's memory waits for, if it has one.
///
/// # Errors
///
/// [`ENODEV`] if the memory is revoked, or if the address space is not an [`AddressSpace`]: what is
/// mapped with it cannot be revoked.
///
/// # Safety
///
/// `mapping` must be the address space of a file that was opened, and is not released during `'a`.
#[inline]
pub(super) unsafe fn enter<'a>(
    mapping: *const bindings::address_space,
) -> Result<Option<RevocationGuard<'a>>> {
    // SAFETY: The caller promises that it is valid.
    let owner = unsafe { rmap::owner(mapping) }.ok_or(ENODEV)?;
    // SAFETY: The one owner that there can be is a `Revocation`. A file has this address space from what
    // `MiscDevice::address_space` borrows, until the file is released, or from such a file, which it keeps
    // (Coda).
    let revocation = unsafe { owner.cast::<Revocation>().as_ref() };
    match revocation {
        Some(revocation) => revocation.enter().map(Some).ok_or(ENODEV),
        None => Ok(None),
    }
}
