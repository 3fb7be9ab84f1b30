// SPDX-License-Identifier: GPL-2.0

//! Mirroring a range of an mm in the MMU of a device (`mmu_interval_notifier`, HMM).
//!
//! A driver that lets its device access the memory of a process, without pinning it, mirrors a
//! range of the mm: it enters the pages into the page table of the device, and removes them when
//! the kernel is about to unmap, protect or move them. This is the base of userptr and of shared
//! virtual memory.
//!
//! [`Mirror`] is a range that is mirrored. It owns a lock, under which the kernel calls the driver
//! back, and the driver's state, which is what the device uses. Pages get into that state in steps
//! whose order is that of their types:
//!
//! | step | C | lock |
//! |---|---|---|
//! | [`Mirror::fault`] returns [`Faulted`] | `mmu_interval_read_begin`, `hmm_range_fault` | none |
//! | [`Faulted::lock`] consumes it | the lock, then `mmu_interval_read_retry` | taken |
//! | [`MirrorGuard`], [`ValidPages`] | entering pages into the page table of the device | held |
//! | [`MirrorOps::invalidate`] | after `mmu_interval_set_seq` | held by the layer |
//!
//! The sequence number does not leave the layer, so a driver can neither compare it without the
//! lock, nor forget to set it, nor use that of another range. No page is referenced: what keeps it
//! mapped is that an invalidation waits for the lock. So the contents can be accessed only through
//! [`ValidPages`], which borrows the guard of the lock.
//!
//! `Documentation/mm/rust-mmap/mirror.rst` says when the kernel calls the driver back.
//!
//! C headers: [`include/linux/mmu_notifier.h`](srctree/include/linux/mmu_notifier.h),
//! [`include/linux/hmm.h`](srctree/include/linux/hmm.h)

use super::{
    gup::{
        HoldFor,
        ReadWrite, //
    },
    memory::page_array::{
        self,
        PageArray, //
    },
    Mm,
    MmWithUser, //
};
use crate::{
    alloc::KVVec,
    bindings,
    error::to_result,
    page::{
        PAGE_MASK,
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        lock::{
            mutex::MutexBackend,
            Guard, //
        },
        static_lock_class,
        LockClassKey,
        Mutex, //
    },
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};
use core::{
    marker::PhantomData,
    mem,
    ops::{
        Deref,
        DerefMut,
        Range, //
    },
    ptr::NonNull, //
};

mod series;

/// The bits of an element of `hmm_range::hmm_pfns` that are the PFN.
// The constant is a `u32` on 32-bit machines.
#[allow(clippy::unnecessary_cast)]
const PFN_MASK: usize = (1 << bindings::hmm_pfn_flags_HMM_PFN_ORDER_SHIFT as usize) - 1;

/// An invalidation could not be done without sleeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WouldBlock;

/// Why the kernel is about to change what is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// User space unmaps the addresses, or moves what is mapped there.
    Unmap,
    /// Pages are unmapped or replaced: copy-on-write, `madvise(2)`, reclaim, KSM, for example.
    Clear,
    /// The protection of a VMA changes, by `mprotect(2)` for example.
    ProtectionVma,
    /// The protection of single pages changes: `fork(2)`, or writeback of the pages.
    ProtectionPage,
    /// The kernel starts to track which pages are written to.
    SoftDirty,
    /// The mm ends: its last user is gone, and all of it will be unmapped.
    Release,
    /// Pages move to the memory of a device.
    Migrate,
    /// A device gets exclusive access to pages.
    Exclusive,
}

/// What the kernel is about to change.
#[derive(Debug)]
pub struct Invalidation {
    range: Range<usize>,
    reason: Reason,
}

impl Invalidation {
    /// Returns the addresses, which are part of the mirrored range.
    #[inline]
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Returns the reason.
    #[inline]
    pub fn reason(&self) -> Reason {
        self.reason
    }
}

/// A driver that mirrors ranges of an mm.
///
/// # Where the functions run
///
/// The kernel calls them in any thread that changes page tables of the mm: in the process, in a
/// debugger, or in reclaim, under locks of memory management. The lock of the [`Mirror`] is held.
///
/// So there are things that they must not do. The same holds for code that runs under a lock which
/// they take, and under the lock of a mirror. Lockdep reports violations.
///
/// - They must not allocate memory in a way that waits for reclaim, as [`GFP_KERNEL`] does: reclaim
///   calls them.
/// - They must not take the mmap lock, or access user memory.
/// - They must not call [`Mirror::new`], [`Mirror::fault`] or [`Mirror::lock`] for any mirror, nor
///   drop one, for example as the last owner of an `Arc`: that waits until they have returned. The
///   thread would wait forever, as in C.
/// - They must not wait for the lock of a folio or for a lock of reverse mapping, which their
///   caller may hold. Dropping [`UserPages`](super::gup::UserPages) that were written takes the
///   former, [`Revocation::revoke`](super::revoke::Revocation::revoke) the latter.
///
/// The state must not own an `ARef<MmWithUser>` if a mapping of the mm keeps the mirror, for
/// example by its file: neither would be freed.
///
/// # Examples
///
/// ```
/// use kernel::{
///     mm::{gup::ReadWrite, mirror::*, testing::*},
///     page::PAGE_SIZE, //
/// };
///
/// /// A device with a page table of one entry: whether it maps the page.
/// struct Device;
///
/// #[vtable]
/// impl MirrorOps for Device {
///     type State = bool;
///
///     fn invalidate(&self, mapped: &mut bool, _: &Invalidation) {
///         *mapped = false;
///     }
/// }
///
/// let mm = UserMm::attach()?;
/// let addr = mm.mmap_anonymous(PAGE_SIZE)?;
/// mm.write(addr, b"hello")?;
///
/// let range = addr..addr + PAGE_SIZE;
/// let mirror = KBox::pin_init(Mirror::new(mm.current(), range, Device, false), GFP_KERNEL)?;
/// let (mut guard, pages) = mirror.fault_locked::<ReadWrite>(addr, 1)?;
/// *guard = true;
/// let valid = guard.pages(&pages).ok_or(EINVAL)?;
/// let mut out = [0; 5];
/// valid.read_at(0, &mut out)?;
/// assert_eq!(&out, b"hello");
/// valid.write_at(0, b"j")?;
/// drop(guard);
/// assert_eq!(mm.read(addr)?, *b"jello");
///
/// // The kernel calls `invalidate` before it unmaps the page.
/// mm.munmap(addr, PAGE_SIZE)?;
/// let guard = mirror.lock();
/// assert!(!*guard);
/// assert!(guard.pages(&pages).is_none());
/// # Ok::<(), Error>(())
/// ```
#[vtable]
pub trait MirrorOps: Sized + Send + Sync + 'static {
    /// What the lock of the mirror protects: the page table of the device, for example.
    type State: Send + 'static;

    /// Has the device stop using the pages of a range.
    ///
    /// The pages remain mapped, with their contents, until this returns.
    ///
    /// # Context
    ///
    /// May sleep. The requirements of [the trait](Self#where-the-functions-run) apply.
    fn invalidate(&self, state: &mut Self::State, invalidation: &Invalidation);

    /// Has the device stop using the pages of a range, without sleeping.
    ///
    /// What is dropped here must not sleep either: large [`MirroredPages`] in the state may, so
    /// they are kept, and dropped later.
    ///
    /// The OOM killer does not take the pages of the range from a process that it has killed if
    /// this returns [`WouldBlock`], as it does unless the driver implements it. It does not ask for
    /// pages while the lock of the mirror is held.
    ///
    /// # Context
    ///
    /// Must not sleep. The requirements of [the trait](Self#where-the-functions-run) apply.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`] if the function would have to sleep. The kernel does not change the range
    /// then.
    fn try_invalidate(
        &self,
        state: &mut Self::State,
        invalidation: &Invalidation,
    ) -> Result<(), WouldBlock> {
        let _ = (state, invalidation);
        Err(WouldBlock)
    }
}

/// What the lock of a mirror protects.
struct Guarded<S> {
    /// How often the range was invalidated.
    generation: u64,
    // Not `state`: the guard of a lock has a field of that name.
    driver: S,
}

// Nothing pins the state of the driver, so a guard can give it out as `&mut`.
impl<S> Unpin for Guarded<S> {}

/// A range of an mm that a driver mirrors.
///
/// It keeps neither the mm in use nor its pages: a process that ends is torn down as ever, after
/// [`MirrorOps::invalidate`] was called with [`Reason::Release`]. From then on,
/// [`fault`](Self::fault) fails. For what is still mapped, the driver is called once more then,
/// with [`Reason::Unmap`]. A child of `fork(2)` has an mm of its own, which is not mirrored.
/// What is mapped at other addresses by `mremap(2)` is no longer mirrored.
///
/// It keeps the module of the driver loaded, even if it is leaked. So it belongs to an open file,
/// for example, and not to the data of the module. That ends while it is being dropped, so who
/// drops it keeps the module loaded by other means, as an open file does.
///
/// # Context
///
/// Dropping it removes it from the mm, and sleeps until no function of the driver is running for
/// it. The caller must not hold a lock that such a function takes, nor that of any mirror, nor be
/// such a function.
///
/// # Invariants
///
/// - `notifier` is inserted in an mm, with the callback of `T`, and keeps the module of `T` loaded.
///   Its range consists of whole pages, and is not empty.
/// - `id` is that of no other mirror, also of one that was dropped.
/// - The generation under the lock increases before each change of the range about which the kernel
///   notifies, but for changes that began before the notifier was in the tree. `fault` waits for
///   those (`mmu_interval_read_begin`).
///
/// # Examples
///
/// See [`MirrorOps`].
#[pin_data(PinnedDrop)]
pub struct Mirror<T: MirrorOps> {
    id: u64,
    data: T,
    #[pin]
    locked: Mutex<Guarded<T::State>>,
    #[pin]
    notifier: Opaque<bindings::mmu_interval_notifier>,
}

// SAFETY: The notifier can be removed on any thread, and `data` and the state are `Send`.
unsafe impl<T: MirrorOps> Send for Mirror<T> {}
// SAFETY: Through a shared reference, threads get `data`, which is `Sync`, and the state under the
// lock. C uses the notifier from any thread.
unsafe impl<T: MirrorOps> Sync for Mirror<T> {}

impl<T: MirrorOps> Mirror<T> {
    const OPS: &'static bindings::mmu_interval_notifier_ops =
        &bindings::mmu_interval_notifier_ops {
            invalidate: Some(Self::invalidate_callback),
            invalidate_start: None,
            invalidate_finish: None,
        };

    /// Returns an initializer, which starts to mirror a range of an mm.
    ///
    /// # Context
    ///
    /// Sleeps. The caller must not hold the mmap lock of the mm. The functions of `T` can be called
    /// before this returns.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the range is empty, or does not consist of whole pages.
    /// - [`EINTR`] if a signal is pending, and this is the first mirror of the mm.
    /// - [`ENODEV`] if the module of the driver is being unloaded.
    /// - [`ENOMEM`] if there is not enough memory.
    ///
    /// # Examples
    ///
    /// See [`MirrorOps`].
    pub fn new(
        mm: &MmWithUser,
        range: Range<usize>,
        data: T,
        state: T::State,
    ) -> impl PinInit<Self, Error> + '_ {
        // INVARIANT: `insert` inserts the notifier, with the callback of `T`, for a range that it
        // has checked. It comes last, so that the callback finds the other fields initialized.
        let (name, key) = lock_class();
        let locked = Guarded {
            generation: 0,
            driver: state,
        };
        try_pin_init!(Self {
            id: next_id(),
            data,
            locked <- Mutex::new(locked, name, key),
            notifier <- Opaque::try_ffi_init(move |slot| {
                // SAFETY: `slot` is the memory of the field, which is pinned, and from which
                // `drop` removes the notifier. `OPS` is for a notifier in a `Mirror<T>`, whose
                // other fields are initialized.
                unsafe { insert(slot, mm, range, Self::OPS, series::owner::<T>()) }
            }),
        }? Error)
    }

    /// Returns the data of the driver.
    #[inline]
    pub fn data(&self) -> &T {
        &self.data
    }

    /// Returns the range that is mirrored.
    #[inline]
    pub fn range(&self) -> Range<usize> {
        // SAFETY: By the type invariants, the notifier is inserted.
        unsafe { range_of(self.notifier.get()) }
    }

    /// Takes the lock.
    ///
    /// # Context
    ///
    /// Sleeps. Must not be called by a function of [`MirrorOps`]. While the lock is held, the
    /// requirements of [the trait](MirrorOps#where-the-functions-run) apply: all that changes the
    /// range waits for the lock. So a thread holds the lock of one mirror at a time.
    ///
    /// # Examples
    ///
    /// See [`MirrorOps`].
    #[inline]
    pub fn lock(&self) -> MirrorGuard<'_, T> {
        MirrorGuard {
            mirror: self,
            locked: self.locked.lock(),
        }
    }

    /// Faults in pages of the range, from a page-aligned address on (`mmu_interval_read_begin`,
    /// `hmm_range_fault`).
    ///
    /// The pages are those that were mapped at some time during the call. Whether they are still
    /// mapped turns out under the lock, in [`Faulted::lock`]. Between the two calls, the driver can
    /// allocate what it needs for its page table.
    ///
    /// # Context
    ///
    /// Sleeps. The caller must hold neither the mmap lock nor a VMA lock of the mm, nor the lock of
    /// any mirror, nor a lock that a driver's fault handler or a function of [`MirrorOps`] takes.
    /// If the process ends meanwhile, its mm is torn down in this thread, which calls the functions
    /// of all its mirrors.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the pages are not inside the range, or `nr_pages` is zero or too large for
    ///   an array.
    /// - [`ESRCH`] if the mm has ended.
    /// - [`EFAULT`] if nothing is mapped at an address, if user space may not read there, or if the
    ///   memory has no pages, as that of a device. With Linux 7.2, also if userfaultfd has to fill
    ///   the memory first.
    /// - [`EPERM`] if `A` is [`ReadWrite`] and user space may not write there.
    /// - [`EBUSY`] if the mappings change all the time.
    /// - [`EINTR`] if a fatal signal is pending.
    /// - [`ENOMEM`] if there is not enough memory.
    /// - Other errors that C returns.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{gup::ReadOnly, mirror::*, testing::*}, page::PAGE_SIZE};
    ///
    /// struct Device;
    ///
    /// #[vtable]
    /// impl MirrorOps for Device {
    ///     type State = ();
    ///
    ///     fn invalidate(&self, _: &mut (), _: &Invalidation) {}
    /// }
    ///
    /// let mm = UserMm::attach()?;
    /// let addr = mm.mmap_anonymous(2 * PAGE_SIZE)?;
    /// let range = addr..addr + 2 * PAGE_SIZE;
    /// let mirror = KBox::pin_init(Mirror::new(mm.current(), range, Device, ()), GFP_KERNEL)?;
    ///
    /// let faulted = mirror.fault::<ReadOnly>(addr, 2)?;
    /// // The kernel changes the range before the driver has the lock.
    /// mm.munmap(addr, PAGE_SIZE)?;
    /// assert!(faulted.collided());
    /// assert!(faulted.lock().is_err_and(|e| e == EAGAIN));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn fault<A: HoldFor>(&self, start: usize, nr_pages: usize) -> Result<Faulted<'_, T, A>> {
        let write = A::FLAGS & bindings::FOLL_WRITE != 0;
        // SAFETY: By the type invariants, the notifier is inserted.
        let (pfns, seq) = unsafe { fault(self.notifier.get(), start, nr_pages, write) }?;
        // INVARIANT: `fault` has faulted in the pages for the access that `A` asks for, in a read
        // section that began with `seq`.
        Ok(Faulted {
            mirror: self,
            pfns,
            seq,
            _access: PhantomData,
        })
    }

    /// Faults in pages as [`fault`](Self::fault) does, and takes the lock; starts again if the
    /// mappings have changed before it has the lock.
    ///
    /// # Context
    ///
    /// As for [`fault`](Self::fault).
    ///
    /// # Errors
    ///
    /// As for [`fault`](Self::fault) and [`Faulted::lock`], but [`EINTR`] in place of [`EAGAIN`],
    /// and only if a signal is pending.
    ///
    /// # Examples
    ///
    /// See [`MirrorOps`].
    pub fn fault_locked<A: HoldFor>(
        &self,
        start: usize,
        nr_pages: usize,
    ) -> Result<(MirrorGuard<'_, T>, MirroredPages<A>)> {
        loop {
            match self.fault(start, nr_pages)?.lock() {
                Err(err) if err == EAGAIN => {
                    if crate::current!().signal_pending() {
                        return Err(EINTR);
                    }
                }
                done => return done,
            }
        }
    }

    /// The callback of the notifier.
    ///
    /// # Safety
    ///
    /// - `sub` must be the notifier of a `Mirror<T>`, inserted or being inserted, which is not
    ///   removed before this returns, and whose other fields are initialized.
    /// - `range` must be valid during the call, and overlap with the range of `sub`.
    /// - `seq` must be what the kernel passes for the invalidation.
    unsafe extern "C" fn invalidate_callback(
        sub: *mut bindings::mmu_interval_notifier,
        range: *const bindings::mmu_notifier_range,
        seq: usize,
    ) -> bool {
        // SAFETY: By the safety requirements of this function, `sub` is the field of a `Mirror<T>`.
        let mirror: *const Self =
            unsafe { crate::container_of!(Opaque::cast_from(sub), Self, notifier) };
        // SAFETY: By the safety requirements of this function, the field is initialized, and
        // remains so until this returns.
        let (data, lock) = unsafe { (&(*mirror).data, &(*mirror).locked) };
        // SAFETY: By the safety requirements of this function, `range` is valid.
        let may_block = unsafe { bindings::mmu_notifier_range_blockable(range) };
        // SAFETY: By the safety requirements of this function, both are valid.
        let invalidation = unsafe { invalidation(sub, range) };

        if may_block {
            let mut locked = lock.lock();
            // SAFETY: This is the callback of the invalidation that `seq` is for, and the lock is
            // held under which `Faulted::lock` compares the number.
            unsafe { bindings::mmu_interval_set_seq(sub, seq) };
            locked.generation += 1;
            data.invalidate(&mut locked.driver, &invalidation);
            return true;
        }
        let Some(mut locked) = lock.try_lock() else {
            return false;
        };
        // SAFETY: As above: `seq` is for this invalidation, and the lock is held.
        unsafe { bindings::mmu_interval_set_seq(sub, seq) };
        locked.generation += 1;
        data.try_invalidate(&mut locked.driver, &invalidation)
            .is_ok()
    }
}

#[pinned_drop]
impl<T: MirrorOps> PinnedDrop for Mirror<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants, the notifier is inserted, and keeps this module loaded.
        // It is not used after this.
        unsafe { bindings::rust_mirror_remove(self.notifier.get(), series::owner::<T>()) };
    }
}

/// The guard of the lock of a [`Mirror`], through which the driver accesses its state.
///
/// While it exists, the kernel does not change what is mapped in the range.
#[must_use = "the lock is released when this is dropped"]
pub struct MirrorGuard<'m, T: MirrorOps> {
    mirror: &'m Mirror<T>,
    locked: Guard<'m, Guarded<T::State>, MutexBackend>,
}

impl<T: MirrorOps> Deref for MirrorGuard<'_, T> {
    type Target = T::State;

    #[inline]
    fn deref(&self) -> &T::State {
        &self.locked.driver
    }
}

impl<T: MirrorOps> DerefMut for MirrorGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T::State {
        &mut self.locked.driver
    }
}

impl<T: MirrorOps> MirrorGuard<'_, T> {
    /// Returns access to pages, if they are of this mirror and nothing has invalidated its range
    /// since they were faulted in.
    ///
    /// # Examples
    ///
    /// See [`MirrorOps`].
    #[inline]
    pub fn pages<'g, A: HoldFor>(
        &'g self,
        pages: &'g MirroredPages<A>,
    ) -> Option<ValidPages<'g, A>> {
        Self::valid(self.mirror, &self.locked, pages)
    }

    /// Returns access to pages as [`pages`](Self::pages) does, and to the state, into which the
    /// driver enters them.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{gup::ReadOnly, mirror::*, testing::*}, page::PAGE_SIZE};
    ///
    /// /// A device with a page table of two entries.
    /// struct Device;
    ///
    /// #[vtable]
    /// impl MirrorOps for Device {
    ///     type State = [Option<usize>; 2];
    ///
    ///     fn invalidate(&self, table: &mut Self::State, _: &Invalidation) {
    ///         *table = [None; 2];
    ///     }
    /// }
    ///
    /// let mm = UserMm::attach()?;
    /// let addr = mm.mmap_anonymous(2 * PAGE_SIZE)?;
    /// let range = addr..addr + 2 * PAGE_SIZE;
    /// let mirror =
    ///     KBox::pin_init(Mirror::new(mm.current(), range, Device, [None; 2]), GFP_KERNEL)?;
    ///
    /// let (mut guard, pages) = mirror.fault_locked::<ReadOnly>(addr, 2)?;
    /// let (valid, table) = guard.pages_mut(&pages).ok_or(EINVAL)?;
    /// for (index, entry) in table.iter_mut().enumerate() {
    ///     *entry = valid.pfn(index);
    /// }
    /// assert!(guard.iter().all(Option::is_some));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn pages_mut<'g, A: HoldFor>(
        &'g mut self,
        pages: &'g MirroredPages<A>,
    ) -> Option<(ValidPages<'g, A>, &'g mut T::State)> {
        let locked = &mut *self.locked;
        let valid = Self::valid(self.mirror, locked, pages)?;
        Some((valid, &mut locked.driver))
    }

    /// Returns access to pages, if they are valid.
    ///
    /// `locked` is what the lock of `mirror` protects, which is held during `'g`.
    #[inline]
    fn valid<'g, A: HoldFor>(
        mirror: &Mirror<T>,
        locked: &Guarded<T::State>,
        pages: &'g MirroredPages<A>,
    ) -> Option<ValidPages<'g, A>> {
        if pages.mirror != mirror.id || pages.generation != locked.generation {
            return None;
        }
        // INVARIANT: By the type invariants of `MirroredPages`, the pages were mapped when the
        // mirror with this id was in this generation. It is so now, and remains so during `'g`:
        // the caller has borrowed the guard for that, and an invalidation waits for the lock before
        // it increases the generation.
        Some(ValidPages {
            pfns: &pages.pfns,
            _access: PhantomData,
            _not_send: NotThreadSafe,
        })
    }
}

/// Pages that were faulted in without the lock, and may no longer be mapped.
///
/// # Invariants
///
/// `pfns` is what `hmm_range_fault` has returned for a part of the range of `mirror` and for the
/// access `A`, in a read section that began with `seq`.
#[must_use = "the pages are known to be mapped only after `lock`"]
pub struct Faulted<'m, T: MirrorOps, A: HoldFor> {
    mirror: &'m Mirror<T>,
    pfns: KVVec<usize>,
    seq: usize,
    _access: PhantomData<fn() -> A>,
}

impl<'m, T: MirrorOps, A: HoldFor> Faulted<'m, T, A> {
    /// Returns whether [`lock`](Self::lock) is known to fail, so that the driver need not prepare
    /// anything (`mmu_interval_check_retry`).
    ///
    /// # Examples
    ///
    /// See [`Mirror::fault`].
    #[inline]
    pub fn collided(&self) -> bool {
        // SAFETY: By the type invariants of `Mirror`, the notifier is inserted.
        unsafe { bindings::mmu_interval_check_retry(self.mirror.notifier.get(), self.seq) }
    }

    /// Takes the lock, and checks that nothing has invalidated the range meanwhile
    /// (`mmu_interval_read_retry`).
    ///
    /// # Context
    ///
    /// As for [`Mirror::lock`]. Looks at each page under the lock.
    ///
    /// # Errors
    ///
    /// - [`EAGAIN`] if the range was invalidated, or is being invalidated. The driver faults the
    ///   pages in again.
    /// - [`EFAULT`] if one of the pages is for user space alone (`memfd_secret(2)`), or the memory
    ///   of a device.
    ///
    /// # Examples
    ///
    /// See [`Mirror::fault`]; [`Mirror::fault_locked`] does both.
    pub fn lock(self) -> Result<(MirrorGuard<'m, T>, MirroredPages<A>)> {
        let guard = self.mirror.lock();
        let mut pfns = self.pfns;
        // SAFETY: By the type invariants, the section began with `seq`, and the notifier is
        // inserted. The lock is held under which the callback sets the number.
        unsafe { check(self.mirror.notifier.get(), self.seq, &mut pfns) }?;
        // INVARIANT: `check` has found that nothing has invalidated the range since the pages were
        // found to be mapped, for the access `A`, so they are mapped now, in this generation.
        let pages = MirroredPages {
            mirror: self.mirror.id,
            generation: guard.locked.generation,
            pfns,
            _access: PhantomData,
        };
        Ok((guard, pages))
    }
}

/// Pages that were mapped when the lock of their mirror was last held, unless something has
/// invalidated its range since.
///
/// A driver can keep it, also in its state. [`MirrorGuard::pages`] says whether it is still valid.
///
/// # Invariants
///
/// When the mirror with the id `mirror` was in the generation `generation`, the pages with the PFNs
/// `pfns` were mapped in its range, readable, and if `A` says so, writable. The kernel may access
/// their contents.
///
/// On x86, a shadow stack is writable in this sense, though user space cannot store to it.
pub struct MirroredPages<A: HoldFor> {
    mirror: u64,
    generation: u64,
    pfns: KVVec<usize>,
    _access: PhantomData<fn() -> A>,
}

/// Pages of user space that are mapped, and remain so while the lock of their mirror is held.
///
/// User space may write to the pages at any time. There are therefore no references to the
/// contents, only functions that copy.
///
/// # Invariants
///
/// The pages with the PFNs `pfns` are mapped in the range of a mirror, whose lock is held during
/// `'g`, readable, and if `A` says so, writable. The kernel may access their contents.
pub struct ValidPages<'g, A: HoldFor> {
    pfns: &'g [usize],
    _access: PhantomData<fn() -> A>,
    // The lock must be released by the thread that has taken it.
    _not_send: NotThreadSafe,
}

// SAFETY: By the type invariants, the PFNs are those of valid pages for as long as `self`, and the
// slice does not change. User space maps the pages, so no Rust code has a reference to their
// contents.
unsafe impl<A: HoldFor> PageArray for ValidPages<'_, A> {
    #[inline]
    fn nr_pages(&self) -> usize {
        self.pfns.len()
    }

    #[inline]
    fn page(&self, index: usize) -> Option<NonNull<bindings::page>> {
        let pfn = *self.pfns.get(index)?;
        // SAFETY: By the type invariants, the page is mapped, and the lock that keeps it so is
        // held.
        NonNull::new(unsafe { bindings::rust_mirror_page(pfn) })
    }
}

impl<A: HoldFor> ValidPages<'_, A> {
    /// Returns the number of pages, which is not zero.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        self.pfns.len()
    }

    /// Returns the PFN of a page, to be entered into the page table of a device.
    ///
    /// The device must stop using it in [`MirrorOps::invalidate`].
    #[inline]
    pub fn pfn(&self, index: usize) -> Option<usize> {
        self.pfns.get(index).copied()
    }

    /// Copies bytes out of the pages.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the bytes extend past the end of the pages. Nothing has been copied then.
    ///
    /// # Examples
    ///
    /// See [`MirrorOps`].
    pub fn read_at(&self, offset: usize, out: &mut [u8]) -> Result {
        page_array::read_at(self, offset, out)
    }
}

impl ValidPages<'_, ReadWrite> {
    /// Copies bytes into the pages, and marks them dirty.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the bytes extend past the end of the pages. Nothing has been copied then.
    ///
    /// # Examples
    ///
    /// See [`MirrorOps`].
    #[inline(never)]
    pub fn write_at(&self, offset: usize, data: &[u8]) -> Result {
        page_array::write_at(self, offset, data)?;
        if data.is_empty() {
            return Ok(());
        }
        for index in offset >> PAGE_SHIFT..=(offset + data.len() - 1) >> PAGE_SHIFT {
            if let Some(page) = self.page(index) {
                // SAFETY: By the type invariants, the page is mapped and remains so, as
                // `set_page_dirty` demands of a caller that does not hold the lock of the folio.
                unsafe { bindings::set_page_dirty(page.as_ptr()) };
            }
        }
        Ok(())
    }
}

/// Returns the name and the key of the lock of all mirrors.
///
/// Neither generic nor inlined, as `new_mutex` in [`Mirror::new`] would be: lockdep expects one
/// name for one key, and each module that makes a mirror would have a name of its own.
#[inline(never)]
fn lock_class() -> (&'static CStr, Pin<&'static LockClassKey>) {
    (c"Mirror", static_lock_class!())
}

/// Returns an id that no mirror has had.
#[inline(never)]
fn next_id() -> u64 {
    static NEXT: Atomic<u64> = Atomic::new(0);
    NEXT.fetch_add(1, Relaxed)
}

/// Inserts a notifier.
///
/// # Safety
///
/// - `sub` must be memory that does not move, and from which the notifier is removed before the
///   memory is freed. `ops` and `owner` must be right for it.
/// - What the callbacks use must be initialized.
#[inline(never)]
unsafe fn insert(
    sub: *mut bindings::mmu_interval_notifier,
    mm: &MmWithUser,
    range: Range<usize>,
    ops: &'static bindings::mmu_interval_notifier_ops,
    owner: *mut bindings::module,
) -> Result {
    if (range.start | range.end) & !PAGE_MASK != 0 || range.is_empty() {
        return Err(EINVAL);
    }
    let len = range.end - range.start;
    // SAFETY: By the safety requirements of this function, `sub` is memory for a notifier, which
    // the caller removes. `mm` has a user.
    to_result(unsafe {
        bindings::rust_mirror_insert(sub, mm.as_raw(), range.start, len, ops, owner)
    })
}

/// Returns the range of a notifier.
///
/// # Safety
///
/// `sub` must be inserted, with a range of whole pages.
#[inline]
unsafe fn range_of(sub: *mut bindings::mmu_interval_notifier) -> Range<usize> {
    // SAFETY: By the safety requirements of this function, `sub` is valid. C sets the range before
    // it inserts the notifier, and does not change it afterwards.
    let (start, last) = unsafe { ((*sub).interval_tree.start, (*sub).interval_tree.last) };
    // No overflow: the end is that of a range of whole pages, which does not wrap around.
    start..last + 1
}

/// Returns what a driver may know about an invalidation.
///
/// # Safety
///
/// `sub` must be an inserted notifier, with a range of whole pages, and `range` must be valid and
/// overlap with it.
#[inline(never)]
unsafe fn invalidation(
    sub: *mut bindings::mmu_interval_notifier,
    range: *const bindings::mmu_notifier_range,
) -> Invalidation {
    // SAFETY: By the safety requirements of this function, `sub` is inserted.
    let ours = unsafe { range_of(sub) };
    // SAFETY: By the safety requirements of this function, `range` is valid.
    let (start, end, event) = unsafe { ((*range).start, (*range).end, (*range).event) };
    let reason = match event {
        bindings::mmu_notifier_event_MMU_NOTIFY_UNMAP => Reason::Unmap,
        bindings::mmu_notifier_event_MMU_NOTIFY_PROTECTION_VMA => Reason::ProtectionVma,
        bindings::mmu_notifier_event_MMU_NOTIFY_PROTECTION_PAGE => Reason::ProtectionPage,
        bindings::mmu_notifier_event_MMU_NOTIFY_SOFT_DIRTY => Reason::SoftDirty,
        bindings::mmu_notifier_event_MMU_NOTIFY_RELEASE => Reason::Release,
        bindings::mmu_notifier_event_MMU_NOTIFY_MIGRATE => Reason::Migrate,
        bindings::mmu_notifier_event_MMU_NOTIFY_EXCLUSIVE => Reason::Exclusive,
        _ => Reason::Clear,
    };
    Invalidation {
        range: start.max(ours.start)..end.min(ours.end),
        reason,
    }
}

/// Faults in pages, and returns what `hmm_range_fault` has returned for them, and the number with
/// which the read section began.
///
/// # Safety
///
/// `sub` must be inserted, with a range of whole pages, and must not be removed meanwhile.
#[inline(never)]
unsafe fn fault(
    sub: *mut bindings::mmu_interval_notifier,
    start: usize,
    nr_pages: usize,
    write: bool,
) -> Result<(KVVec<usize>, usize)> {
    // The number of pages for which an array can be allocated without a warning.
    let most = i32::MAX as usize / mem::size_of::<usize>();
    // SAFETY: By the safety requirements of this function, `sub` is inserted.
    let ours = unsafe { range_of(sub) };
    if start & !PAGE_MASK != 0 || !ours.contains(&start) {
        return Err(EINVAL);
    }
    let left = (ours.end - start) >> PAGE_SHIFT;
    if nr_pages == 0 || nr_pages > left.min(most) {
        return Err(EINVAL);
    }
    // No overflow: the range has all of these pages.
    let end = start + nr_pages * PAGE_SIZE;
    // SAFETY: By the safety requirements of this function, `sub` is inserted, and so keeps its mm
    // from being freed.
    let mm = unsafe { Mm::from_raw((*sub).mm) };
    let mm = mm.mmget_not_zero().ok_or(ESRCH)?;

    let mut pfns = KVVec::from_elem(0, nr_pages, GFP_KERNEL)?;
    let mut request = bindings::hmm_pfn_flags_HMM_PFN_REQ_FAULT;
    if write {
        request |= bindings::hmm_pfn_flags_HMM_PFN_REQ_WRITE;
    }
    #[allow(clippy::unnecessary_cast)]
    let default_flags = request as usize;
    let mut range = bindings::hmm_range {
        notifier: sub,
        start,
        end,
        hmm_pfns: pfns.as_mut_ptr(),
        default_flags,
        ..pin_init::zeroed()
    };
    // SAFETY:
    // - The notifier is inserted in `mm`, which has a user, and the addresses are in its range.
    // - `hmm_pfns` has an element for each page.
    unsafe { series::fault(&mm, &mut range) }?;
    Ok((pfns, range.notifier_seq))
}

/// Checks that pages are still mapped, and that the kernel may access them.
///
/// Replaces what `hmm_range_fault` has returned by the PFNs.
///
/// # Errors
///
/// - [`EAGAIN`] if something has invalidated the range.
/// - [`EFAULT`] if the kernel must not access one of the pages.
///
/// # Safety
///
/// `sub` must be inserted, `seq` and `pfns` must come from [`fault`] for it, and the lock must be
/// held that the callback takes.
#[inline(never)]
unsafe fn check(
    sub: *mut bindings::mmu_interval_notifier,
    seq: usize,
    pfns: &mut [usize],
) -> Result {
    // SAFETY: By the safety requirements of this function, `sub` is inserted, `seq` is that of a
    // read section, and the lock is held.
    if unsafe { bindings::mmu_interval_read_retry(sub, seq) } {
        return Err(EAGAIN);
    }
    for pfn in pfns {
        *pfn &= PFN_MASK;
        // SAFETY: `hmm_range_fault` has found the page mapped, and nothing has invalidated the
        // range since. The lock keeps the page mapped.
        if unsafe { bindings::rust_mirror_page(*pfn) }.is_null() {
            return Err(EFAULT);
        }
    }
    Ok(())
}
