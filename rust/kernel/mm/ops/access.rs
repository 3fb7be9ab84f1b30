// SPDX-License-Identifier: GPL-2.0

//! Access to a mapping's memory by a task other than its own.

#[cfg(CONFIG_HAVE_IOREMAP_PROT)]
use super::{
    DriverVmaUnderMmap,
    Pfn,
    VmOperations, //
};
use crate::mm::flags::{
    VmaFlag,
    VmaFlags, //
};
#[cfg(CONFIG_HAVE_IOREMAP_PROT)]
use crate::{
    bindings,
    error::to_result,
    mm::{
        memory::{
            pfn::Insertion,
            Cache,
            Frames, //
        },
        revoke::RevocableSlice, //
    },
    page::PAGE_SIZE,
    prelude::*, //
};

/// A request to [`VmOperations::access`], with the buffer to copy to or from.
///
/// A request is not empty, and does not extend past the VMA. A driver matches it: each of the two
/// variants has the buffer as its only field. With [`Read`](Self::Read), the driver copies to the
/// buffer, with [`Write`](Self::Write), from it.
///
/// # Examples
///
/// ```
/// use kernel::{
///     mm::{ops::Access, Folio},
///     prelude::*, //
/// };
///
/// /// Copies from or to a folio, and returns how many bytes the folio had room for.
/// fn copy(folio: &Folio, offset: usize, access: Access<'_>) -> Result<usize> {
///     let len = access.len().min(folio.len().saturating_sub(offset));
///     match access {
///         Access::Read(buf) => folio.read_at(offset, &mut buf[..len])?,
///         Access::Write(buf) => folio.write_at(offset, &buf[..len])?,
///     }
///     Ok(len)
/// }
///
/// let folio = Folio::alloc(0, GFP_KERNEL)?;
/// assert_eq!(copy(&folio, folio.len() - 4, Access::Write(b"written"))?, 4);
/// let mut out = [0; 3];
/// assert_eq!(copy(&folio, folio.len() - 4, Access::Read(&mut out))?, 3);
/// assert_eq!(&out, b"wri");
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub enum Access<'a> {
    /// Copy the memory to the buffer, which the process may read, or may get permission to read.
    Read(&'a mut [u8]),
    /// Copy the buffer to the memory, which the process may write, and which it shares.
    Write(&'a [u8]),
}

impl Access<'_> {
    /// Returns the length of the buffer in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Access::Read(buf) => buf.len(),
            Access::Write(buf) => buf.len(),
        }
    }

    /// Returns whether the buffer is empty, which it never is in a callback.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Returns whether the kernel would let a debugger access its own memory in a VMA with these flags.
///
/// As in `check_vma_flags()` (mm/gup.c) with `FOLL_FORCE`, a read needs MAYREAD, and a write needs
/// WRITE. A write to a private mapping would go to a copy-on-write page, which a driver does not
/// have, so a write also needs SHARED.
pub(super) fn is_permitted(flags: VmaFlags, write: bool) -> bool {
    if write {
        flags.contains_all(VmaFlags::new([VmaFlag::WRITE, VmaFlag::SHARED]))
    } else {
        flags.contains(VmaFlag::MAYREAD)
    }
}

#[cfg(CONFIG_HAVE_IOREMAP_PROT)]
impl<O: VmOperations<Memory = Pfn>> DriverVmaUnderMmap<O> {
    /// Accesses the device memory that the VMA maps at `addr`, and returns the number of bytes.
    ///
    /// It accesses no more than what is left of one page; the kernel calls the driver again for the
    /// rest. The page must be mapped: memory that is faulted in can be accessed only after the
    /// process has accessed it. See [`access_pfn`](Self::access_pfn) for memory that need not be
    /// mapped.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `addr` is not in the VMA, nothing is mapped there, the PFN is RAM, or the
    ///   request is a write and the mapping is read-only.
    /// - [`ENOMEM`] if there is not enough memory.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::ops::{Access, DriverVmaUnderMmap, Pfn, VmOperations};
    ///
    /// /// The body of a driver's `access`.
    /// fn access<O>(vma: &DriverVmaUnderMmap<O>, addr: usize, access: Access<'_>) -> Result<usize>
    /// where
    ///     O: VmOperations<Memory = Pfn>,
    /// {
    ///     vma.access_phys(addr, access)
    /// }
    /// ```
    pub fn access_phys(&self, addr: usize, access: Access<'_>) -> Result<usize> {
        if self.pgoff_at(addr).is_none() {
            return Err(EINVAL);
        }
        let room = (PAGE_SIZE - (addr & (PAGE_SIZE - 1))).min(access.len());
        let (buf, write) = match access {
            Access::Read(buf) => (buf.as_mut_ptr(), 0),
            // C does not write to the buffer if it writes to the memory.
            Access::Write(buf) => (buf.as_ptr().cast_mut(), 1),
        };
        let room = c_int::try_from(room)?;
        // SAFETY: By the type invariants, this thread holds the mmap lock. `addr` is in the VMA,
        // and `buf` is valid for `room` bytes.
        let done = unsafe {
            bindings::rust_mem_access_mapped(self.as_ptr(), addr, buf.cast(), room, write)
        };
        usize::try_from(done).map_err(|_| Error::from_errno(done))
    }

    /// Accesses the page with index `index` in `pfns`, which the driver maps at `addr`, and returns
    /// the number of bytes.
    ///
    /// Nothing need be mapped at `addr`: a debugger can look at memory that is faulted in before
    /// the process has accessed it. The driver chooses the page as its fault handler does.
    ///
    /// It accesses no more than what is left of the page; the kernel calls the driver again for the
    /// rest. The memory can be registers: accesses are naturally aligned, and as large as the
    /// alignment and the length of the request permit, up to the size of a `usize`. So a request
    /// for one register is one access of the register's size.
    ///
    /// The coherent memory of a device is copied as bytes.
    ///
    /// A write does not call [`pfn_mkwrite`](VmOperations::pfn_mkwrite).
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `addr` is not in the VMA, `pfns` has no such index, or the revocation of the
    ///   memory would not find this mapping.
    /// - [`ENODEV`] if the memory is [revoked](crate::mm::revoke::Revocation).
    /// - [`ENOMEM`] if there is not enough memory.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{
    ///     ops::{Access, DriverVmaUnderMmap, Pfn, VmOperations},
    ///     revoke::RevocableMemory, //
    /// };
    ///
    /// /// The body of a driver's `access`. The memory starts at page offset 0.
    /// fn access<O>(
    ///     vma: &DriverVmaUnderMmap<O>,
    ///     memory: &RevocableMemory,
    ///     addr: usize,
    ///     access: Access<'_>,
    /// ) -> Result<usize>
    /// where
    ///     O: VmOperations<Memory = Pfn>,
    /// {
    ///     let index = vma.pgoff_at(addr).ok_or(EINVAL)?;
    ///     vma.access_pfn(addr, memory.all(), index, access)
    /// }
    /// ```
    pub fn access_pfn(
        &self,
        addr: usize,
        pfns: RevocableSlice<'_>,
        index: usize,
        access: Access<'_>,
    ) -> Result<usize> {
        if self.pgoff_at(addr).is_none() {
            return Err(EINVAL);
        }
        let combined = pfns.cache() == Cache::WriteCombined;
        let (entered, _section) = pfns.enter(Insertion(()), self.mapping())?;
        if index >= entered.nr_pages() {
            return Err(EINVAL);
        }
        let pfn = entered.start_pfn() + index;
        let offset = addr & (PAGE_SIZE - 1);
        let len = (PAGE_SIZE - offset).min(access.len());
        let (buf, write) = match access {
            Access::Read(buf) => (buf.as_mut_ptr(), false),
            // C does not write to the buffer if it writes to the memory.
            Access::Write(buf) => (buf.as_ptr().cast_mut(), true),
        };
        if let Some(start) = pfns.ram() {
            let at = start.as_ptr().wrapping_add(index * PAGE_SIZE + offset);
            // SAFETY: The section keeps the RAM from being freed. It has the page with that index,
            // and `len` bytes at `at`, which C code accesses. `buf` is valid for `len` bytes.
            unsafe {
                match write {
                    true => bindings::rust_mm_store_bytes(at.cast(), buf.cast(), len),
                    false => bindings::rust_mm_load_bytes(buf.cast(), at.cast(), len),
                }
            }
            return Ok(len);
        }
        // SAFETY:
        // - The PFN is that of device memory, which is not revoked before `_section` is dropped.
        // - `buf` is valid for `len` bytes. They are in the page, starting at `offset`.
        to_result(unsafe {
            bindings::rust_mem_access(pfn, combined, offset, buf.cast(), len, write)
        })?;
        Ok(len)
    }
}
