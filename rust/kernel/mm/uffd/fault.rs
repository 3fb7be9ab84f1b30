// SPDX-License-Identifier: GPL-2.0

//! Faults in the mappings of memory files.

use super::{
    context::{
        FileData,
        FoundFolio,
        UffdVma, //
    },
    UffdModes,
    UffdOps, //
};
use crate::{
    bindings,
    mm::{
        filemap::{
            Filled,
            LockedCacheFolio,
            NewFolio,
            PageCache, //
        }, //
    },
    page::PAGE_MASK,
    prelude::*,
    types::NotThreadSafe, //
};
use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    }, //
};

/// The context of [`fault`](UffdOps::fault): an access to a page that is not mapped.
///
/// # Examples
///
/// The first bytes of each page are its number.
///
/// ```
/// use kernel::{
///     fs::memory_file::{MemoryFile, Options},
///     mm::{
///         ops::FaultError,
///         testing::*,
///         uffd::{UffdAnswer, UffdFault, UffdOps}, //
///     },
///     page::PAGE_SIZE, //
/// };
///
/// struct Numbered;
///
/// #[vtable]
/// impl UffdOps for Numbered {
///     type Data = ();
///
///     fn fault(fault: &UffdFault<Self>) -> Result<UffdAnswer<'_>, FaultError> {
///         loop {
///             if let Some(folio) = fault.find()? {
///                 return Ok(folio.into());
///             }
///             // User space fills it, if it has registered the mapping.
///             if let Some(raise) = fault.missing() {
///                 return Ok(raise.into());
///             }
///             let number = fault.index().to_le_bytes();
///             match fault.add(fault.alloc(0)?.filled(&number)?) {
///                 // Another thread has added the page in between.
///                 Err(e) if e == EEXIST => {}
///                 added => return Ok(added?.into()),
///             }
///         }
///     }
/// }
///
/// kernel::memory_file_type!(Numbered);
///
/// let mm = UserMm::attach()?;
/// let size = 8 * PAGE_SIZE;
/// let file = MemoryFile::<Numbered>::new(c"numbered", size as u64, Options::new(), ())?;
/// let addr = mm.file(file.clone().into()).mmap(size, READ, SHARED, 0)?;
/// assert_eq!(mm.read(addr + 5 * PAGE_SIZE)?, 5_usize.to_le_bytes());
/// assert_eq!(file.nr_pages(), 1);
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// For as long as the value exists, this thread is handling `vmf`, with the lock of the fault held,
/// and the VMA maps a memory file of the type `T`.
pub struct UffdFault<T> {
    vmf: NonNull<bindings::vm_fault>,
    _ops: PhantomData<fn(T) -> T>,
    _not_send: NotThreadSafe,
}

impl<T: UffdOps> UffdFault<T> {
    /// # Safety
    ///
    /// The type invariants must hold for as long as the value exists.
    #[inline]
    unsafe fn new(vmf: NonNull<bindings::vm_fault>) -> Self {
        // INVARIANT: By the safety requirements of this function, the invariants hold.
        Self {
            vmf,
            _ops: PhantomData,
            _not_send: NotThreadSafe,
        }
    }

    #[inline]
    fn fixed(&self) -> &bindings::vm_fault__bindgen_ty_1 {
        // SAFETY: By the type invariants, `vmf` is valid. C does not change these fields after it
        // has set them.
        unsafe { &(*self.vmf.as_ptr()).__bindgen_anon_1 }
    }

    #[inline]
    fn flags(&self) -> bindings::fault_flag {
        // SAFETY: By the type invariants, `vmf` is valid, and only this thread accesses it.
        unsafe { (*self.vmf.as_ptr()).flags }
    }

    /// Returns the VMA.
    #[inline]
    pub fn vma(&self) -> &UffdVma<T> {
        // SAFETY: By the type invariants, the VMA maps a memory file of the type `T`, and the lock
        // of the fault is held while `self` is borrowed.
        unsafe { UffdVma::from_raw(self.fixed().vma) }
    }

    /// Returns the page cache of the file.
    #[inline]
    pub fn cache(&self) -> &PageCache {
        self.vma().cache()
    }

    /// Returns the data of the file.
    #[inline]
    pub fn data(&self) -> FileData<'_, T> {
        self.vma().data()
    }

    /// Returns the page offset in the file of the page that is accessed.
    #[inline]
    pub fn index(&self) -> usize {
        self.fixed().pgoff
    }

    /// Returns the address of the page that is accessed.
    #[inline]
    pub fn address(&self) -> usize {
        self.fixed().address & PAGE_MASK
    }

    /// Returns whether the access is a write.
    #[inline]
    pub fn is_write(&self) -> bool {
        self.flags() & bindings::fault_flag_FAULT_FLAG_WRITE != 0
    }

    /// Returns whether user space itself accesses the memory, and not the kernel on its behalf.
    #[inline]
    pub fn is_user(&self) -> bool {
        self.flags() & bindings::fault_flag_FAULT_FLAG_USER != 0
    }

    /// Returns the answer that has user space handle the fault as a missing page, if the VMA is
    /// registered for that.
    ///
    /// User space fills the page with `UFFDIO_COPY` or `UFFDIO_ZEROPAGE`. Both fail with EEXIST if
    /// the page is in the page cache, so a driver raises a fault for a page that is not.
    #[inline]
    pub fn missing(&self) -> Option<Raise<'_>> {
        self.raise(UffdModes::MISSING)
    }

    /// Returns the answer that has user space handle the fault as a minor one, if the VMA is
    /// registered for that.
    ///
    /// User space maps the page with `UFFDIO_CONTINUE`. This fails with EFAULT if the page is not
    /// in the page cache, so a driver raises a fault for a page that is.
    #[inline]
    pub fn minor(&self) -> Option<Raise<'_>> {
        self.raise(UffdModes::MINOR)
    }

    #[inline]
    fn raise(&self, mode: UffdModes) -> Option<Raise<'_>> {
        // INVARIANT: The VMA is registered in this mode.
        self.vma().modes().contains(mode).then_some(Raise {
            mode,
            _fault: PhantomData,
        })
    }

    /// Returns the answer that leaves the fault to the layer, which does what it does for files
    /// without a [`fault`](UffdOps::fault): it raises the fault if the VMA is registered for that;
    /// otherwise, it maps the page, which it allocates if it is a hole.
    #[inline]
    pub fn leave_to_layer(&self) -> UffdAnswer<'_> {
        UffdAnswer(Answer::Layer)
    }

    /// Locks the folio that has the page, and returns it if there is one.
    ///
    /// # Context
    ///
    /// As [`PageCache::get_locked`].
    ///
    /// # Errors
    ///
    /// - [`EFAULT`] if the file ends before the page.
    /// - [`EIO`] if the folio is not up to date.
    pub fn find(&self) -> Result<Option<FoundFolio<'_>>> {
        FoundFolio::find(self.cache(), self.index())
    }

    /// Locks the folio that has the page; if there is none, adds one that is filled with zeroes.
    ///
    /// The memory cgroup of the process that has the mapping pays for it.
    ///
    /// # Context
    ///
    /// As [`PageCache::get_or_add`].
    ///
    /// # Errors
    ///
    /// As [`PageCache::get_or_add`].
    pub fn find_or_add(&self) -> Result<FoundFolio<'_>> {
        FoundFolio::find_or_add(self.vma(), self.index())
    }

    /// Allocates a folio of `1 << order` pages, for which the memory cgroup of the process that has
    /// the mapping pays.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// As [`PageCache::alloc`].
    pub fn alloc(&self, order: u32) -> Result<NewFolio> {
        // SAFETY: The VMA is locked, so its mm is valid.
        unsafe {
            self.cache()
                .alloc_for((*self.vma().as_ptr()).vm_mm, self.index(), order)
        }
    }

    /// Adds a folio to the page cache, where it has the page that is accessed.
    ///
    /// # Context
    ///
    /// As [`PageCache::add`].
    ///
    /// # Errors
    ///
    /// As [`PageCache::add`]. The folio is freed.
    pub fn add(&self, folio: NewFolio<Filled>) -> Result<FoundFolio<'_>> {
        FoundFolio::add(self.cache(), folio, self.index())
    }
}

/// Proof that user space can handle the fault, which converts to the answer that has it do so.
///
/// # Invariants
///
/// The VMA is registered in this mode, which is [`MISSING`](UffdModes::MISSING) or
/// [`MINOR`](UffdModes::MINOR).
#[derive(Debug)]
#[must_use = "this is what the handler answers with"]
pub struct Raise<'a> {
    mode: UffdModes,
    _fault: PhantomData<&'a ()>,
}

enum Answer<'a> {
    Layer,
    Raise(Raise<'a>),
    Folio(FoundFolio<'a>),
}

/// The answer of [`fault`](UffdOps::fault).
///
/// It is converted from a [`Raise`] or a [`FoundFolio`], or is
/// [`leave_to_layer`](UffdFault::leave_to_layer). The layer acts on it after the callback has
/// returned: to raise the fault drops the lock of the fault, and the VMA may be gone after that.
#[must_use = "the answer of the handler"]
pub struct UffdAnswer<'a>(Answer<'a>);

impl<'a> From<Raise<'a>> for UffdAnswer<'a> {
    #[inline]
    fn from(raise: Raise<'a>) -> Self {
        Self(Answer::Raise(raise))
    }
}

impl<'a> From<FoundFolio<'a>> for UffdAnswer<'a> {
    #[inline]
    fn from(folio: FoundFolio<'a>) -> Self {
        Self(Answer::Folio(folio))
    }
}

/// What a driver has decided about a fault: the function of [`decide`] that does not know its type.
///
/// The result is one of the constants of [`decision`], or a code of the kernel's with
/// [`decision::ERROR`].
///
/// # Safety
///
/// To call it, this thread must be handling the fault, with its lock held, in a VMA that maps a
/// memory file of the driver's type; the second pointer must be valid for a write.
pub(crate) type Decide =
    unsafe extern "C" fn(*mut bindings::vm_fault, *mut *mut bindings::folio) -> c_uint;

mod decision {
    use crate::ffi::c_uint;

    pub(super) const LAYER: c_uint = 0;
    pub(super) const MISSING: c_uint = 1;
    pub(super) const MINOR: c_uint = 2;
    /// The second argument gets a locked folio that has the page, with a reference.
    pub(super) const FOLIO: c_uint = 3;
    /// The other bits are a `vm_fault_t`.
    pub(super) const ERROR: c_uint = 1 << 31;
}

/// Returns the function that calls the driver for a fault, or [`None`] if it has no
/// [`fault`](UffdOps::fault).
pub(crate) const fn decide<T: UffdOps>() -> Option<Decide> {
    if T::HAS_FAULT {
        Some(decide_with::<T>)
    } else {
        None
    }
}

/// The function of [`decide`].
///
/// # Safety
///
/// See [`Decide`].
unsafe extern "C" fn decide_with<T: UffdOps>(
    vmf: *mut bindings::vm_fault,
    folio: *mut *mut bindings::folio,
) -> c_uint {
    // SAFETY: By the safety requirements of this function, `vmf` is valid, this thread is handling
    // it, and the VMA maps a memory file of the type `T`.
    let fault = unsafe { UffdFault::<T>::new(NonNull::new_unchecked(vmf)) };
    let answer = T::fault(&fault);
    match answer {
        Ok(UffdAnswer(Answer::Layer)) => decision::LAYER,
        Ok(UffdAnswer(Answer::Raise(raise))) => {
            if raise.mode == UffdModes::MINOR {
                decision::MINOR
            } else {
                decision::MISSING
            }
        }
        Ok(UffdAnswer(Answer::Folio(found))) => {
            // SAFETY: By the safety requirements of this function, the pointer is valid.
            unsafe { *folio = found.into_raw().as_ptr() };
            decision::FOLIO
        }
        Err(e) => decision::ERROR | e.into_raw(),
    }
}

/// Calls the driver for a fault, and acts on what it has decided.
///
/// Returns the code for the kernel, or [`None`] if the driver leaves the fault to the layer.
///
/// This is built in, as its caller must be: if the fault is raised to user space, the VMA, the file
/// and the module of the driver may be gone when this returns.
///
/// # Safety
///
/// - The safety requirements of [`Decide`] must hold for `decide` and `vmf`.
/// - The caller must be built in, and hold no lock but that of the fault. If the result is a code,
///   the caller must return it to the kernel, and must not use the VMA again.
pub(crate) unsafe fn act(
    vmf: *mut bindings::vm_fault,
    decide: Decide,
) -> Option<bindings::vm_fault_t> {
    let mut folio = ptr::null_mut();
    // SAFETY: This thread is handling the fault, whose lock is held. The VMA maps a memory file of
    // the type that `decide` is for.
    let decision = unsafe { decide(vmf, &mut folio) };
    Some(match decision {
        decision::LAYER => return None,
        // SAFETY: By the safety requirements of this function, this thread is handling the fault,
        // and the VMA is not used after this.
        decision::MISSING => unsafe { raise(vmf, UffdModes::MISSING) },
        // SAFETY: By the safety requirements of this function, this thread is handling the fault,
        // and the VMA is not used after this.
        decision::MINOR => unsafe { raise(vmf, UffdModes::MINOR) },
        decision::FOLIO => {
            // SAFETY:
            // - This thread is handling `vmf`, so it is valid, and its VMA has a file.
            // - The driver has found the locked folio in the page cache of that file, and has given
            //   up the lock and a reference.
            unsafe {
                let folio = NonNull::new_unchecked(folio);
                answer(vmf, LockedCacheFolio::from_raw(cache_of(vmf), folio))
            }
        }
        error => error & !decision::ERROR,
    })
}

/// Returns the page cache of the file that the VMA of a fault maps.
///
/// # Safety
///
/// `vmf` must be a fault of a VMA of a memory file whose lock is held during `'a`.
unsafe fn cache_of<'a>(vmf: *mut bindings::vm_fault) -> &'a PageCache {
    // SAFETY: By the safety requirements of this function, the VMA is locked, and has a reference
    // to its file, which is a memory file.
    unsafe {
        let vma = (*vmf).__bindgen_anon_1.vma;
        PageCache::from_raw((*(*(*vma).vm_file).f_inode).i_mapping)
    }
}

/// Answers a fault with a folio of the page cache, and returns the code for the kernel.
///
/// The code is SIGBUS if the file ends before the page, the folio does not have the page, or has
/// too many references. A lookup that finds the count saturated takes a reference that is not
/// counted. The kernel would count it when it drops it from a page table entry.
///
/// # Safety
///
/// - This thread must be handling `vmf`, a fault of a VMA of a memory file, and must return the
///   result to the kernel.
/// - `folio` must be in the page cache of that file.
pub(crate) unsafe fn answer(
    vmf: *mut bindings::vm_fault,
    folio: LockedCacheFolio<'_>,
) -> bindings::vm_fault_t {
    // SAFETY: By the safety requirements of this function, this thread is handling `vmf`.
    let index = unsafe { (*vmf).__bindgen_anon_1.pgoff };
    // The file may have become smaller after the folio was allocated, and before it was locked.
    let Some(page) = folio.mappable_page(index) else {
        return bindings::vm_fault_reason_VM_FAULT_SIGBUS;
    };
    // The kernel gets the lock and the reference.
    folio.into_raw();
    // SAFETY: By the safety requirements of this function, this thread is handling `vmf`.
    unsafe { (*vmf).page = page.as_ptr() };
    bindings::vm_fault_reason_VM_FAULT_LOCKED
}

/// Has user space handle a fault, and returns the code for the kernel.
///
/// The result is SIGBUS if the file ends before the page.
///
/// # Safety
///
/// - This thread must be handling `vmf`, a fault of a VMA of a memory file, and hold no lock but
///   that of the fault. The caller must be built in.
/// - The VMA must be registered in `mode`, which is [`MISSING`](UffdModes::MISSING) or
///   [`MINOR`](UffdModes::MINOR).
/// - The caller must return the result to the kernel, and must not use the VMA again.
pub(crate) unsafe fn raise(vmf: *mut bindings::vm_fault, mode: UffdModes) -> bindings::vm_fault_t {
    // SAFETY: By the safety requirements of this function, this thread is handling `vmf`, with the
    // lock of the fault held, and its VMA is one of a memory file.
    if unsafe { (*vmf).__bindgen_anon_1.pgoff >= cache_of(vmf).size_in_pages() } {
        return bindings::vm_fault_reason_VM_FAULT_SIGBUS;
    }
    #[cfg(not(CONFIG_USERFAULTFD))]
    {
        // No VMA can be registered.
        let _ = mode;
        bindings::vm_fault_reason_VM_FAULT_SIGBUS
    }
    // SAFETY: By the safety requirements of this function, this thread is handling `vmf`, holds no
    // other lock, is in built-in code, and does not use the VMA again.
    #[cfg(CONFIG_USERFAULTFD)]
    unsafe {
        bindings::rust_uffd_raise(vmf, mode.bits())
    }
}
