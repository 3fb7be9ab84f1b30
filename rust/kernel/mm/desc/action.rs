// SPDX-License-Identifier: GPL-2.0

//! The actions of a mapping: what the kernel maps when it makes the VMA.
//!
//! The functions of [`VmaDesc`] in this file that return a [`Mapping`] consume the descriptor, and
//! no other function makes a [`Mapping`]. A mapping therefore has exactly one action, and the
//! driver cannot adjust the descriptor after it has chosen the action.
//!
//! They write the action into the descriptor at once. If the hook fails afterwards, the kernel does
//! not look at the descriptor. The functions that write are not generic, so that a driver's module
//! only calls them.
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

/// Adds the flags that come with an action.
///
/// When the kernel carries out an action, it sets the same flags again, except for `DONTEXPAND`
/// with kernel pages. A mapping that is populated at mmap time has no pages past its end, so
/// `mremap` must not extend it.
#[inline]
fn add_flags(desc: &mut bindings::vm_area_desc, flags: VmaFlags) {
    desc.vma_flags = VmaFlags::from_raw(desc.vma_flags).union(flags).into_raw();
}

/// The flags of a mapping of kernel pages.
const KERNEL_PAGES: VmaFlags = VmaFlags::new([VmaFlag::MIXEDMAP, VmaFlag::DONTEXPAND]);

/// The flags of a mapping of PFNs.
const PFNS: VmaFlags = VmaFlags::new([
    VmaFlag::IO,
    VmaFlag::PFNMAP,
    VmaFlag::DONTEXPAND,
    VmaFlag::DONTDUMP,
]);

/// Sets the action, after its parameters.
#[inline]
fn set_type(desc: &mut bindings::vm_area_desc, type_: bindings::mmap_action_type) {
    desc.action.type_ = type_;
    desc.action.error_override = 0;
}

/// Has the kernel map kernel pages.
///
/// Kernel pages are always mapped cached, as the kernel itself maps them: with another mode, user
/// space would see, on some architectures, what the memory held before the kernel zeroed it, and
/// writes through a [`Vmap`](crate::mm::Vmap) of the same pages could be lost.
///
/// # Errors
///
/// As [`VmaDesc::map_kernel_pages_range`].
///
/// # Safety
///
/// - `range` must be in the mapping.
/// - The pages must be borrowed during the `'f` of the hook call.
unsafe fn set_kernel_pages(
    desc: &mut bindings::vm_area_desc,
    range: DescRange<'_>,
    pages: KernelPagesSlice<'_>,
) -> Result {
    if pages.nr_pages() < range.nr_pages() {
        return Err(ENXIO);
    }
    pages.check_mappable()?;
    add_flags(desc, KERNEL_PAGES);
    desc.action.__bindgen_anon_1.map_kernel = bindings::mmap_action__bindgen_ty_1__bindgen_ty_3 {
        start: range.start(),
        pages: pages.as_page_array(),
        nr_pages: range.nr_pages(),
        pgoff: desc.pgoff,
    };
    set_type(desc, bindings::mmap_action_type_MMAP_MAP_KERNEL_PAGES);
    Ok(())
}

/// Has the kernel map kernel pages over the whole mapping, from the one with the index that is the
/// page offset on.
///
/// # Errors
///
/// As [`VmaDesc::map_kernel_pages`].
///
/// # Safety
///
/// The pages must be borrowed during the `'f` of the hook call.
unsafe fn set_all_kernel_pages(desc: &mut bindings::vm_area_desc, pages: &KernelPages) -> Result {
    // INVARIANT: This is the range of the mapping.
    let range = DescRange {
        start: desc.start,
        len: desc.end.wrapping_sub(desc.start),
        _brand: PhantomData,
    };
    let pages = pages.slice(desc.pgoff, range.nr_pages())?;
    // SAFETY: The range is that of the mapping. By the safety requirements of this function, the
    // pages are borrowed during `'f`.
    unsafe { set_kernel_pages(desc, range, pages) }
}

/// Sets the cache mode of user space's accesses.
///
/// The kernel has computed `page_prot` from the access flags, which a driver cannot change. It must
/// be final before the action takes a copy of it.
#[inline]
fn set_cache(desc: &mut bindings::vm_area_desc, cache: Cache) {
    desc.page_prot = cache.apply(desc.page_prot);
}

/// Has the kernel map PFNs, with the action `type_`.
///
/// # Safety
///
/// - `type_` must be one of the two actions that map PFNs. If it is that for device memory, the
///   PFNs must be device memory.
/// - `range` must be in the mapping, and must not have more pages than `pfns`.
/// - The PFNs must be borrowed during the `'f` of the hook call.
unsafe fn set_remap(
    desc: &mut bindings::vm_area_desc,
    type_: bindings::mmap_action_type,
    range: DescRange<'_>,
    pfns: PfnSlice<'_>,
    cache: Cache,
) {
    add_flags(desc, PFNS);
    set_cache(desc, cache);
    desc.action.__bindgen_anon_1.remap = bindings::mmap_action__bindgen_ty_1__bindgen_ty_1 {
        start: range.start(),
        start_pfn: pfns.start_pfn(),
        size: range.len(),
        pgprot: desc.page_prot,
    };
    set_type(desc, type_);
}

/// Has the kernel map device memory, after it has checked the range.
///
/// # Safety
///
/// The PFNs must be device memory, and must be borrowed during the `'f` of the hook call.
unsafe fn set_simple_io_remap(desc: &mut bindings::vm_area_desc, pfns: &PfnRange, cache: Cache) {
    add_flags(desc, PFNS);
    set_cache(desc, cache);
    desc.action.__bindgen_anon_1 = bindings::mmap_action__bindgen_ty_1 {
        simple_ioremap: bindings::mmap_action__bindgen_ty_1__bindgen_ty_2 {
            start_phys_addr: (pfns.start_pfn() as bindings::phys_addr_t) << PAGE_SHIFT,
            size: pfns.nr_pages() << PAGE_SHIFT,
        },
    };
    set_type(desc, bindings::mmap_action_type_MMAP_SIMPLE_IO_REMAP);
}

/// Prepares a mapping into which faults insert PFNs, of device memory if `is_io` is true.
fn set_pfn_faults(desc: &mut bindings::vm_area_desc, cache: Cache, is_io: bool) {
    add_flags(desc, PFNS);
    set_cache(desc, cache);
    if is_io {
        // Device memory is not encrypted, even if the machine encrypts its RAM. When the kernel
        // maps it itself, `io_remap_pfn_range` takes care of that.
        //
        // SAFETY: `pgprot_decrypted` only computes a value from its argument.
        desc.page_prot = unsafe { bindings::pgprot_decrypted(desc.page_prot) };
    }
    set_type(desc, bindings::mmap_action_type_MMAP_NOTHING);
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

/// A descriptor that lacks only its action.
///
/// # Invariants
///
/// If `has_operations` is true, the descriptor has the callbacks of a driver, and otherwise none.
pub(in crate::mm) struct Draft<'f, D> {
    desc: VmaDesc<'f, D>,
    has_operations: bool,
}

impl<'f, D> VmaDesc<'f, D> {
    /// Leaves the mapping without callbacks.
    #[inline]
    fn without_operations(mut self) -> Draft<'f, D> {
        // Without a fault handler, an access to a marker of userfaultfd would not be answered.
        // `DONTEXPAND` makes the VMA special, so that userfaultfd refuses it. It also prevents
        // merging with a VMA that has callbacks.
        add_flags(self.raw_mut(), VmaFlags::new([VmaFlag::DONTEXPAND]));
        // INVARIANT: The descriptor that the kernel passes to a hook has no callbacks.
        Draft {
            desc: self,
            has_operations: false,
        }
    }

    /// Gives the mapping callbacks.
    ///
    /// # Safety
    ///
    /// `operations.word` must be what the callbacks in `operations.table` expect in
    /// `vm_private_data`, and the action must map the kind of memory that they are for.
    #[inline]
    pub(in crate::mm) unsafe fn with_operations(mut self, operations: Operations) -> Draft<'f, D> {
        let desc = self.raw_mut();
        add_flags(desc, operations.flags);
        desc.vm_ops = operations.table;
        desc.private_data = operations.word;
        // INVARIANT: The descriptor has callbacks now.
        Draft {
            desc: self,
            has_operations: true,
        }
    }
}

/// The actions, for a mapping with callbacks or without.
///
/// [`VmaDesc`] documents them.
impl<'f, D> Draft<'f, D> {
    /// Makes the mapping, after its action was set.
    #[inline]
    fn complete(self) -> Mapping<'f, D> {
        // INVARIANT: By the type invariants of `VmaDesc`, `raw` is the descriptor of that hook
        // call, and by those of `Draft`, `has_operations` says whether it has callbacks.
        Mapping {
            raw: self.desc.as_raw(),
            has_operations: self.has_operations,
            _brand: PhantomData,
            _file: PhantomData,
            _not_send: NotThreadSafe,
        }
    }

    #[inline]
    pub(in crate::mm) fn nothing(mut self) -> Mapping<'f, D> {
        set_type(self.desc.raw_mut(), bindings::mmap_action_type_MMAP_NOTHING);
        self.complete()
    }

    #[inline]
    pub(in crate::mm) fn kernel_pages(mut self, pages: &'f KernelPages) -> Result<Mapping<'f, D>> {
        // SAFETY: The type shows that the pages are borrowed during `'f`.
        unsafe { set_all_kernel_pages(self.desc.raw_mut(), pages) }?;
        Ok(self.complete())
    }

    #[inline]
    pub(in crate::mm) fn kernel_pages_range(
        mut self,
        range: DescRange<'f>,
        pages: KernelPagesSlice<'f>,
    ) -> Result<Mapping<'f, D>> {
        // SAFETY: The types show that the pages are borrowed during `'f`, and that the range is in
        // the mapping.
        unsafe { set_kernel_pages(self.desc.raw_mut(), range, pages) }?;
        Ok(self.complete())
    }

    #[inline]
    pub(in crate::mm) fn pfns(self, pfns: &'f PfnRange, cache: Cache) -> Result<Mapping<'f, D>> {
        let pfns = pfns.slice(self.desc.pgoff(), self.desc.nr_pages())?;
        let range = self.desc.range();
        self.pfn_range(range, pfns, cache)
    }

    #[inline]
    pub(in crate::mm) fn pfn_range(
        mut self,
        range: DescRange<'f>,
        pfns: PfnSlice<'f>,
        cache: Cache,
    ) -> Result<Mapping<'f, D>> {
        if pfns.nr_pages() < range.nr_pages() {
            return Err(EINVAL);
        }
        let type_ = bindings::mmap_action_type_MMAP_REMAP_PFN;
        // SAFETY: The check above shows that there are enough PFNs. The types show that they are
        // borrowed during `'f`, and that the range is in the mapping.
        unsafe { set_remap(self.desc.raw_mut(), type_, range, pfns, cache) };
        Ok(self.complete())
    }

    #[inline]
    pub(in crate::mm) fn io(
        self,
        memory: &'f DeviceMemory,
        cache: Cache,
    ) -> Result<Mapping<'f, D>> {
        let range = self.desc.range();
        let first = self.desc.pgoff();
        self.io_range(range, memory, first, cache)
    }

    #[inline]
    pub(in crate::mm) fn io_range(
        mut self,
        range: DescRange<'f>,
        memory: &'f DeviceMemory,
        first: usize,
        cache: Cache,
    ) -> Result<Mapping<'f, D>> {
        let pfns = memory.pfns().slice(first, range.nr_pages())?;
        let type_ = bindings::mmap_action_type_MMAP_IO_REMAP_PFN;
        // SAFETY: The PFNs are device memory, and the slice has as many pages as the range. The
        // types show that the memory is borrowed during `'f`, and that the range is in the mapping.
        unsafe { set_remap(self.desc.raw_mut(), type_, range, pfns, cache) };
        Ok(self.complete())
    }

    #[inline]
    fn simple_io(mut self, memory: &'f DeviceMemory, cache: Cache) -> Mapping<'f, D> {
        // SAFETY: The PFNs are device memory. The type shows that it is borrowed during `'f`.
        unsafe { set_simple_io_remap(self.desc.raw_mut(), memory.pfns(), cache) };
        self.complete()
    }

    /// Maps nothing at mmap time: the fault handler inserts PFNs.
    #[inline]
    pub(in crate::mm) fn pfn_faults(mut self, cache: Cache) -> Mapping<'f, D> {
        set_pfn_faults(self.desc.raw_mut(), cache, false);
        self.complete()
    }

    /// Maps nothing at mmap time: the fault handler inserts PFNs of device memory.
    #[inline]
    pub(in crate::mm) fn io_faults(mut self, cache: Cache) -> Mapping<'f, D> {
        set_pfn_faults(self.desc.raw_mut(), cache, true);
        self.complete()
    }
}

/// The result of an `mmap_prepare` hook: what the kernel makes the VMA from.
///
/// Only the final calls of a [`VmaDesc`] return one.
///
/// # Invariants
///
/// - `raw` is the descriptor of the hook call that `'f` is used for. It has its action, which is
///   valid if this mapping is the result of the hook: what it maps is borrowed during `'f`.
/// - If `has_operations` is true, the descriptor has the callbacks of a driver. They are for the
///   kind of memory that the action maps, and its `private_data` is what they expect in
///   `vm_private_data`.
#[must_use = "the `mmap_prepare` hook has to return this"]
pub struct Mapping<'f, D> {
    raw: NonNull<bindings::vm_area_desc>,
    has_operations: bool,
    _brand: Brand<'f>,
    _file: PhantomData<fn(D) -> D>,
    _not_send: NotThreadSafe,
}

impl<'f, D> Mapping<'f, D> {
    #[inline]
    fn raw_mut(&mut self) -> &mut bindings::vm_area_desc {
        // SAFETY: By the type invariants, `raw` is the descriptor of a hook call. The `VmaDesc`
        // that gave access to it has been consumed, and `self` is its only successor.
        unsafe { self.raw.as_mut() }
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
        self.raw_mut().action.error_override = error.to_errno();
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
            has_operations: self.has_operations,
            _brand: PhantomData,
            _file: PhantomData,
            _not_send: NotThreadSafe,
        }
    }

    /// Ensures that a revocation of the file's memory finds the mapping.
    ///
    /// The mapping is refused if the memory is revoked. The kernel populates it later, when the
    /// memory may be revoked. So the `mapped` callback checks again after that; a mapping without
    /// callbacks gets a table that has only this one.
    ///
    /// For files that have an [`AddressSpace`](crate::mm::rmap::AddressSpace) of their own. The
    /// caller must call this after the hook has returned.
    ///
    /// # Errors
    ///
    /// [`ENODEV`] if the memory is revoked, or if a stacked driver has the mapping kept with the
    /// mappings of another file, where a revocation does not find it.
    #[inline]
    pub(crate) fn in_reach(&mut self) -> Result {
        let has_operations = self.has_operations;
        // SAFETY: By the type invariants, this is the descriptor of a hook call. Its `file` is
        // open, and so is `vm_file`, the file that the VMA will have.
        unsafe { keep_in_reach(self.raw_mut(), has_operations) }
    }

    /// Checks the finished descriptor.
    ///
    /// The caller must call this after the hook has returned.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if a stacked file system has set `PFNMAP` in the descriptor and this mapping
    /// needs `MIXEDMAP`, or the other way round.
    #[inline]
    pub(crate) fn finish(&mut self) -> Result {
        let flags = VmaFlags::from_raw(self.raw_mut().vma_flags);
        if flags.contains_all(VmaFlags::new([VmaFlag::PFNMAP, VmaFlag::MIXEDMAP])) {
            return Err(EINVAL);
        }
        Ok(())
    }
}

/// Ensures that a revocation of the file's memory finds the mapping, which has callbacks of the
/// driver if `has_operations` is true.
///
/// # Errors
///
/// As [`Mapping::in_reach`].
///
/// # Safety
///
/// `desc` must be the descriptor of a hook call, after the hook has returned. Its files must be
/// open.
unsafe fn keep_in_reach(desc: &mut bindings::vm_area_desc, has_operations: bool) -> Result {
    // SAFETY: By the safety requirements of this function, both files are open.
    let (own, kept) = unsafe { ((*desc.file).f_mapping, (*desc.vm_file).f_mapping) };
    if !core::ptr::eq(own, kept) {
        return Err(ENODEV);
    }
    // SAFETY: `own` is the address space of `desc.file`, which is not released before this function
    // returns.
    let is_revocable = unsafe { revoke::check(own) }?;
    if is_revocable && !has_operations {
        // The callback in this table works with any kind of memory, and does not use
        // `vm_private_data`.
        desc.vm_ops = revoke::populated_table();
        desc.private_data = core::ptr::null_mut();
    }
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
    #[inline]
    pub fn map_nothing(self) -> Mapping<'f, D> {
        self.without_operations().nothing()
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
    #[inline]
    pub fn map_kernel_pages(self, pages: &'f KernelPages) -> Result<Mapping<'f, D>> {
        self.without_operations().kernel_pages(pages)
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
    #[inline]
    pub fn map_kernel_pages_range(
        self,
        range: DescRange<'f>,
        pages: KernelPagesSlice<'f>,
    ) -> Result<Mapping<'f, D>> {
        self.without_operations().kernel_pages_range(range, pages)
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
    #[inline]
    pub fn remap_pfn(self, pfns: &'f PfnRange, cache: Cache) -> Result<Mapping<'f, D>> {
        self.without_operations().pfns(pfns, cache)
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
    #[inline]
    pub fn remap_pfn_range(
        self,
        range: DescRange<'f>,
        pfns: PfnSlice<'f>,
        cache: Cache,
    ) -> Result<Mapping<'f, D>> {
        self.without_operations().pfn_range(range, pfns, cache)
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
    #[inline]
    pub fn io_remap(self, memory: &'f DeviceMemory, cache: Cache) -> Result<Mapping<'f, D>> {
        self.without_operations().io(memory, cache)
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
    #[inline]
    pub fn io_remap_range(
        self,
        range: DescRange<'f>,
        memory: &'f DeviceMemory,
        first: usize,
        cache: Cache,
    ) -> Result<Mapping<'f, D>> {
        self.without_operations()
            .io_range(range, memory, first, cache)
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
    #[inline]
    pub fn simple_io_remap(self, memory: &'f DeviceMemory, cache: Cache) -> Mapping<'f, D> {
        self.without_operations().simple_io(memory, cache)
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
