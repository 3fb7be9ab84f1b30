// SPDX-License-Identifier: GPL-2.0

//! The callbacks of a mapping that is made with [`VmaDesc::map_pieces`].
//!
//! They are the layer's, and `vm_private_data` is a pointer to the list. All else is as with the
//! callbacks of a driver: the trampolines are the same.

use super::{
    FrameSource,
    PageSource,
    PieceSource,
    Pieces, //
};
#[cfg(CONFIG_HAVE_IOREMAP_PROT)]
use crate::mm::ops::{
    Access,
    DriverVmaUnderMmap, //
};
use crate::{
    bindings,
    mm::{
        desc::{
            Mapping,
            Operations,
            VmaDesc, //
        },
        file::{
            self,
            MapFile, //
        },
        flags::VmaFlag,
        ops::{
            data::{
                unmapped,
                VmaData, //
            },
            sealed::Sealed,
            Fault,
            FaultAnswer,
            FaultAround,
            FaultError,
            HasVmOps,
            Memory,
            Ordinary,
            Pfn,
            VmOperations, //
        }, //
    },
    prelude::*, //
};
use core::{
    ffi::c_void,
    marker::PhantomData, //
};

/// A VMA has no data of its own: the callbacks borrow the list, which the file keeps.
///
/// What [`VmaData`] calls the pointer of the device is a pointer to the list here.
struct PieceList<S>(PhantomData<fn() -> S>);

impl<S> Sealed for PieceList<S> {}

impl<S: PieceSource> VmaData for PieceList<S> {
    const PER_VMA: bool = false;
    const ALIGN: usize = align_of::<Pieces<S>>();
    type Ref<'a, F: MapFile> = &'a Pieces<S>;

    #[inline]
    unsafe fn borrow<'a, F: MapFile>(word: *mut c_void) -> &'a Pieces<S> {
        // SAFETY:
        // - By the safety requirements of this function, `word` is live, so it is the pointer that
        //   `map_pieces` has set, to a list that its hook has borrowed for its `'f`.
        // - The hook works for every `'f` during which its device is valid, also for the longest.
        //   So the list is valid for as long as the device, which is dropped when the file is
        //   released. The VMA, which is not closed during `'a`, keeps the file open.
        unsafe { &*word.cast() }
    }

    #[inline]
    fn into_word(self, list: *mut c_void) -> *mut c_void {
        list
    }

    #[inline]
    unsafe fn duplicate(word: *mut c_void) -> *mut c_void {
        word
    }

    #[inline]
    unsafe fn release(_word: *mut c_void) {}
}

/// A file of any kind whose `HAS_ADDRESS_SPACE` is `SPACE`.
///
/// The callbacks below do not use the private data of the file.
struct AnyFile<const SPACE: bool>;

impl<const SPACE: bool> file::sealed::Sealed for AnyFile<SPACE> {}

impl<const SPACE: bool> MapFile for AnyFile<SPACE> {
    type Ptr = KBox<usize>;
    type Driver = Self;
    const HAS_ADDRESS_SPACE: bool = SPACE;
}

/// The callbacks of a mapping that consists of pages.
struct PageOps<const SPACE: bool>;

#[vtable]
impl<const SPACE: bool> VmOperations for PageOps<SPACE> {
    type File = AnyFile<SPACE>;
    type Data = PieceList<PageSource>;
    type Memory = Ordinary;

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        vmf.data().fault(vmf)
    }

    fn map_pages(vmf: &FaultAround<Self>) {
        vmf.data().map_pages(vmf);
    }
}

crate::vm_operations!(PageOps<false>);
crate::vm_operations!(PageOps<true>);

/// The callbacks of a mapping that consists of frames.
struct FrameOps<const SPACE: bool>;

#[vtable]
impl<const SPACE: bool> VmOperations for FrameOps<SPACE> {
    type File = AnyFile<SPACE>;
    type Data = PieceList<FrameSource>;
    type Memory = Pfn;

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        vmf.data().fault(vmf)
    }

    #[cfg(CONFIG_HAVE_IOREMAP_PROT)]
    fn access(vma: &DriverVmaUnderMmap<Self>, addr: usize, access: Access<'_>) -> Result<usize> {
        vma.data().access(vma, addr, access)
    }
}

crate::vm_operations!(FrameOps<false>);
crate::vm_operations!(FrameOps<true>);

/// Returns the table of a mapping that consists of pages.
pub(super) fn page_table(has_address_space: bool) -> *const bindings::vm_operations_struct {
    if has_address_space {
        PageOps::<true>::table().as_ptr()
    } else {
        PageOps::<false>::table().as_ptr()
    }
}

/// Returns the table of a mapping that consists of frames.
pub(super) fn frame_table(has_address_space: bool) -> *const bindings::vm_operations_struct {
    if has_address_space {
        FrameOps::<true>::table().as_ptr()
    } else {
        FrameOps::<false>::table().as_ptr()
    }
}

impl<'f, D: MapFile> VmaDesc<'f, D> {
    /// Maps the pieces of a list, from its page with index [`pgoff`](Self::pgoff) on.
    ///
    /// The pieces are faulted in: nothing is mapped before user space accesses it. User space can
    /// neither grow the mapping nor have it merged. Accesses to a hole get SIGBUS. A page that user
    /// space has dropped with `madvise(MADV_DONTNEED)` is mapped again when it is accessed.
    ///
    /// If the pieces have one cache mode, it is that of the mapping. Otherwise the mapping is not
    /// cached, and each piece is mapped with its own mode. But on arm64 and RISC-V, `mprotect(2)`
    /// gives what is mapped the mode of the mapping (`pte_modify`).
    ///
    /// The memory can be revoked, if the file has an address space with a
    /// [`Revocation`](crate::mm::revoke::Revocation).
    ///
    /// # Errors
    ///
    /// Those of [`Pieces::check_mapping`].
    ///
    /// # Examples
    ///
    /// Ranges of a BAR, in an order of their own. `samples/rust/mm/rust_mmap_pfn.rs` is a complete
    /// driver.
    ///
    /// ```
    /// use kernel::{
    ///     mm::{
    ///         desc::{Mapping, VmaDesc},
    ///         ops::{FrameSource, Pieces},
    ///         revoke::RevocableMemory,
    ///         MapFile, //
    ///     },
    ///     sync::Arc, //
    /// };
    ///
    /// struct Doorbells {
    ///     pieces: Pieces<FrameSource>,
    /// }
    ///
    /// impl Doorbells {
    ///     /// Called from `probe`. Page 1 of the BAR is not for user space.
    ///     fn new(bar: Arc<RevocableMemory>) -> Result<Self> {
    ///         let bar = || FrameSource::revocable(bar.clone());
    ///         let mut pieces = Pieces::new(3, 2, GFP_KERNEL)?;
    ///         pieces.add_read_only(0, bar(), 3..4)?;
    ///         pieces.add(2, bar(), 0..1)?;
    ///         Ok(Self { pieces })
    ///     }
    ///
    ///     /// The body of `mmap_prepare`.
    ///     fn map<'f, D: MapFile>(&'f self, mut desc: VmaDesc<'f, D>) -> Result<Mapping<'f, D>> {
    ///         desc.deny_cow()?;
    ///         desc.map_pieces(&self.pieces)
    ///     }
    /// }
    /// ```
    pub fn map_pieces<S: PieceSource>(mut self, pieces: &'f Pieces<S>) -> Result<Mapping<'f, D>> {
        pieces.check_mapping(&mut self)?;
        // No overflow: the mapping is not longer than the list.
        let cache = pieces.cache(self.pgoff()..self.pgoff() + self.nr_pages());
        let memory = if S::FRAMES {
            Pfn::FLAGS
        } else {
            Ordinary::FLAGS
        };
        let operations = Operations {
            table: S::table(D::HAS_ADDRESS_SPACE),
            word: unmapped(core::ptr::from_ref(pieces).cast_mut().cast()),
            // A merged mapping would have only one of the two lists, and what it grows by would not
            // be checked.
            flags: memory.with(VmaFlag::DONTEXPAND),
        };
        // SAFETY:
        // - The table is that for lists of `S`, in files that have an address space if those of `D`
        //   have one. Its callbacks expect a pointer to the list, with bit 0 set until `mapped` is
        //   called. `PieceList::borrow` says why the list is valid for as long as the VMA.
        // - The actions below map nothing, in a mapping for PFNs if `S` are frames.
        let draft = unsafe { self.with_operations(operations) };
        Ok(if S::FRAMES {
            draft.io_faults(cache)
        } else {
            draft.nothing()
        })
    }
}
