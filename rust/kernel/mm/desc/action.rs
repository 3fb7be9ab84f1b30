// SPDX-License-Identifier: GPL-2.0

//! The actions of a mapping: what the kernel maps when it makes the VMA.
//!
//! The functions of [`VmaDesc`] in this file that return a [`Mapping`] consume the descriptor, and
//! no other function makes a [`Mapping`]. A mapping therefore has exactly one action, and the
//! driver cannot adjust the descriptor after it has chosen the action.
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

/// What the kernel maps when the VMA exists.
///
/// # Invariants
///
/// - Each range is in the mapping of the hook call that `'f` is used for, and the memory that is
///   mapped there has at least as many pages.
/// - The memory that is mapped is borrowed during `'f`.
#[derive(Clone, Copy)]
enum Action<'f> {
    Nothing,
    KernelPages(DescRange<'f>, KernelPagesSlice<'f>),
    RemapPfn(DescRange<'f>, PfnSlice<'f>, Cache),
    IoRemapPfn(DescRange<'f>, PfnSlice<'f>, Cache),
    SimpleIoRemap(&'f PfnRange, Cache),
    /// Nothing at mmap time: PFNs are faulted in.
    PfnFaults(Cache),
    /// Nothing at mmap time: PFNs of device memory are faulted in.
    IoFaults(Cache),
}

impl Action<'_> {
    /// Returns the flags that come with the action.
    ///
    /// When the kernel carries out an action, it sets the same flags again, except for `DONTEXPAND`
    /// with kernel pages. A mapping that is populated at mmap time has no pages past its end, so
    /// `mremap` must not extend it.
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

    /// Returns the cache mode of user space's accesses.
    ///
    /// Kernel pages are always mapped cached, as the kernel itself maps them: with another mode,
    /// user space would see, on some architectures, what the memory held before the kernel zeroed
    /// it.
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

/// The callbacks of a mapping, besides its action.
#[derive(Clone, Copy)]
pub(in crate::mm) struct Operations {
    pub(in crate::mm) table: *const bindings::vm_operations_struct,
    /// The value of `vm_private_data`.
    pub(in crate::mm) word: *mut c_void,
    /// The flags that come with the callbacks.
    pub(in crate::mm) flags: VmaFlags,
}

/// The result of an `mmap_prepare` hook: what the kernel makes the VMA from.
///
/// Only the final calls of a [`VmaDesc`] return one.
///
/// # Invariants
///
/// - `raw` is the descriptor of the hook call that `'f` is used for.
/// - `operations`, if there are any, are for the kind of memory that `action` maps, and their
///   `word` is what the callbacks in their `table` expect in `vm_private_data`.
#[must_use = "the `mmap_prepare` hook has to return this"]
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
        // INVARIANT: By the type invariants of `VmaDesc`, `raw` is the descriptor of that hook
        // call. There are no operations.
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
    /// `operations.word` must be what the callbacks in `operations.table` expect in
    /// `vm_private_data`, and the action must map the kind of memory that they are for.
    pub(in crate::mm) unsafe fn with_operations(mut self, operations: Operations) -> Self {
        // INVARIANT: By the safety requirements of this function, the operations are for the kind
        // of memory that `action` maps, and the word is what the callbacks expect.
        self.operations = Some(operations);
        self
    }

    /// Makes `mmap` fail with `error` if the action fails, instead of with the action's own error.
    ///
    /// For drivers whose users expect one particular error. It replaces an error of the `mapped`
    /// callback as well. It does not replace the error of a check that is made before the VMA
    /// exists, and does not apply if a stacked file system maps the file.
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
        // INVARIANT: All fields are the same. By the safety requirements of this function, the
        // mapping is valid for a file of type `E`.
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

    /// Ensures that a revocation of the file's memory finds the mapping.
    ///
    /// The mapping is refused if the memory is revoked. The kernel populates it later, outside the
    /// section that a revocation waits for. So the `mapped` callback checks again after that; a
    /// mapping without callbacks gets a table that has only this one.
    ///
    /// For files that have an [`AddressSpace`](crate::mm::rmap::AddressSpace) of their own. The
    /// caller must call this after the hook has returned.
    ///
    /// # Errors
    ///
    /// [`ENODEV`] if the memory is revoked, or if a stacked driver has the mapping kept with the
    /// mappings of another file, where a revocation does not find it.
    pub(crate) fn in_reach(&mut self) -> Result {
        // SAFETY: By the type invariants, `raw` is the descriptor of a hook call. Its `file` is
        // open, and so is `vm_file`, the file that the VMA will have.
        let (own, kept) = unsafe {
            let desc = self.raw.as_ref();
            ((*desc.file).f_mapping, (*desc.vm_file).f_mapping)
        };
        if !core::ptr::eq(own, kept) {
            return Err(ENODEV);
        }
        // SAFETY: `own` is the address space of `desc.file`, which has been opened. It is not
        // released before this function returns, and the section ends before that.
        let section = unsafe { revoke::enter(own) }?;
        if section.is_some() && self.operations.is_none() {
            // INVARIANT: The callback in this table works with any kind of memory, and does not use
            // `vm_private_data`.
            self.operations = Some(Operations {
                table: revoke::populated_table(),
                word: core::ptr::null_mut(),
                flags: VmaFlags::new([VmaFlag::DONTEXPAND]),
            });
        }
        Ok(())
    }

    /// Writes the mapping into its descriptor.
    ///
    /// The caller must call this after the hook has returned. It is not by value: a copy of a
    /// mapping is long.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if a stacked file system has set `PFNMAP` in the descriptor and this mapping
    /// needs `MIXEDMAP`, or the other way round.
    pub(crate) fn lower(&mut self) -> Result {
        // SAFETY: By the type invariants, `raw` is the descriptor of a hook call. The `VmaDesc`
        // that gave access to it has been consumed, and `self` is its only successor.
        let desc = unsafe { &mut *self.raw.as_ptr() };
        lower(desc, &self.action, self.operations, self.error_override)
    }
}

/// Writes an action into a descriptor.
///
/// The flags come first, then the page protection, and last the action, which takes a copy of the
/// page protection.
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
        // Without a fault handler, an access to a marker of userfaultfd would not be answered.
        // `DONTEXPAND` makes the VMA special, so that userfaultfd refuses it. It also prevents
        // merging with a VMA that has callbacks.
        flags = flags.with(VmaFlag::DONTEXPAND);
    }
    if flags.contains_all(VmaFlags::new([VmaFlag::PFNMAP, VmaFlag::MIXEDMAP])) {
        return Err(EINVAL);
    }
    desc.vma_flags = flags.into_raw();

    // The kernel has computed `page_prot` from the access flags, which a driver cannot change.
    desc.page_prot = action.cache().apply(desc.page_prot);
    if let Action::IoFaults(_) = action {
        // Device memory is not encrypted, even if the machine encrypts its RAM. When the kernel
        // maps it itself, `io_remap_pfn_range` takes care of that.
        //
        // SAFETY: `pgprot_decrypted` only computes a value from its argument.
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

/// The final calls, which choose the action.
impl<'f, D> VmaDesc<'f, D> {
    /// Maps nothing, so that every access gets SIGBUS.
    ///
    /// For a driver that lets user space reserve a range of addresses.
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
        // INVARIANT: The action has no range and maps no memory.
        Mapping::new(self, Action::Nothing)
    }

    /// Maps kernel pages over the whole mapping, from the page with index [`pgoff`](Self::pgoff)
    /// on.
    ///
    /// A page is not freed while user space maps it. After user space has dropped a page from its
    /// mapping with `madvise(MADV_DONTNEED)`, accesses to it get SIGBUS: it is not mapped again.
    ///
    /// # Errors
    ///
    /// - [`ENXIO`] if the mapping starts or extends past the last page. C drivers get the same
    ///   error from `vm_map_pages`.
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

    /// Maps kernel pages over a part of the mapping.
    ///
    /// Accesses to the rest of the mapping get SIGBUS.
    ///
    /// # Errors
    ///
    /// - [`ENXIO`] if there are fewer pages than the range needs.
    /// - [`ENOMEM`] if one of the pages has [too many references](crate::mm::Folio#references).
    ///
    /// # Examples
    ///
    /// A guard page that gets SIGBUS, followed by the pages that hold data:
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
        // INVARIANT: The check above shows that there are enough pages. The types show that they
        // are borrowed during `'f`, and that the range is in the mapping.
        Ok(Mapping::new(self, Action::KernelPages(range, pages)))
    }

    /// Maps PFNs over the whole mapping, from the one with index [`pgoff`](Self::pgoff) on.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the mapping starts or extends past the last PFN. C drivers get the same error
    /// from `vm_iomap_memory`.
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
    /// // A write makes a copy-on-write page.
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

    /// Maps PFNs over a part of the mapping.
    ///
    /// Accesses to the rest of the mapping get SIGBUS.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if there are fewer PFNs than the range needs. `mmap` fails with it if the mapping
    /// is [copy-on-write](Self::is_cow) and the range is not the whole mapping
    /// (`get_remap_pgoff()`).
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
    /// // A part of a copy-on-write mapping.
    /// assert_eq!(file.mmap(3 * PAGE_SIZE, READ, PRIVATE, 0), Err(EINVAL));
    ///
    /// // Fewer PFNs than the range needs.
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
        if pfns.nr_pages() < range.nr_pages() {
            return Err(EINVAL);
        }
        // INVARIANT: The check above shows that there are enough PFNs. The types show that they are
        // borrowed during `'f`, and that the range is in the mapping.
        Ok(Mapping::new(self, Action::RemapPfn(range, pfns, cache)))
    }

    /// Maps device memory over the whole mapping, from its page with index [`pgoff`](Self::pgoff)
    /// on.
    ///
    /// Unlike [`remap_pfn`](Self::remap_pfn), this does what the architecture requires for device
    /// memory. For example, if the machine encrypts its RAM, this makes the mapping unencrypted.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the mapping starts or extends past the end of the memory.
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

    /// Maps device memory over a part of the mapping, from the memory's page with index `first` on.
    ///
    /// Accesses to the rest of the mapping get SIGBUS.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range extends past the end of the memory. `mmap` fails with it if the
    /// mapping is [copy-on-write](Self::is_cow) and the range is not the whole mapping
    /// (`get_remap_pgoff()`).
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
        // INVARIANT: The slice has as many pages as the range. The types show that the memory is
        // borrowed during `'f`, and that the range is in the mapping.
        Ok(Mapping::new(self, Action::IoRemapPfn(range, pfns, cache)))
    }

    /// Maps device memory as [`io_remap`](Self::io_remap) does, and leaves the checks to the
    /// kernel.
    ///
    /// For a driver whose files give access to one range of registers and nothing else.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the mapping starts or extends past the end of the memory. The kernel checks
    /// that after the hook has returned.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(CONFIG_X86)] {
    /// use kernel::{mm::{testing::*, Cache}, page::PAGE_SIZE};
    ///
    /// let mm = UserMm::attach()?;
    /// let file = mm.device(|dev, desc| {
    ///     Ok(desc.simple_io_remap(&dev.firmware, Cache::NonCached))
    /// })?;
    /// let addr = file.mmap(PAGE_SIZE, READ, SHARED, 15)?;
    /// assert_eq!(mm.read::<8>(addr + FIRMWARE_DATE % PAGE_SIZE)?[2], b'/');
    /// assert_eq!(file.mmap(2 * PAGE_SIZE, READ, SHARED, 15), Err(EINVAL));
    /// # }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn simple_io_remap(self, memory: &'f DeviceMemory, cache: Cache) -> Mapping<'f, D> {
        // INVARIANT: The action has no range: it maps the memory over the whole mapping, whose size
        // the kernel checks. The type shows that the memory is borrowed during `'f`.
        Mapping::new(self, Action::SimpleIoRemap(memory.pfns(), cache))
    }

    /// Maps nothing at mmap time: the fault handler inserts PFNs.
    pub(in crate::mm) fn map_pfn_faults(self, cache: Cache) -> Mapping<'f, D> {
        // INVARIANT: The action has no range and maps no memory.
        Mapping::new(self, Action::PfnFaults(cache))
    }

    /// Maps nothing at mmap time: the fault handler inserts PFNs of device memory.
    pub(in crate::mm) fn map_io_faults(self, cache: Cache) -> Mapping<'f, D> {
        // INVARIANT: The action has no range and maps no memory.
        Mapping::new(self, Action::IoFaults(cache))
    }
}

// A driver cannot set `PFNMAP` or `MIXEDMAP`: they come with the action, so a mapping has only one
// of the two.
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
