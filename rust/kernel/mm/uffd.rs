// SPDX-License-Identifier: GPL-2.0

//! userfaultfd: memory that user space fills on demand.
//!
//! User space registers a mapping with a userfaultfd, in some [`UffdModes`]. A driver's type of
//! memory file implements [`UffdOps`]: which modes it allows, and how it allocates, adds and finds
//! the folios of its page cache. What it leaves out, the layer does.
//!
//! # Filling a page
//!
//! `UFFDIO_COPY`, and `UFFDIO_ZEROPAGE` in a shared mapping, call these, for each page:
//!
//! 1. [`alloc_folio`](UffdOps::alloc_folio) returns a [`NewFolio`]: it is not locked, is in no page
//!    cache, and nothing else has a reference.
//! 2. The kernel writes the contents. It may drop the lock of the VMA to do so, and take that of an
//!    equivalent VMA afterwards.
//! 3. [`filemap_add`](UffdOps::filemap_add) borrows that folio, as a [`FillFolio`], and returns an
//!    [`AddedFolio`], which only [`AddFolio::add`] makes: the folio is locked, and in the page
//!    cache of the file that is mapped. If the callback fails, the folio is not in the page cache,
//!    and the kernel frees it.
//! 4. The kernel maps the folio and unlocks it. If it cannot,
//!    [`filemap_remove`](UffdOps::filemap_remove) is called before the layer removes the folio from
//!    the page cache and unlocks it.
//!
//! `UFFDIO_CONTINUE` calls [`get_folio_noalloc`](UffdOps::get_folio_noalloc), which returns a
//! [`FoundFolio`]: a folio of that file, with that page, which is locked and up to date.
//!
//! # Raising a fault
//!
//! The [`fault`](UffdOps::fault) callback can answer with a [`Raise`]: the layer tells user space
//! about the fault, and the access is repeated when user space has filled the page. The layer does
//! this after the callback has returned, in built-in code: the thread sleeps without a lock then,
//! and the mapping, the file and the driver's module may be gone when it wakes up.
//!
//! C header: [`include/linux/userfaultfd_k.h`](srctree/include/linux/userfaultfd_k.h)
//!
//! [`NewFolio`]: crate::mm::filemap::NewFolio

use crate::{
    error::VTABLE_DEFAULT_ERROR,
    mm::{
        filemap::NewFolio,
        ops::FaultError, //
    },
    prelude::*,
    types::ForeignOwnable, //
};

// Without userfaultfd, the kernel calls none of the callbacks but `fault`.
#[cfg_attr(not(CONFIG_USERFAULTFD), expect(dead_code))]
mod context;
mod fault;
#[cfg_attr(not(CONFIG_USERFAULTFD), expect(dead_code))]
mod modes;
#[cfg(CONFIG_USERFAULTFD)]
mod table;

pub(crate) use self::fault::{
    act,
    answer,
    decide,
    raise,
    Decide, //
};
#[cfg(CONFIG_USERFAULTFD)]
pub(crate) use self::table::{
    table,
    Defaults, //
};
pub use self::{
    context::{
        AddFolio,
        AddedFolio,
        AllocFolio,
        FileData,
        FillFolio,
        FindFolio,
        FoundFolio,
        RemoveFolio,
        UffdVma, //
    },
    fault::{
        Raise,
        UffdAnswer,
        UffdFault, //
    },
    modes::UffdModes, //
};

/// The callbacks of a type of memory file: faults, and what user space fills.
///
/// All of them can be left out. [`memory_file_type!`](crate::memory_file_type), next to the
/// implementation, makes the table of those that are there.
///
/// | callback | called for | locks | without it |
/// |---|---|---|---|
/// | [`can_userfault`] | `UFFDIO_REGISTER` | mmap lock for writing | the file's modes decide |
/// | [`alloc_folio`] | `UFFDIO_COPY`, `UFFDIO_ZEROPAGE` | (1) | [`AllocFolio::alloc`] |
/// | [`filemap_add`] | `UFFDIO_COPY`, `UFFDIO_ZEROPAGE` | (1) | [`AddFolio::add`] |
/// | [`filemap_remove`] | the same, if mapping the page fails | (1), folio lock | nothing |
/// | [`get_folio_noalloc`] | `UFFDIO_CONTINUE` | (1) | [`FindFolio::find`] |
/// | [`fault`] | an access to a page that is not mapped | (1) | [`leave_to_layer`] |
///
/// (1) The VMA lock, or the mmap lock for reading.
///
/// [`can_userfault`]: Self::can_userfault
/// [`alloc_folio`]: Self::alloc_folio
/// [`filemap_add`]: Self::filemap_add
/// [`filemap_remove`]: Self::filemap_remove
/// [`get_folio_noalloc`]: Self::get_folio_noalloc
/// [`fault`]: Self::fault
/// [`leave_to_layer`]: UffdFault::leave_to_layer
///
/// All callbacks may sleep. Those of a fill run while the userfaultfd keeps the mappings of the
/// process from changing (`map_changing_lock`).
///
/// # Examples
///
/// A type of file of which user space can fill a limited number of pages.
///
/// ```
/// use kernel::{
///     fs::memory_file::{MemoryFile, Options},
///     mm::uffd::{AddFolio, AddedFolio, FillFolio, RemoveFolio, UffdModes, UffdOps},
///     page::PAGE_SIZE,
///     sync::atomic::{Atomic, Relaxed}, //
/// };
///
/// struct Limited;
///
/// /// The data of a file: how many more pages user space can fill.
/// struct Left(Atomic<i32>);
///
/// #[vtable]
/// impl UffdOps for Limited {
///     type Data = KBox<Left>;
///
///     fn filemap_add<'a>(
///         fill: &'a AddFolio<Self>,
///         folio: FillFolio<'a>,
///     ) -> Result<AddedFolio<'a>> {
///         let added = fill.add(folio)?;
///         if fill.data().0.fetch_add(-1, Relaxed) <= 0 {
///             fill.data().0.fetch_add(1, Relaxed);
///             // The folio is removed from the page cache again.
///             return Err(ENOSPC);
///         }
///         Ok(added)
///     }
///
///     fn filemap_remove(fill: &RemoveFolio<Self>, _folio: &AddedFolio<'_>) {
///         fill.data().0.fetch_add(1, Relaxed);
///     }
/// }
///
/// kernel::memory_file_type!(Limited);
///
/// let left = KBox::new(Left(Atomic::new(16)), GFP_KERNEL)?;
/// let options = Options::new().userfault(UffdModes::MISSING);
/// let file = MemoryFile::<Limited>::new(c"limited", 64 * PAGE_SIZE as u64, options, left)?;
/// assert_eq!(file.data().0.load(Relaxed), 16);
/// # Ok::<(), Error>(())
/// ```
#[vtable]
pub trait UffdOps: Sized + 'static {
    /// The data that the driver gives to each file.
    ///
    /// Any number of callbacks borrow it at the same time. It is dropped when the last file,
    /// mapping and other user of the memory file is gone.
    type Data: ForeignOwnable + Send + Sync;

    /// Returns whether user space may register a mapping in these modes.
    ///
    /// The modes that the file does not allow are refused in any case. The kernel also refuses a
    /// mapping of a file that user space may not write, and calls this when user space unregisters
    /// the mapping. It does not call this if the only mode is
    /// [`WRITE_PROTECT`](UffdModes::WRITE_PROTECT), with `UFFD_FEATURE_WP_ASYNC`: this is possible
    /// for any memory.
    ///
    /// # Context
    ///
    /// The mmap lock is held for writing. May sleep.
    fn can_userfault(_vma: &UffdVma<Self>, _modes: UffdModes) -> bool {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Allocates the folio for a page that user space fills.
    ///
    /// The folio needs no contents: the kernel writes all of it. It must be one page: if it is
    /// larger, user space gets [`ENOMEM`], as for any error.
    ///
    /// # Context
    ///
    /// The VMA lock is held, or the mmap lock for reading. May sleep.
    ///
    /// # Errors
    ///
    /// User space gets [`ENOMEM`] for any error.
    fn alloc_folio(_fill: &AllocFolio<Self>) -> Result<NewFolio> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Adds the folio that user space fills to the page cache, with [`AddFolio::add`].
    ///
    /// The VMA may be another one than that of [`alloc_folio`](Self::alloc_folio): one of the same
    /// file, with the same flags of userfaultfd, at the same address. The page offset may differ.
    ///
    /// If the callback fails after it has added the folio, the folio is removed again.
    ///
    /// # Context
    ///
    /// The VMA lock is held, or the mmap lock for reading. May sleep.
    ///
    /// # Errors
    ///
    /// User space gets the error.
    fn filemap_add<'a>(_fill: &'a AddFolio<Self>, _folio: FillFolio<'a>) -> Result<AddedFolio<'a>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Reverts what [`filemap_add`](Self::filemap_add) has done in the driver's own data: the
    /// kernel could not map the folio.
    ///
    /// The layer removes the folio from the page cache afterwards.
    ///
    /// # Context
    ///
    /// The VMA lock is held, or the mmap lock for reading; and the lock of the folio. May sleep,
    /// but must not take the lock of another folio.
    fn filemap_remove(_fill: &RemoveFolio<Self>, _folio: &AddedFolio<'_>) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Finds the folio with a page that user space wants to have mapped, with [`FindFolio::find`].
    ///
    /// # Context
    ///
    /// The VMA lock is held, or the mmap lock for reading. May sleep.
    ///
    /// # Errors
    ///
    /// User space gets [`EFAULT`] for any error.
    fn get_folio_noalloc(_page: &FindFolio<Self>) -> Result<FoundFolio<'_>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Handles an access to a page that is not mapped.
    ///
    /// Pages that are in the page cache may be mapped together with a page that is accessed,
    /// without a call of this, unless the VMA is registered for minor faults or write protection.
    ///
    /// # Context
    ///
    /// The VMA lock is held, or the mmap lock for reading. May sleep.
    ///
    /// # Errors
    ///
    /// See [`FaultError`].
    fn fault(_fault: &UffdFault<Self>) -> Result<UffdAnswer<'_>, FaultError> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}
