// SPDX-License-Identifier: GPL-2.0

//! Physical memory that is mapped by page frame number.
//!
//! A page table entry that is made from a page frame number (PFN) holds no reference, so the use of
//! the memory behind it must not change while a user mapping exists. The types of this module stand
//! for that. For a [`PfnRange`], the caller of the unsafe constructor guarantees it; for a
//! [`DeviceMemory`], the layer also checks that it is not RAM.
//!
//! C header: [`include/linux/ioport.h`](srctree/include/linux/ioport.h)

use crate::{
    bindings,
    io::PhysAddr,
    page::{
        PAGE_MASK,
        PAGE_SHIFT, //
    },
    prelude::*, //
};

/// A range of PFNs that may be mapped into user space without reference counts.
///
/// # Invariants
///
/// - The machine can address all of the PFNs, and `nr_pages` is not zero.
/// - User space may be given access to the memory of these PFNs at any time, for any length of
///   time; if it is a [`RevocableMemory`](crate::mm::revoke::RevocableMemory), until it is revoked.
#[derive(Debug)]
pub struct PfnRange {
    start: usize,
    nr_pages: usize,
}

impl PfnRange {
    /// Declares that `nr_pages` PFNs, starting at `start`, may be mapped.
    ///
    /// # Safety
    ///
    /// From now on, and for as long as user space may have a mapping of these PFNs, the kernel must
    /// not use their memory for anything that user space must not read or write. A mapping can
    /// outlive this value, since it keeps only the *file* alive. In particular, the memory must not
    /// be RAM that the page allocator owns or may get back before all mappings are revoked.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if `nr_pages` is zero, or if the range extends past the last address of the
    /// machine.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::PfnRange;
    ///
    /// // SAFETY: The page at physical address 0xf0000 holds a PC's firmware, which is read-only.
    /// let rom = unsafe { PfnRange::new(0xf0, 1) }?;
    /// assert_eq!((rom.start_pfn(), rom.nr_pages()), (0xf0, 1));
    /// // SAFETY: An empty range has no PFNs.
    /// assert!(unsafe { PfnRange::new(0xf0, 0) }.is_err_and(|e| e == EINVAL));
    /// # #[cfg(any(CONFIG_X86, CONFIG_ARM64))]
    /// // SAFETY: `new` refuses a PFN that the machine cannot address, so nothing is mapped.
    /// assert!(unsafe { PfnRange::new(usize::MAX >> 13, 1) }.is_err_and(|e| e == EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    pub unsafe fn new(start: usize, nr_pages: usize) -> Result<Self> {
        // SAFETY: `iomem_resource.end` is written only at boot.
        let last_addr = unsafe { bindings::iomem_resource.end };
        let last = start
            .checked_add(nr_pages)
            .and_then(|end| end.checked_sub(1));
        match last {
            // INVARIANT: The guard checks the range. The safety requirements of this function allow
            // access by user space.
            Some(last)
                if nr_pages != 0
                    && last as bindings::resource_size_t <= last_addr >> PAGE_SHIFT
                    // SAFETY: C only compares the PFN, whose address does not overflow.
                    && unsafe { bindings::pfn_is_addressable(last) } =>
            {
                Ok(Self { start, nr_pages })
            }
            _ => Err(EINVAL),
        }
    }

    /// Returns the first PFN.
    #[inline]
    pub fn start_pfn(&self) -> usize {
        self.start
    }

    /// Returns the number of PFNs, which is not zero.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        self.nr_pages
    }

    /// Returns the whole range as a slice.
    #[inline]
    pub fn all(&self) -> PfnSlice<'_> {
        // INVARIANT: The slice is the whole range, which is borrowed.
        PfnSlice {
            start: self.start,
            nr_pages: self.nr_pages,
            _whole: self,
        }
    }

    /// Returns `nr_pages` PFNs of the range, starting at index `first`.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range does not have all of them, as `vm_iomap_memory()` returns in C.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::PfnRange;
    ///
    /// // SAFETY: The 64 KiB at physical address 0xf0000 hold a PC's firmware, which is read-only.
    /// let rom = unsafe { PfnRange::new(0xf0, 16) }?;
    /// assert_eq!(rom.slice(12, 4)?.nr_pages(), 4);
    /// assert!(rom.slice(12, 5).is_err_and(|e| e == EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn slice(&self, first: usize, nr_pages: usize) -> Result<PfnSlice<'_>> {
        match first.checked_add(nr_pages) {
            // INVARIANT: The slice is inside the range, which is borrowed; so nothing overflows.
            Some(end) if end <= self.nr_pages => Ok(PfnSlice {
                start: self.start + first,
                nr_pages,
                _whole: self,
            }),
            _ => Err(EINVAL),
        }
    }
}

/// Consecutive PFNs of a [`PfnRange`].
///
/// # Invariants
///
/// `nr_pages` PFNs, starting at `start`, are PFNs of `_whole`.
#[derive(Clone, Copy)]
pub struct PfnSlice<'a> {
    start: usize,
    nr_pages: usize,
    _whole: &'a PfnRange,
}

impl PfnSlice<'_> {
    /// Returns the first PFN.
    #[inline]
    pub fn start_pfn(&self) -> usize {
        self.start
    }

    /// Returns the number of PFNs.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        self.nr_pages
    }
}

/// A token that only the layer can make.
///
/// It keeps drivers from calling [`Frames::enter`], with whose result they could insert the PFNs
/// anywhere.
#[doc(hidden)]
pub struct Insertion(pub(in crate::mm) ());

/// How RAM is mapped that a device accesses: flags of a `struct rust_dma_memory`.
///
/// It is mapped in this way and in no other: with another cache mode, or as encrypted memory if it
/// is not, user space and the device would not see the same, and caches could be written back when
/// the RAM is used for something else.
#[doc(hidden)]
#[cfg_attr(not(CONFIG_PCI), allow(dead_code))]
#[derive(Clone, Copy)]
pub struct RamMode(pub(in crate::mm) c_uint);

impl RamMode {
    /// Returns a protection with this mode, in place of the mode that `prot` has.
    #[inline]
    pub(in crate::mm) fn apply(self, prot: bindings::pgprot_t) -> bindings::pgprot_t {
        // SAFETY: `rust_dma_pgprot` only computes a value from its arguments.
        unsafe { bindings::rust_dma_pgprot(prot, self.0) }
    }
}

mod sealed {
    pub trait Sealed {}
}
pub(in crate::mm) use sealed::Sealed;

/// PFNs that a driver can insert into a mapping after it was made.
///
/// These are either a [`PfnSlice`], whose memory is never revoked, or a
/// [`RevocableSlice`](crate::mm::revoke::RevocableSlice), whose memory can be revoked.
pub trait Frames: Sealed + Copy {
    /// The guard for which a revocation of the memory waits.
    #[doc(hidden)]
    type Section<'s>
    where
        Self: 's;

    /// Whether the memory can be revoked, and then must be unmapped without exception.
    #[doc(hidden)]
    const REVOCABLE: bool;

    /// Returns the PFNs, and the guard under which they may be inserted into a mapping of a file
    /// with the address space `mapping`.
    ///
    /// # Errors
    ///
    /// - [`ENODEV`] if the memory is revoked.
    /// - [`EINVAL`] if a revocation would not find the mapping, because it looks in another address
    ///   space.
    #[doc(hidden)]
    fn enter<'s>(
        &'s self,
        _: Insertion,
        mapping: *const bindings::address_space,
    ) -> Result<(PfnSlice<'s>, Self::Section<'s>)>;

    /// Returns how the PFNs must be mapped, if they are RAM that a device accesses.
    #[doc(hidden)]
    #[inline]
    fn ram_mode(&self) -> Option<RamMode> {
        None
    }
}

impl Sealed for PfnSlice<'_> {}

impl Frames for PfnSlice<'_> {
    type Section<'s>
        = ()
    where
        Self: 's;

    const REVOCABLE: bool = false;

    #[inline]
    fn enter<'s>(
        &'s self,
        _: Insertion,
        _mapping: *const bindings::address_space,
    ) -> Result<(PfnSlice<'s>, ())> {
        Ok((*self, ()))
    }
}

/// Page-aligned device memory that is never revoked.
///
/// For a device from which no driver can be unbound. A driver that is bound to a device gets a
/// [`RevocableMemory`](crate::mm::revoke::RevocableMemory) instead.
///
/// # Invariants
///
/// `pfns` contains no RAM.
pub struct DeviceMemory {
    pfns: PfnRange,
}

impl DeviceMemory {
    /// Declares that `size` bytes at the physical address `start` belong to a device.
    ///
    /// # Safety
    ///
    /// - No other driver may rely on being the only user of that memory.
    /// - No access to it by user space, at any time, may break a guarantee that the kernel gives.
    /// - It must never become RAM (by hotplug), or the memory of another device.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is empty, is not page-aligned, or contains RAM.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::DeviceMemory;
    ///
    /// # #[cfg(CONFIG_X86)] {
    /// // SAFETY: 0xf0000 is the firmware of a PC, which is read-only.
    /// let rom = unsafe { DeviceMemory::from_phys(0xf0000, 0x10000) }?;
    /// assert_eq!(rom.pfns().nr_pages(), 16);
    ///
    /// // SAFETY: `from_phys` refuses a range that is not page-aligned, so nothing is mapped.
    /// let unaligned = unsafe { DeviceMemory::from_phys(0xf0010, 0x1000) };
    /// assert!(unaligned.is_err_and(|e| e == EINVAL));
    /// // SAFETY: `from_phys` refuses RAM, which starts at 1 MiB, so nothing is mapped.
    /// let ram = unsafe { DeviceMemory::from_phys(0x100000, 0x1000) };
    /// assert!(ram.is_err_and(|e| e == EINVAL));
    /// # }
    /// # Ok::<(), Error>(())
    /// ```
    pub unsafe fn from_phys(start: PhysAddr, size: usize) -> Result<Self> {
        let pfns = device_frames(start, size as bindings::resource_size_t)?;
        // INVARIANT: `device_frames` has checked that the range contains no RAM.
        Ok(Self { pfns })
    }

    /// Returns the PFNs of the memory.
    #[inline]
    pub fn pfns(&self) -> &PfnRange {
        &self.pfns
    }
}

/// Returns the PFNs of a range of physical addresses, after checking that it contains no RAM.
///
/// # Errors
///
/// [`EINVAL`] if the range is empty, is not page-aligned, or contains RAM.
pub(in crate::mm) fn device_frames(
    start: PhysAddr,
    size: bindings::resource_size_t,
) -> Result<PfnRange> {
    if (start | size) & !PAGE_MASK as bindings::resource_size_t != 0 {
        return Err(EINVAL);
    }
    start.checked_add(size).ok_or(EINVAL)?;
    let bytes = usize::try_from(size).map_err(|_| EINVAL)?;

    // SAFETY: `region_intersects` takes the lock of the resource tree, and accepts any range.
    let ram = unsafe {
        bindings::region_intersects(
            start,
            bytes,
            bindings::IORESOURCE_SYSTEM_RAM as c_ulong,
            bindings::IORES_DESC_NONE as c_ulong,
        )
    };
    if ram != bindings::REGION_DISJOINT as c_int {
        return Err(EINVAL);
    }

    // A PFN may have fewer bits than a physical address.
    let first = usize::try_from(start >> PAGE_SHIFT).map_err(|_| EINVAL)?;
    // SAFETY: The range contains no RAM, so the kernel does not use it for its own data. The
    // callers guarantee that user space may access the device, and for how long.
    unsafe { PfnRange::new(first, bytes >> PAGE_SHIFT) }
}
