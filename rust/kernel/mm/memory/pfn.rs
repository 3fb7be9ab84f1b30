// SPDX-License-Identifier: GPL-2.0

//! Physical memory that is mapped by page frame number.
//!
//! An entry that is made from a page frame number holds no reference to anything, so the memory
//! behind it has to stay what it is for as long as any user mapping exists. That is what the types
//! of this module stand for: [`PfnRange`] on the word of whoever makes it, [`DeviceMemory`] because
//! it is known not to be RAM.
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

/// A range of page frames that may be mapped into user space without reference counts.
///
/// # Invariants
///
/// - All of the frames are ones that the machine can address, and `nr_pages` is not zero.
/// - User space may be given access to these frames at any time, for any length of time; to those of a
///   [`RevocableMemory`](crate::mm::revoke::RevocableMemory), until they are taken away.
#[derive(Debug)]
pub struct PfnRange {
    start: usize,
    nr_pages: usize,
}

impl PfnRange {
    /// Declares that `nr_pages` page frames from frame number `start` on may be mapped.
    ///
    /// # Safety
    ///
    /// From now on, and for as long as user space may have a mapping of these frames (which can be
    /// longer than the value lives, for a mapping keeps only the *file* alive), the frames must not
    /// be memory that the kernel uses for anything that user space must not read or write. In
    /// particular RAM that the page allocator owns, or may get back, is out of the question.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if `nr_pages` is zero, or if the range ends beyond what the machine can address.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::PfnRange;
    ///
    /// // SAFETY: The page at physical address 0xf0000 holds a PC's firmware, which is read-only.
    /// let rom = unsafe { PfnRange::new(0xf0, 1) }?;
    /// assert_eq!((rom.start_pfn(), rom.nr_pages()), (0xf0, 1));
    /// // SAFETY: An empty range has no frames.
    /// assert!(unsafe { PfnRange::new(0xf0, 0) }.is_err_and(|e| e == EINVAL));
    /// // SAFETY: Refused. An entry for such a frame would name another one.
    /// assert!(unsafe { PfnRange::new(usize::MAX >> 13, 1) }.is_err_and(|e| e == EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    pub unsafe fn new(start: usize, nr_pages: usize) -> Result<Self> {
        // SAFETY: Written at boot only.
        let last_addr = unsafe { bindings::iomem_resource.end };
        let last = start
            .checked_add(nr_pages)
            .and_then(|end| end.checked_sub(1));
        match last {
            // INVARIANT: The range was just checked, the rest is the caller's promise.
            Some(last)
                if nr_pages != 0
                    && last as bindings::resource_size_t <= last_addr >> PAGE_SHIFT =>
            {
                Ok(Self { start, nr_pages })
            }
            _ => Err(EINVAL),
        }
    }

    /// Returns the number of the first frame.
    #[inline]
    pub fn start_pfn(&self) -> usize {
        self.start
    }

    /// Returns the number of frames, which is not zero.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        self.nr_pages
    }

    /// Returns all of the range.
    #[inline]
    pub fn all(&self) -> PfnSlice<'_> {
        // INVARIANT: All of the range, which is borrowed.
        PfnSlice {
            start: self.start,
            nr_pages: self.nr_pages,
            _whole: self,
        }
    }

    /// Returns `nr_pages` frames of the range, from index `first` on.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range does not have all of them, as `vm_iomap_memory` answers in C.
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
            // INVARIANT: Inside the range, so there is no overflow, and `whole` is borrowed.
            Some(end) if end <= self.nr_pages => Ok(PfnSlice {
                start: self.start + first,
                nr_pages,
                _whole: self,
            }),
            _ => Err(EINVAL),
        }
    }
}

/// Some consecutive frames of a [`PfnRange`].
///
/// # Invariants
///
/// `nr_pages` frames from `start` on are frames of `_whole`.
#[derive(Clone, Copy)]
pub struct PfnSlice<'a> {
    start: usize,
    nr_pages: usize,
    _whole: &'a PfnRange,
}

impl PfnSlice<'_> {
    /// Returns the number of the first frame.
    #[inline]
    pub fn start_pfn(&self) -> usize {
        self.start
    }

    /// Returns the number of frames.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        self.nr_pages
    }
}

/// What only the layer has. With the PFNs of a [`Frames`] in hand, a driver could put them anywhere.
#[doc(hidden)]
pub struct Insertion(pub(in crate::mm) ());

mod sealed {
    pub trait Sealed {}
}
pub(in crate::mm) use sealed::Sealed;

/// PFNs that can be given to user space in answer to a fault: a [`PfnSlice`], which is there forever,
/// or a [`RevocableSlice`](crate::mm::revoke::RevocableSlice), which can be revoked.
pub trait Frames: Sealed + Copy {
    /// What keeps the PFNs from being revoked while they are inserted.
    #[doc(hidden)]
    type Section<'s>
    where
        Self: 's;

    /// Returns the PFNs, for insertion into a mapping of a file with the address space `mapping`, as
    /// long as the section exists.
    ///
    /// # Errors
    ///
    /// - [`ENODEV`] if they are revoked.
    /// - [`EINVAL`] if a revocation would not find them in that address space.
    #[doc(hidden)]
    fn enter<'s>(
        &'s self,
        _: Insertion,
        mapping: *const bindings::address_space,
    ) -> Result<(PfnSlice<'s>, Self::Section<'s>)>;
}

impl Sealed for PfnSlice<'_> {}

impl Frames for PfnSlice<'_> {
    type Section<'s>
        = ()
    where
        Self: 's;

    #[inline]
    fn enter<'s>(
        &'s self,
        _: Insertion,
        _mapping: *const bindings::address_space,
    ) -> Result<(PfnSlice<'s>, ())> {
        Ok((*self, ()))
    }
}

/// Memory of a device that is always there, page-aligned.
///
/// For what no driver can be unbound from: a driver of a device gets a
/// [`RevocableMemory`](crate::mm::revoke::RevocableMemory).
///
/// # Invariants
///
/// `pfns` is not RAM.
pub struct DeviceMemory {
    pfns: PfnRange,
}

impl DeviceMemory {
    /// Declares that `size` bytes at the physical address `start` belong to a device.
    ///
    /// # Safety
    ///
    /// No other driver may rely on being the only user of that memory, no access to it, by user space
    /// and at any time, may break a promise of the kernel, and it must never become RAM (by hotplug), nor
    /// another device's.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is empty, does not start and end at page borders, or has RAM in it.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::DeviceMemory;
    ///
    /// // SAFETY: 0xf0000 is the firmware of a PC, which is read-only.
    /// let rom = unsafe { DeviceMemory::from_phys(0xf0000, 0x10000) }?;
    /// assert_eq!(rom.pfns().nr_pages(), 16);
    ///
    /// // SAFETY: Refused, so nothing is mapped.
    /// let unaligned = unsafe { DeviceMemory::from_phys(0xf0010, 0x1000) };
    /// assert!(unaligned.is_err_and(|e| e == EINVAL));
    /// // SAFETY: Refused, so nothing is mapped. The first MiB after the first is RAM.
    /// let ram = unsafe { DeviceMemory::from_phys(0x100000, 0x1000) };
    /// assert!(ram.is_err_and(|e| e == EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    pub unsafe fn from_phys(start: PhysAddr, size: usize) -> Result<Self> {
        let pfns = device_frames(start, size as bindings::resource_size_t)?;
        // INVARIANT: `device_frames` has seen that it is not RAM.
        Ok(Self { pfns })
    }

    /// Returns the page frames.
    #[inline]
    pub fn pfns(&self) -> &PfnRange {
        &self.pfns
    }
}

/// Returns the frames of a range of device memory, having looked that it is not RAM.
pub(in crate::mm) fn device_frames(
    start: PhysAddr,
    size: bindings::resource_size_t,
) -> Result<PfnRange> {
    if (start | size) & !PAGE_MASK as bindings::resource_size_t != 0 {
        return Err(EINVAL);
    }
    start.checked_add(size).ok_or(EINVAL)?;
    let bytes = usize::try_from(size).map_err(|_| EINVAL)?;

    // SAFETY: Walks the resource tree under its own lock; any range may be asked for.
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

    // A frame number may have less bits than an address.
    let first = usize::try_from(start >> PAGE_SHIFT).map_err(|_| EINVAL)?;
    // SAFETY: It is not RAM, so none of it belongs to the kernel's own memory. That user space may
    // access the device, and for how long, is what the callers see to.
    unsafe { PfnRange::new(first, bytes >> PAGE_SHIFT) }
}
