// SPDX-License-Identifier: GPL-2.0

//! The `get_unmapped_area` operation of a file: the address of a mapping.
//!
//! C headers: [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h),
//! [`include/linux/huge_mm.h`](srctree/include/linux/huge_mm.h)

use super::{
    answer::errno,
    hooks::FileHooks,
    opened::private_data, //
};
use crate::{
    bindings,
    prelude::*,
    types::NotThreadSafe, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

/// A request for the address of a mapping.
///
/// The driver ends the operation with [`anywhere`](Self::anywhere) or
/// [`for_huge_pages`](Self::for_huge_pages).
///
/// # Invariants
///
/// `file` is open during `'a`, and this thread is in its `get_unmapped_area` operation, with the
/// arguments that this value has.
pub struct AreaRequest<'a> {
    file: NonNull<bindings::file>,
    addr: usize,
    len: usize,
    pgoff: usize,
    flags: usize,
    _file: PhantomData<&'a bindings::file>,
    _not_send: NotThreadSafe,
}

/// The address of a mapping that is about to be made, which the kernel has chosen.
///
/// # Invariants
///
/// `addr` is what a `get_unmapped_area` function of the kernel has returned for the request that
/// `'a` belongs to.
pub struct Area<'a> {
    addr: usize,
    _request: PhantomData<AreaRequest<'a>>,
}

impl<'a> AreaRequest<'a> {
    /// Returns the length of the mapping in bytes.
    ///
    /// # Examples
    ///
    /// See [`for_huge_pages`](Self::for_huge_pages).
    #[expect(clippy::len_without_is_empty)]
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns the offset in the file at which the mapping starts, in pages.
    ///
    /// # Examples
    ///
    /// See [`for_huge_pages`](Self::for_huge_pages).
    #[inline]
    pub fn pgoff(&self) -> usize {
        self.pgoff
    }

    /// Returns the address that the kernel chooses for a file without this operation.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`] if there is no unmapped range of that length.
    ///
    /// # Examples
    ///
    /// See [`for_huge_pages`](Self::for_huge_pages).
    pub fn anywhere(self) -> Result<Area<'a>> {
        // SAFETY: By the type invariants, the file is open, and the other arguments are those of
        // the operation, for which the mmap lock of the current process is held.
        let addr = unsafe {
            bindings::mm_get_unmapped_area(
                self.file.as_ptr(),
                self.addr,
                self.len,
                self.pgoff,
                self.flags,
            )
        };
        Area::new(addr)
    }

    /// Returns an address at which PMDs can map the memory, if there is one.
    ///
    /// The address is a multiple of the size that a PMD maps, plus the part of the file offset that
    /// is not such a multiple. So a fault handler can map a PMD wherever it can find memory that is
    /// aligned to its offset in the file.
    ///
    /// It is any address, as from [`anywhere`](Self::anywhere), if
    ///
    /// - user space demands the address (`MAP_FIXED`), or the range at the address that it proposes
    ///   is unmapped;
    /// - no PMD maps only this mapping, because it is too small or is at such an offset;
    /// - there is no unmapped range that is large enough to choose such an address in it;
    /// - the process is a 32-bit one, or the kernel has no transparent huge pages.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`] if there is no unmapped range of that length.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::fs::area::{Area, AreaRequest};
    ///
    /// /// The body of the `get_unmapped_area` of a device whose first 64 pages are small.
    /// fn get_unmapped_area<'a>(request: AreaRequest<'a>) -> Result<Area<'a>> {
    ///     if request.pgoff() + request.len() / kernel::page::PAGE_SIZE <= 64 {
    ///         return request.anywhere();
    ///     }
    ///     request.for_huge_pages()
    /// }
    /// ```
    pub fn for_huge_pages(self) -> Result<Area<'a>> {
        #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
        {
            // SAFETY: By the type invariants, the file is open, and the other arguments are those
            // of the operation, for which the mmap lock of the current process is held.
            let addr = unsafe {
                bindings::thp_get_unmapped_area(
                    self.file.as_ptr(),
                    self.addr,
                    self.len,
                    self.pgoff,
                    self.flags,
                )
            };
            Area::new(addr)
        }
        #[cfg(not(CONFIG_TRANSPARENT_HUGEPAGE))]
        {
            self.anywhere()
        }
    }
}

impl Area<'_> {
    /// Wraps what a `get_unmapped_area` function has returned.
    fn new(addr: usize) -> Result<Self> {
        if addr > usize::MAX - bindings::MAX_ERRNO as usize {
            return Err(Error::from_errno(addr as isize as c_int));
        }
        // INVARIANT: It is no error, so it is the address that the function has returned.
        Ok(Self {
            addr,
            _request: PhantomData,
        })
    }
}

/// `file_operations::get_unmapped_area` of each kind of file.
///
/// # Safety
///
/// C must be calling this for `file`, which must be of the kind `F`.
pub(crate) unsafe extern "C" fn get_unmapped_area<F: FileHooks>(
    file: *mut bindings::file,
    addr: usize,
    len: usize,
    pgoff: usize,
    flags: usize,
) -> usize {
    // SAFETY: By the safety requirements of this function, the file is of the kind `F`. It is not
    // released before this function returns.
    let area = unsafe { private_data::<F::Ptr>(file) }.and_then(|device| {
        // INVARIANT: By the safety requirements of this function, C is calling the operation of
        // the file, which is open meanwhile, with these arguments.
        let request = AreaRequest {
            // SAFETY: The pointer to a valid file is not null.
            file: unsafe { NonNull::new_unchecked(file) },
            addr,
            len,
            pgoff,
            flags,
            _file: PhantomData,
            _not_send: NotThreadSafe,
        };
        F::get_unmapped_area(device, request)
    });
    match area {
        Ok(area) => area.addr,
        Err(err) => errno(err) as isize as usize,
    }
}
