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
    page::PAGE_SIZE,
    prelude::*, //
};

/// What is asked of [`VmOperations::access`].
///
/// Never longer than what is left of the VMA.
///
/// # Examples
///
/// ```
/// use kernel::{
///     mm::{ops::Access, Folio},
///     prelude::*, //
/// };
///
/// /// Copies from or to a folio, as far as that goes. Returns how many bytes.
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
    /// Copy the memory to the buffer. The process may read it, or could ask for that.
    Read(&'a mut [u8]),
    /// Copy the buffer to the memory. The process may write it, and others see what it writes.
    Write(&'a [u8]),
}

impl Access<'_> {
    /// Returns the number of bytes that are asked for.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Access::Read(buf) => buf.len(),
            Access::Write(buf) => buf.len(),
        }
    }

    /// Returns whether nothing is asked for. Never true in a callback.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Returns whether the kernel would let a debugger access pages of its own with these VMA flags
/// (`check_vma_flags()` in mm/gup.c, with `FOLL_FORCE`): what cannot become readable is not read, what
/// is not writable is not written, and a write to a private mapping is for its copy-on-write page.
pub(super) fn is_permitted(flags: VmaFlags, write: bool) -> bool {
    if write {
        flags.contains_all(VmaFlags::new([VmaFlag::WRITE, VmaFlag::SHARED]))
    } else {
        flags.contains(VmaFlag::MAYREAD)
    }
}

#[cfg(CONFIG_HAVE_IOREMAP_PROT)]
impl<O: VmOperations<Memory = Pfn>> DriverVmaUnderMmap<O> {
    /// Accesses device memory through what the VMA maps.
    ///
    /// Accesses at most what is left of one page. The page has to be mapped: memory that is faulted in
    /// can be accessed only where it has been accessed before.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `addr` is not in the VMA, nothing is mapped there, or what is mapped must not
    ///   be written.
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
            // C only reads it then.
            Access::Write(buf) => (buf.as_ptr().cast_mut(), 1),
        };
        let room = c_int::try_from(room)?;
        // SAFETY: By the type invariants, this thread holds the mmap lock; `buf` is valid for `room`
        // bytes.
        let done =
            unsafe { bindings::generic_access_phys(self.as_ptr(), addr, buf.cast(), room, write) };
        usize::try_from(done).map_err(|_| Error::from_errno(done))
    }
}
