// SPDX-License-Identifier: GPL-2.0

//! What a mapping is made of.
//!
//! Each function of [`VmaDesc`] in this file consumes the descriptor and is the only kind of thing
//! that makes a [`Mapping`]. So there is exactly one action for each mapping, and nothing can be
//! adjusted after it was chosen.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use super::{
    Brand,
    DescRange,
    VmaDesc, //
};
use crate::{
    bindings,
    mm::{
        flags::{
            SetFlags,
            VmaFlag,
            VmaFlags, //
        },
        memory::{
            Cache,
            DeviceMemory,
            KernelPages,
            KernelPagesSlice,
            PfnRange,
            PfnSlice, //
        },
        revoke, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    types::NotThreadSafe, //
};
use core::{
    ffi::c_void,
    marker::PhantomData,
    ptr::NonNull, //
};

/// What the kernel does when the VMA exists.
///
/// # Invariants
///
/// - Each range lies inside the mapping that `'f` is about, and what is to be mapped there has at
///   least as many pages.
/// - What is to be mapped is borrowed during `'f`.
#[derive(Clone, Copy)]
enum Action<'f> {
    Nothing,
    KernelPages(DescRange<'f>, KernelPagesSlice<'f>),
    RemapPfn(DescRange<'f>, PfnSlice<'f>, Cache),
    IoRemapPfn(DescRange<'f>, PfnSlice<'f>, Cache),
    SimpleIoRemap(&'f PfnRange, Cache),
    /// Nothing now: page frames come by faults.
    PfnFaults(Cache),
    /// As `PfnFaults`, and they are a device's.
    IoFaults(Cache),
}

impl Action<'_> {
    /// The flags that come with the action.
    ///
    /// The kernel sets the same again, except for `DONTEXPAND` with kernel pages: a mapping that
    /// was filled once has nothing to offer beyond its end, so `mremap` must not move the end.
    const fn flags(&self) -> VmaFlags {
        match self {
            Action::Nothing => VmaFlags::EMPTY,
            Action::KernelPages(..) => VmaFlags::new([VmaFlag::MIXEDMAP, VmaFlag::DONTEXPAND]),
            Action::RemapPfn(..)
            | Action::IoRemapPfn(..)
            | Action::SimpleIoRemap(..)
            | Action::PfnFaults(..)
            | Action::IoFaults(..) => VmaFlags::new([
                VmaFlag::IO,
                VmaFlag::PFNMAP,
                VmaFlag::DONTEXPAND,
                VmaFlag::DONTDUMP,
            ]),
        }
    }

    /// How accesses are cached. Pages of the kernel are always cached, since the kernel itself uses
    /// them so: on some architectures, user space would see what the memory held before it was
    /// zeroed.
    const fn cache(&self) -> Cache {
        match self {
            Action::Nothing | Action::KernelPages(..) => Cache::Cached,
            Action::RemapPfn(_, _, cache)
            | Action::IoRemapPfn(_, _, cache)
            | Action::SimpleIoRemap(_, cache)
            | Action::PfnFaults(cache)
            | Action::IoFaults(cache) => *cache,
        }
    }
}

/// What a mapping gets besides its action: callbacks.
#[derive(Clone, Copy)]
pub(in crate::mm) struct Operations {
    pub(in crate::mm) table: *const bindings::vm_operations_struct,
    /// What the mapping's private data is to be.
    pub(in crate::mm) word: *mut c_void,
    /// The flags that come with the callbacks.
    pub(in crate::mm) flags: VmaFlags,
}

/// The answer of an `mmap_prepare` hook: a mapping that is ready to be made.
///
/// Made by a final call of a [`VmaDesc`], and by nothing else.
///
/// # Invariants
///
/// - `raw` is the descriptor of the hook call that `'f` is about.
/// - `operations`, if there are any, are of the kind of memory that `action` is about, and the word
///   is what goes with the table.
#[must_use = "the answer of the hook"]
pub struct Mapping<'f, D> {
    raw: NonNull<bindings::vm_area_desc>,
    action: Action<'f>,
    operations: Option<Operations>,
    error_override: Option<Error>,
    _brand: Brand<'f>,
    _file: PhantomData<fn(D) -> D>,
    _not_send: NotThreadSafe,
}

impl<'f, D> Mapping<'f, D> {
    fn new(desc: VmaDesc<'f, D>, action: Action<'f>) -> Self {
        // INVARIANT: The descriptor is consumed, and there are no operations.
        Self {
            raw: desc.as_raw(),
            action,
            operations: None,
            error_override: None,
            _brand: PhantomData,
            _file: PhantomData,
            _not_send: NotThreadSafe,
        }
    }

    /// Adds callbacks.
    ///
    /// # Safety
    ///
    /// The word must be what callbacks of that table expect to find, and the kind of memory must be
    /// the one that they are for.
    pub(in crate::mm) unsafe fn with_operations(mut self, operations: Operations) -> Self {
        // INVARIANT: As the caller promises.
        self.operations = Some(operations);
        self
    }

    /// Makes `mmap` fail with `error` if the action fails, whatever its own error.
    ///
    /// For drivers whose users expect one particular error. Does not apply to what is checked
    /// before the VMA exists, nor where a stacked file system maps our file.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{desc::{Mapping, VmaDesc}, KernelPages};
    ///
    /// fn map<'f, D>(pages: &'f KernelPages, desc: VmaDesc<'f, D>) -> Result<Mapping<'f, D>> {
    ///     Ok(desc.map_kernel_pages(pages)?.error_override(EAGAIN))
    /// }
    /// ```
    #[inline]
    pub fn error_override(mut self, error: Error) -> Self {
        self.error_override = Some(error);
        self
    }

    /// Changes the type of the file.
    ///
    /// # Safety
    ///
    /// The mapping must be right for a file of type `E`.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(in crate::mm) unsafe fn retag<E>(self) -> Mapping<'f, E> {
        // INVARIANT: The same mapping, with a type that the caller vouches for.
        Mapping {
            raw: self.raw,
            action: self.action,
            operations: self.operations,
            error_override: self.error_override,
            _brand: PhantomData,
            _file: PhantomData,
            _not_send: NotThreadSafe,
        }
    }

    /// Makes sure that a revocation finds the mapping, if the memory can be revoked: it is refused while
    /// the memory is, and the kernel asks again when it has been populated.
    ///
    /// For the files that have an [`AddressSpace`](crate::mm::rmap::AddressSpace) of their own. To be called
    /// after the hook has returned.
    ///
    /// # Errors
    ///
    /// [`ENODEV`] if the memory is revoked, or if the mapping is not kept with the mappings of the file,
    /// since a stacked driver makes it one of another file.
    pub(crate) fn in_reach(mut self) -> Result<Self> {
        // SAFETY: By the type invariants, `raw` is the descriptor of a hook call, whose file is open, and
        // so is the file that the VMA is to have.
        let (own, kept) = unsafe {
            let desc = self.raw.as_ref();
            ((*desc.file).f_mapping, (*desc.vm_file).f_mapping)
        };
        if !core::ptr::eq(own, kept) {
            return Err(ENODEV);
        }
        // SAFETY: The file is open, and the result is not kept.
        let section = unsafe { revoke::enter(own) }?;
        if section.is_some() && self.operations.is_none() {
            // INVARIANT: The table suits any kind of memory, and any word.
            self.operations = Some(Operations {
                table: revoke::populated_table(),
                word: core::ptr::null_mut(),
                flags: VmaFlags::new([VmaFlag::DONTEXPAND]),
            });
        }
        Ok(self)
    }

    /// Writes the mapping into its descriptor.
    ///
    /// To be called after the hook has returned, once.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if a stacked file system has made the mapping into one of page frames before, and
    /// this one is of pages, or the other way round.
    pub(crate) fn lower(self) -> Result {
        // SAFETY: By the type invariants, `raw` is the descriptor of a hook call; the value that
        // gave access to it has been consumed, so nobody else accesses it.
        let desc = unsafe { &mut *self.raw.as_ptr() };
        lower(desc, &self.action, self.operations, self.error_override)
    }
}

/// Writes an action into a descriptor: first the flags, then the page protection that goes with
/// them, and last the action, which takes a copy of the protection.
#[inline(never)]
fn lower(
    desc: &mut bindings::vm_area_desc,
    action: &Action<'_>,
    operations: Option<Operations>,
    error_override: Option<Error>,
) -> Result {
    let mut flags = VmaFlags::from_raw(desc.vma_flags).union(action.flags());
    if let Some(operations) = operations {
        flags = flags.union(operations.flags);
        desc.vm_ops = operations.table;
        desc.private_data = operations.word;
    } else {
        // A mapping without a fault handler is special, so that userfaultfd refuses it: nothing
        // answers the fault of an access to a marker. Nor would it do to merge it with one that has
        // callbacks.
        flags = flags.with(VmaFlag::DONTEXPAND);
    }
    if flags.contains_all(VmaFlags::new([VmaFlag::PFNMAP, VmaFlag::MIXEDMAP])) {
        return Err(EINVAL);
    }
    desc.vma_flags = flags.into_raw();

    // The kernel has computed the protection from the access flags, which a driver cannot change.
    desc.page_prot = action.cache().apply(desc.page_prot);
    if let Action::IoFaults(_) = action {
        // The memory of a device is not encrypted, unlike the machine's own may be. Where the kernel
        // maps it, it sees to that itself (`io_remap_pfn_range`).
        //
        // SAFETY: A pure computation.
        desc.page_prot = unsafe { bindings::pgprot_decrypted(desc.page_prot) };
    }

    let remap = |range: &DescRange<'_>, pfns: &PfnSlice<'_>| bindings::mmap_action__bindgen_ty_1 {
        remap: bindings::mmap_action__bindgen_ty_1__bindgen_ty_1 {
            start: range.start(),
            start_pfn: pfns.start_pfn(),
            size: range.len(),
            pgprot: desc.page_prot,
        },
    };
    let (type_, what) = match action {
        Action::Nothing | Action::PfnFaults(_) | Action::IoFaults(_) => {
            (bindings::mmap_action_type_MMAP_NOTHING, None)
        }
        Action::KernelPages(range, pages) => (
            bindings::mmap_action_type_MMAP_MAP_KERNEL_PAGES,
            Some(bindings::mmap_action__bindgen_ty_1 {
                map_kernel: bindings::mmap_action__bindgen_ty_1__bindgen_ty_3 {
                    start: range.start(),
                    pages: pages.as_page_array(),
                    nr_pages: range.nr_pages(),
                    pgoff: desc.pgoff,
                },
            }),
        ),
        Action::RemapPfn(range, pfns, _) => (
            bindings::mmap_action_type_MMAP_REMAP_PFN,
            Some(remap(range, pfns)),
        ),
        Action::IoRemapPfn(range, pfns, _) => (
            bindings::mmap_action_type_MMAP_IO_REMAP_PFN,
            Some(remap(range, pfns)),
        ),
        Action::SimpleIoRemap(pfns, _) => (
            bindings::mmap_action_type_MMAP_SIMPLE_IO_REMAP,
            Some(bindings::mmap_action__bindgen_ty_1 {
                simple_ioremap: bindings::mmap_action__bindgen_ty_1__bindgen_ty_2 {
                    start_phys_addr: (pfns.start_pfn() as bindings::phys_addr_t) << PAGE_SHIFT,
                    size: pfns.nr_pages() << PAGE_SHIFT,
                },
            }),
        ),
    };
    if let Some(what) = what {
        desc.action.__bindgen_anon_1 = what;
    }
    desc.action.type_ = type_;
    desc.action.error_override = error_override.map_or(0, |error| error.to_errno());
    Ok(())
}

/// The final calls.
impl<'f, D> VmaDesc<'f, D> {
    /// Maps nothing: every access ends with SIGBUS.
    ///
    /// Reserves addresses.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::testing::*, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let file = mm.device(|_, desc| Ok(desc.map_nothing()))?;
    /// let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
    /// assert_eq!(mm.read::<1>(addr), Err(EFAULT));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn map_nothing(self) -> Mapping<'f, D> {
        // INVARIANT: No range.
        Mapping::new(self, Action::Nothing)
    }

    /// Maps pages, the one with index [`pgoff`](Self::pgoff) first, over all of the mapping.
    ///
    /// User space keeps the pages alive for as long as it maps them. A page that user space drops
    /// from its mapping with `madvise(MADV_DONTNEED)` does not come back: access to it ends with
    /// SIGBUS.
    ///
    /// # Errors
    ///
    /// - [`ENXIO`] if the mapping starts or ends beyond the pages, as `vm_map_pages` answers in C.
    /// - [`ENOMEM`] if one of the pages has [too many references](crate::mm::Folio#references).
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::testing::*, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let file = mm.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
    /// let addr = file.mmap(2 * PAGE_SIZE, READ, SHARED, 1)?;
    /// assert_eq!((mm.read(addr)?, mm.read(addr + PAGE_SIZE)?), ([1], [2]));
    /// assert_eq!(file.mmap(2 * PAGE_SIZE, READ, SHARED, 3), Err(ENXIO));
    /// assert_eq!(file.mmap(PAGE_SIZE, READ, SHARED, 4), Err(ENXIO));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn map_kernel_pages(self, pages: &'f KernelPages) -> Result<Mapping<'f, D>> {
        let pages = pages.slice(self.pgoff(), self.nr_pages())?;
        let range = self.range();
        self.map_kernel_pages_range(range, pages)
    }

    /// Maps pages over a part of the mapping. Access to the rest ends with SIGBUS.
    ///
    /// # Errors
    ///
    /// - [`ENXIO`] if there are less pages than the range needs.
    /// - [`ENOMEM`] if one of the pages has [too many references](crate::mm::Folio#references).
    ///
    /// # Examples
    ///
    /// A page that must not be touched in front of those that hold data:
    ///
    /// ```
    /// use kernel::mm::{desc::{Mapping, VmaDesc}, KernelPages};
    /// use kernel::page::PAGE_SIZE;
    ///
    /// fn map<'f, D>(pages: &'f KernelPages, desc: VmaDesc<'f, D>) -> Result<Mapping<'f, D>> {
    ///     let data = desc.range().sub(PAGE_SIZE, pages.len())?;
    ///     desc.map_kernel_pages_range(data, pages.slice(0, pages.nr_pages())?)
    /// }
    /// ```
    pub fn map_kernel_pages_range(
        self,
        range: DescRange<'f>,
        pages: KernelPagesSlice<'f>,
    ) -> Result<Mapping<'f, D>> {
        if pages.nr_pages() < range.nr_pages() {
            return Err(ENXIO);
        }
        pages.check_mappable()?;
        // INVARIANT: The number was just checked, the lifetimes are in the types.
        Ok(Mapping::new(self, Action::KernelPages(range, pages)))
    }

    /// Maps page frames, the one with index [`pgoff`](Self::pgoff) first, over all of the mapping.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the mapping starts or ends beyond the frames, as `vm_iomap_memory` answers
    /// in C.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(CONFIG_X86)] {
    /// use kernel::{mm::{testing::*, Cache}, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let file = mm.device(|dev, desc| desc.remap_pfn(dev.firmware.pfns(), Cache::Cached))?;
    /// let addr = file.mmap(PAGE_SIZE, READ, SHARED, 15)?;
    /// assert_eq!(mm.read::<8>(addr + FIRMWARE_DATE % PAGE_SIZE)?[2], b'/');
    /// assert_eq!(file.mmap(2 * PAGE_SIZE, READ, SHARED, 15), Err(EINVAL));
    ///
    /// // A write makes a private copy of the page.
    /// let addr = file.mmap(PAGE_SIZE, READ | WRITE, PRIVATE, 15)?;
    /// mm.write(addr, b"mine")?;
    /// assert_eq!(mm.read(addr)?, *b"mine");
    /// # }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn remap_pfn(self, pfns: &'f PfnRange, cache: Cache) -> Result<Mapping<'f, D>> {
        let pfns = pfns.slice(self.pgoff(), self.nr_pages())?;
        let range = self.range();
        self.remap_pfn_range(range, pfns, cache)
    }

    /// Maps page frames over a part of the mapping. Access to the rest ends with SIGBUS.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if there are less frames than the range needs, or if the mapping is
    /// [copy-on-write](Self::is_cow) and the range is not all of it.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(CONFIG_X86)] {
    /// use kernel::{mm::{testing::*, Cache}, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let file = mm.device(|dev, desc| {
    ///     let second = desc.range().sub(PAGE_SIZE, PAGE_SIZE)?;
    ///     desc.remap_pfn_range(second, dev.firmware.pfns().slice(15, 1)?, Cache::Cached)
    /// })?;
    /// let addr = file.mmap(3 * PAGE_SIZE, READ, SHARED, 0)?;
    /// assert_eq!(mm.read::<8>(addr + PAGE_SIZE + FIRMWARE_DATE % PAGE_SIZE)?[2], b'/');
    /// assert_eq!(mm.read::<1>(addr), Err(EFAULT));
    /// // A part of a mapping that may have private copies.
    /// assert_eq!(file.mmap(3 * PAGE_SIZE, READ, PRIVATE, 0), Err(EINVAL));
    ///
    /// // More than there is.
    /// let file = mm.device(|dev, desc| {
    ///     let all = desc.range();
    ///     desc.remap_pfn_range(all, dev.firmware.pfns().slice(0, 1)?, Cache::Cached)
    /// })?;
    /// assert_eq!(file.mmap(2 * PAGE_SIZE, READ, SHARED, 0), Err(EINVAL));
    /// # }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn remap_pfn_range(
        self,
        range: DescRange<'f>,
        pfns: PfnSlice<'f>,
        cache: Cache,
    ) -> Result<Mapping<'f, D>> {
        self.check_remap(&range, &pfns)?;
        // INVARIANT: The number was just checked, the lifetimes are in the types.
        Ok(Mapping::new(self, Action::RemapPfn(range, pfns, cache)))
    }

    /// Maps device memory, the page with index [`pgoff`](Self::pgoff) first, over all of the
    /// mapping.
    ///
    /// Unlike [`remap_pfn`](Self::remap_pfn) this uses what the architecture has for device memory;
    /// with memory encryption, for one, the mapping is made unencrypted.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the mapping starts or ends beyond the memory.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(CONFIG_X86)] {
    /// use kernel::{mm::{testing::*, Cache}, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let file = mm.device(|dev, desc| desc.io_remap(&dev.firmware, Cache::NonCached))?;
    /// let addr = file.mmap(PAGE_SIZE, READ, SHARED, 15)?;
    /// assert_eq!(mm.read::<8>(addr + FIRMWARE_DATE % PAGE_SIZE)?[2], b'/');
    /// assert_eq!(file.mmap(PAGE_SIZE, READ, SHARED, 16), Err(EINVAL));
    /// # }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn io_remap(self, memory: &'f DeviceMemory, cache: Cache) -> Result<Mapping<'f, D>> {
        let pfns = memory.pfns().slice(self.pgoff(), self.nr_pages())?;
        let range = self.range();
        self.io_remap_range(
            range,
            memory,
            pfns.start_pfn() - memory.pfns().start_pfn(),
            cache,
        )
    }

    /// Maps device memory, from its page with index `first` on, over a part of the mapping. Access
    /// to the rest ends with SIGBUS.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range ends beyond the memory, or if the mapping is
    /// [copy-on-write](Self::is_cow) and the range is not all of it.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(CONFIG_X86)] {
    /// use kernel::{mm::{testing::*, Cache}, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let file = mm.device(|dev, desc| {
    ///     let last = desc.range().sub(desc.len() - PAGE_SIZE, PAGE_SIZE)?;
    ///     desc.io_remap_range(last, &dev.firmware, 15, Cache::NonCached)
    /// })?;
    /// let addr = file.mmap(2 * PAGE_SIZE, READ, SHARED, 0)?;
    /// assert_eq!(mm.read::<8>(addr + PAGE_SIZE + FIRMWARE_DATE % PAGE_SIZE)?[2], b'/');
    /// assert_eq!(mm.read::<1>(addr), Err(EFAULT));
    ///
    /// let file = mm.device(|dev, desc| {
    ///     let all = desc.range();
    ///     desc.io_remap_range(all, &dev.firmware, 16, Cache::NonCached)
    /// })?;
    /// assert_eq!(file.mmap(PAGE_SIZE, READ, SHARED, 0), Err(EINVAL));
    /// # }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn io_remap_range(
        self,
        range: DescRange<'f>,
        memory: &'f DeviceMemory,
        first: usize,
        cache: Cache,
    ) -> Result<Mapping<'f, D>> {
        let pfns = memory.pfns().slice(first, range.nr_pages())?;
        self.check_remap(&range, &pfns)?;
        // INVARIANT: The slice has as many pages as the range, the lifetimes are in the types.
        Ok(Mapping::new(self, Action::IoRemapPfn(range, pfns, cache)))
    }

    /// Maps device memory as [`io_remap`](Self::io_remap) does, with the kernel's own checks.
    ///
    /// The one call that a driver needs which exposes one range of registers, and nothing else.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the mapping starts or ends beyond the memory. The kernel finds that after the
    /// hook.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(CONFIG_X86)] {
    /// use kernel::{mm::{testing::*, Cache}, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let file = mm.device(|dev, desc| Ok(desc.simple_io_remap(&dev.firmware, Cache::NonCached)))?;
    /// let addr = file.mmap(PAGE_SIZE, READ, SHARED, 15)?;
    /// assert_eq!(mm.read::<8>(addr + FIRMWARE_DATE % PAGE_SIZE)?[2], b'/');
    /// assert_eq!(file.mmap(2 * PAGE_SIZE, READ, SHARED, 15), Err(EINVAL));
    /// # }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn simple_io_remap(self, memory: &'f DeviceMemory, cache: Cache) -> Mapping<'f, D> {
        // INVARIANT: The kernel checks the one range, all of the mapping, against the size.
        Mapping::new(self, Action::SimpleIoRemap(memory.pfns(), cache))
    }

    /// Maps nothing now; faults insert page frames.
    pub(in crate::mm) fn map_pfn_faults(self, cache: Cache) -> Mapping<'f, D> {
        // INVARIANT: No range.
        Mapping::new(self, Action::PfnFaults(cache))
    }

    /// As [`map_pfn_faults`](Self::map_pfn_faults), for the memory of a device.
    pub(in crate::mm) fn map_io_faults(self, cache: Cache) -> Mapping<'f, D> {
        // INVARIANT: No range.
        Mapping::new(self, Action::IoFaults(cache))
    }

    fn check_remap(&self, range: &DescRange<'_>, pfns: &PfnSlice<'_>) -> Result {
        if pfns.nr_pages() < range.nr_pages() {
            return Err(EINVAL);
        }
        // The kernel tells private copies from the frames by the page offset of the whole VMA.
        if self.is_cow() && range.len() != self.len() {
            return Err(EINVAL);
        }
        Ok(())
    }
}

// The flags of the actions and those that a driver may set are kept apart, or `PFNMAP` and
// `MIXEDMAP` could meet.
const _: () = {
    let settable = SetFlags::IO
        .union(SetFlags::DONTCOPY)
        .union(SetFlags::DONTEXPAND)
        .union(SetFlags::DONTDUMP)
        .union(SetFlags::HUGEPAGE)
        .union(SetFlags::NOHUGEPAGE)
        .union(SetFlags::SEQ_READ)
        .union(SetFlags::RAND_READ)
        .flags();
    assert!(!settable.contains(VmaFlag::PFNMAP) && !settable.contains(VmaFlag::MIXEDMAP));
};
