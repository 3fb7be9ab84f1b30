// SPDX-License-Identifier: GPL-2.0

//! Memory that a device and user space access.
//!
//! There are two kinds: pages that belong either to the processor or to the device ([`DmaPages`],
//! streaming DMA), and memory that both access at the same time ([`CoherentMemory`], coherent DMA).
//! The following is about the first kind.
//!
//! [`DmaPages`] are [`KernelPages`] that are mapped for the DMA of a PCI device. At each time they
//! are either the processor's or the device's, which their type says:
//!
//! - `DmaPages<D, Cpu>` have contents that the driver can access.
//! - `DmaPages<D, DmaDevice>` have DMA addresses that the driver gives to the device.
//!
//! [`DmaPages::for_device`] and [`DmaPages::for_cpu`] make one from the other. They do what the
//! machine needs: write caches back, or copy to and from a bounce buffer.
//!
//! User space can have the pages mapped meanwhile ([`VmaDesc::map_dma_memory`]). It sees what the
//! device has written after the driver has taken the pages back; on most machines, before. What it
//! writes while they are the device's can be lost.
//!
//! # A device that does not stop
//!
//! No type can tell whether a device still writes to memory whose address it has. So the kernel
//! does not rely on what the driver believes: pages are mapped for DMA until the driver is unbound
//! from the device, and are not freed before, even if the driver drops or leaks them. A driver
//! therefore makes the pages when it probes the device, and uses them again. If it hands them out
//! to user space, it keeps those that user space no longer needs for the next time.
//!
//! # Unbinding
//!
//! When the driver is unbound, the layer turns the bus mastering of the device off, if the device
//! has ever had the pages, and waits for what the device has written. Only then it unmaps them.
//! They are not written to for that: what is in a bounce buffer is lost, and what user space has
//! written remains. Files and mappings that still exist keep the pages, which have reference
//! counts, and show their last contents.
//!
//! Pages that are the device's at this time are never freed: the device has not ended its transfer,
//! and may go on with it when the next driver turns bus mastering on. The kernel's log says how
//! many these are. So a driver stops the device, and takes the pages back, before it drops them or
//! is unbound, also if its `probe` fails. And before it turns bus mastering on, it waits until the
//! device has ended what an earlier driver has started, or resets it.
//!
//! If a device does not answer, so that its bus mastering may still be on, all pages that it has
//! ever had are never freed, and remain mapped.
//!
//! # Limits
//!
//! - As with all [`KernelPages`], a page with 2^30 references is not mapped to user space again.
//! - On a machine whose caches can show user space other contents than the kernel, there are no
//!   [`DmaPages`]: what is synchronised is what the kernel sees.
//!
//! C header: [`include/linux/dma-mapping.h`](srctree/include/linux/dma-mapping.h)

use crate::{
    alloc::{
        Flags,
        KVVec, //
    },
    bindings,
    device::Bound,
    devres,
    dma::{
        attrs::DMA_ATTR_SKIP_CPU_SYNC,
        DataDirection,
        DmaAddress, //
    },
    error::to_result,
    mm::{
        desc::{
            Mapping,
            VmaDesc, //
        },
        memory::{
            page_array::PageArray,
            KernelPages, //
        }, //
    },
    page::PAGE_SIZE,
    pci,
    prelude::*,
    revocable::Revocable,
    scatterlist::SGTable,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
    types::Opaque, //
};
use core::marker::PhantomData;

mod coherent;

pub use coherent::{
    CoherentGuard,
    CoherentMemory, //
};

mod sealed {
    pub trait Sealed {}
}
use sealed::Sealed;

/// The direction of the transfers of [`DmaPages`].
pub trait Direction: Sealed + Send + Sync + 'static {
    #[doc(hidden)]
    const DIRECTION: DataDirection;
}

/// The device reads the pages.
pub enum ToDevice {}
/// The device writes the pages.
///
/// What the device does not write may get an older contents of the same page.
pub enum FromDevice {}
/// The device reads and writes the pages.
pub enum Bidirectional {}

/// Who may access [`DmaPages`].
pub trait Owner: Sealed + Send + Sync + 'static {}

/// The processor may access the pages.
pub enum Cpu {}
/// The device may access the pages.
pub enum DmaDevice {}

impl Sealed for ToDevice {}
impl Sealed for FromDevice {}
impl Sealed for Bidirectional {}
impl Sealed for Cpu {}
impl Sealed for DmaDevice {}

impl Direction for ToDevice {
    const DIRECTION: DataDirection = DataDirection::ToDevice;
}
impl Direction for FromDevice {
    const DIRECTION: DataDirection = DataDirection::FromDevice;
}
impl Direction for Bidirectional {
    const DIRECTION: DataDirection = DataDirection::Bidirectional;
}

impl Owner for Cpu {}
impl Owner for DmaDevice {}

/// A part of [`DmaPages`] that has consecutive DMA addresses.
#[derive(Clone, Copy)]
pub struct Segment {
    offset: usize,
    address: DmaAddress,
    len: usize,
}

impl Segment {
    /// Returns where the part starts in the pages, in bytes.
    #[inline]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Returns the DMA address of the first byte.
    #[inline]
    pub fn address(&self) -> DmaAddress {
        self.address
    }

    /// Returns the size in bytes, which is not zero.
    #[expect(clippy::len_without_is_empty)]
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Creates a segment that is at no address of a device, for tests.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(in crate::mm) fn for_test(offset: usize, address: DmaAddress, len: usize) -> Self {
        Self {
            offset,
            address,
            len,
        }
    }
}

/// Returns the rest of the segment that the byte at `offset` is in, or [`None`] if it is in none.
///
/// The segments are in order, and the first one starts at offset 0.
pub(in crate::mm) fn segment_at(segments: &[Segment], offset: usize) -> Option<Segment> {
    let after = segments.partition_point(|segment| segment.offset <= offset);
    let segment = segments.get(after.checked_sub(1)?)?;
    let skip = offset - segment.offset;
    if skip >= segment.len {
        return None;
    }
    Some(Segment {
        offset,
        // Does not overflow: the device can access all of the segment.
        address: segment.address + skip as DmaAddress,
        len: segment.len - skip,
    })
}

/// Returns how many bytes a device can access in one go, starting at an address.
///
/// An access does not cross a multiple of `boundary + 1`.
pub(in crate::mm) fn room(address: DmaAddress, boundary: usize) -> usize {
    // CAST: The boundary is one less than a power of two, so bits that are lost do not matter.
    let rest = boundary - (address as usize & boundary);
    rest.saturating_add(1)
}

/// A table of the segments of some pages.
///
/// # Invariants
///
/// The table is valid.
struct Table(Opaque<bindings::sg_table>);

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the table is valid. It is not used again.
        unsafe { bindings::sg_free_table(self.0.get()) };
    }
}

/// Returns the largest segment that a device can access, which is at least a page.
///
/// # Errors
///
/// [`EIO`] if the device cannot access a page.
fn max_segment(device: &pci::Device<Bound>) -> Result<u32> {
    let raw = device.as_ref().as_raw();
    // SAFETY: The device is valid and bound.
    let mapping = unsafe { bindings::dma_max_mapping_size(raw) };
    // SAFETY: The device is valid and bound.
    let segment = unsafe { bindings::dma_get_max_seg_size(raw) };
    if mapping < PAGE_SIZE {
        return Err(EIO);
    }
    let mapping = u32::try_from(mapping).unwrap_or(u32::MAX);
    // A page is never split.
    Ok(mapping.min(segment.max(PAGE_SIZE as u32)))
}

/// Pages that are mapped for DMA.
///
/// # Invariants
///
/// - `table` has the pages of `pages`, and is mapped for DMA by `device` in `direction`.
/// - The driver of `device` is bound.
/// - `given` is true if the device may know an address of the pages, and `at_device` if it may
///   access them now.
struct DmaMapping {
    table: Table,
    device: ARef<pci::Device>,
    direction: DataDirection,
    given: Atomic<bool>,
    at_device: Atomic<bool>,
    /// Dropped last.
    pages: Arc<KernelPages>,
}

// SAFETY: Any thread may unmap the table.
unsafe impl Send for DmaMapping {}
// SAFETY: The table is only read, and the functions that synchronise can be called by any thread.
unsafe impl Sync for DmaMapping {}

impl DmaMapping {
    /// Maps pages for DMA, as the processor's.
    fn new(
        device: &pci::Device<Bound>,
        pages: Arc<KernelPages>,
        direction: DataDirection,
        flags: Flags,
    ) -> Result<Self> {
        // SAFETY: The function only reads what the kernel knows of the processor.
        if unsafe { bindings::cpu_dcache_is_aliasing() } {
            return Err(EOPNOTSUPP);
        }
        let raw = device.as_ref().as_raw();
        let count = u32::try_from(pages.nr_pages()).map_err(|_| EINVAL)?;
        let all = pages.slice(0, pages.nr_pages())?;
        let max_segment = max_segment(device)?;
        let table = Opaque::zeroed();
        // SAFETY: The array has that number of valid pages, which is not zero, and is only read. A
        // segment can have a page.
        to_result(unsafe {
            bindings::sg_alloc_table_from_pages_segment(
                table.get(),
                all.as_page_array(),
                count,
                0,
                pages.len(),
                max_segment,
                flags.as_raw(),
            )
        })?;
        // INVARIANT: The table was just made.
        let table = Table(table);
        // This copies the pages to a bounce buffer if there is one, also for a device that will
        // write only a part of them: otherwise the rest would get what the bounce buffer held.
        //
        // SAFETY: The device is valid and bound, and the table is valid.
        to_result(unsafe { bindings::dma_map_sgtable(raw, table.0.get(), direction.into(), 0) })?;
        // SAFETY: The table was just mapped for this device in this direction.
        unsafe { bindings::dma_sync_sgtable_for_cpu(raw, table.0.get(), direction.into()) };
        // INVARIANT: The table has the pages and is mapped, and the driver is bound. The device
        // knows no address.
        Ok(Self {
            table,
            device: device.into(),
            direction,
            given: Atomic::new(false),
            at_device: Atomic::new(false),
            pages,
        })
    }

    /// Returns the segments.
    fn segments(&self, flags: Flags) -> Result<KVVec<Segment>> {
        // SAFETY: By the type invariants, the table is valid. It does not change.
        let table = unsafe { SGTable::from_raw(self.table.0.get()) };
        let mut segments = KVVec::with_capacity(table.iter().count(), flags)?;
        let mut offset = 0;
        // SAFETY: The device is valid.
        let boundary = unsafe { bindings::dma_get_seg_boundary(self.device.as_ref().as_raw()) };
        for entry in table.iter() {
            let (mut address, mut rest) = (entry.dma_address(), entry.dma_len() as usize);
            while rest > 0 {
                let len = rest.min(room(address, boundary));
                segments.push(
                    Segment {
                        offset,
                        address,
                        len,
                    },
                    flags,
                )?;
                offset += len;
                rest -= len;
                // Does not overflow unless this was the last part.
                address = address.wrapping_add(len as DmaAddress);
            }
        }
        Ok(segments)
    }

    /// Gives the pages to the device, or takes them back.
    fn sync(&self, to_device: bool) {
        let raw = self.device.as_ref().as_raw();
        let (table, direction) = (self.table.0.get(), self.direction.into());
        if to_device {
            // INVARIANT: Before the driver can tell the device.
            self.given.store(true, Relaxed);
            self.at_device.store(true, Relaxed);
            // SAFETY: By the type invariants, the table is mapped for this device and direction.
            unsafe { bindings::dma_sync_sgtable_for_device(raw, table, direction) };
        } else {
            // SAFETY: By the type invariants, the table is mapped for this device and direction.
            unsafe { bindings::dma_sync_sgtable_for_cpu(raw, table, direction) };
            // INVARIANT: The driver has seen the end of the transfer. If that is wrong, the pages
            // are still mapped, and freed only when bus mastering is certain to be off.
            self.at_device.store(false, Relaxed);
        }
    }

    /// Keeps the pages from ever being freed.
    fn keep_forever(&self, why: &str) {
        let device = self.device.as_ref();
        dev_warn!(
            device,
            "{} pages are lost: {}\n",
            self.pages.nr_pages(),
            why
        );
        for index in 0..self.pages.nr_pages() {
            if let Some(page) = self.pages.page(index) {
                // SAFETY: The page is valid, and of order 0, so that it is a folio.
                unsafe { bindings::folio_get_saturating(page.as_ptr().cast()) };
            }
        }
    }
}

impl Drop for DmaMapping {
    fn drop(&mut self) {
        // SAFETY: The device is a PCI device, and valid.
        let stop = || unsafe { bindings::rust_pci_stop_dma(self.device.as_ref().as_raw()) };
        if self.given.load(Relaxed) && !stop() {
            // They also remain mapped.
            self.keep_forever("the device cannot be kept from accessing them");
            return;
        }
        // The pages are not written: user space may have them mapped.
        //
        // SAFETY: By the type invariants, the table is mapped for this device and direction. The
        // device does not access it: either it knows no address, or its bus mastering is off.
        unsafe {
            bindings::dma_unmap_sgtable(
                self.device.as_ref().as_raw(),
                self.table.0.get(),
                self.direction.into(),
                DMA_ATTR_SKIP_CPU_SYNC.as_raw(),
            )
        };
        if self.at_device.load(Relaxed) {
            self.keep_forever("the device has not ended its transfer");
        }
    }
}

/// Unmaps pages when it is dropped: the device owns it while the driver is bound.
struct UnmapAtUnbind(Arc<Revocable<DmaMapping>>);

impl Drop for UnmapAtUnbind {
    fn drop(&mut self) {
        self.0.revoke();
    }
}

/// What the driver has of [`DmaPages`].
struct Handle {
    mapped: Arc<Revocable<DmaMapping>>,
    memory: Arc<KernelPages>,
    segments: KVVec<Segment>,
}

/// The memory of [`DmaPages`], for mappings.
///
/// User space can map it while the pages are the processor's or the device's. It has no functions
/// that access the contents.
#[derive(Clone)]
pub struct DmaMemory(Arc<KernelPages>);

impl DmaMemory {
    /// Returns the pages, for a list of pieces.
    #[inline]
    pub(in crate::mm) fn into_pages(self) -> Arc<KernelPages> {
        self.0
    }
}

impl<'f, D> VmaDesc<'f, D> {
    /// Maps the memory of [`DmaPages`], as [`map_kernel_pages`](Self::map_kernel_pages) does.
    ///
    /// # Errors
    ///
    /// As [`map_kernel_pages`](Self::map_kernel_pages).
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{
    ///     desc::{Mapping, VmaDesc},
    ///     dma::DmaMemory, //
    /// };
    ///
    /// fn map<'f, D>(memory: &'f DmaMemory, desc: VmaDesc<'f, D>) -> Result<Mapping<'f, D>> {
    ///     desc.map_dma_memory(memory)
    /// }
    /// ```
    #[inline]
    pub fn map_dma_memory(self, memory: &'f DmaMemory) -> Result<Mapping<'f, D>> {
        self.map_kernel_pages(&memory.0)
    }
}

/// Pages that a PCI device can access.
///
/// They remain mapped for DMA, and are not freed, until the driver is unbound: the
/// [module](self) says why.
///
/// # Examples
///
/// ```
/// use kernel::{
///     device::Bound,
///     mm::{
///         dma::{Cpu, DmaPages, FromDevice},
///         KernelPages, //
///     },
///     pci, //
/// };
///
/// /// Receives the first bytes of a page. `transfer` gets the address, and waits for the device.
/// fn receive(
///     pages: DmaPages<FromDevice, Cpu>,
///     transfer: impl FnOnce(u64) -> Result,
/// ) -> Result<DmaPages<FromDevice, Cpu>> {
///     let pages = pages.for_device()?;
///     let first = pages.segment_at(0).ok_or(EINVAL)?;
///     // If this fails, the pages are dropped, and remain mapped for the device.
///     transfer(first.address().into())?;
///     pages.for_cpu()
/// }
///
/// fn new(pdev: &pci::Device<Bound>) -> Result<DmaPages<FromDevice, Cpu>> {
///     DmaPages::new(pdev, KernelPages::new(4, GFP_KERNEL)?, GFP_KERNEL)
/// }
/// ```
pub struct DmaPages<D: Direction, O: Owner> {
    handle: Handle,
    _type: PhantomData<(D, O)>,
}

impl<D: Direction, O: Owner> DmaPages<D, O> {
    /// Returns the memory, for mappings.
    #[inline]
    pub fn memory(&self) -> DmaMemory {
        DmaMemory(self.handle.memory.clone())
    }
}

/// Maps pages for DMA.
#[inline(never)]
fn new_handle(
    device: &pci::Device<Bound>,
    pages: KernelPages,
    direction: DataDirection,
    flags: Flags,
) -> Result<Handle> {
    let memory = Arc::new(pages, flags)?;
    let mapped = DmaMapping::new(device, memory.clone(), direction, flags)?;
    let segments = mapped.segments(flags)?;
    let mapped = Arc::pin_init(Revocable::new(mapped), flags)?;
    // If this fails, the pages are unmapped at once: the device knows no address.
    devres::register(device.as_ref(), UnmapAtUnbind(mapped.clone()), flags)?;
    Ok(Handle {
        mapped,
        memory,
        segments,
    })
}

/// Gives the pages to the device, or takes them back.
#[inline(never)]
fn sync(handle: Handle, to_device: bool) -> Result<Handle> {
    handle.mapped.try_access().ok_or(ENODEV)?.sync(to_device);
    Ok(handle)
}

impl<D: Direction> DmaPages<D, Cpu> {
    /// Maps pages for DMA.
    ///
    /// The driver sets the DMA mask of the device before. [`pci::Device::set_master`] lets the
    /// device make accesses.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`ENOMEM`] if there is not enough memory.
    /// - [`EIO`] if the device cannot access the pages, also because there is no room left in the
    ///   bounce buffers; or [`EINVAL`] if they are too many.
    /// - [`EOPNOTSUPP`] if the cache of the processor can show user space other contents than the
    ///   kernel.
    pub fn new(device: &pci::Device<Bound>, pages: KernelPages, flags: Flags) -> Result<Self> {
        Ok(Self {
            handle: new_handle(device, pages, D::DIRECTION, flags)?,
            _type: PhantomData,
        })
    }

    /// Returns the contents.
    ///
    /// A [`Vmap`](crate::mm::Vmap) of them shows nothing that is certain while the pages are the
    /// device's, and what is written through it then can be lost, as with user space's mappings.
    #[inline]
    pub fn contents(&self) -> &KernelPages {
        &self.handle.memory
    }

    /// Gives the pages to the device.
    ///
    /// # Context
    ///
    /// Does not sleep, unless it fails: then it drops the pages.
    ///
    /// # Errors
    ///
    /// [`ENODEV`] if the driver is unbound from the device.
    pub fn for_device(self) -> Result<DmaPages<D, DmaDevice>> {
        Ok(DmaPages {
            handle: sync(self.handle, true)?,
            _type: PhantomData,
        })
    }
}

impl<D: Direction> DmaPages<D, DmaDevice> {
    /// Returns the parts that have consecutive DMA addresses, in order.
    ///
    /// The device can use the addresses until the driver takes the pages back. They are never those
    /// of other memory before the driver is unbound; after that, they can be. They are for the
    /// device that the pages were made for.
    #[inline]
    pub fn segments(&self) -> &[Segment] {
        &self.handle.segments
    }

    /// Returns the byte at `offset`, and what follows at consecutive DMA addresses.
    ///
    /// Returns [`None`] if `offset` is past the end of the pages.
    pub fn segment_at(&self, offset: usize) -> Option<Segment> {
        segment_at(&self.handle.segments, offset)
    }

    /// Takes the pages back, after the device has ended its transfer.
    ///
    /// If it has not, the contents change for as long as it writes. The pages are not freed before
    /// its bus mastering is off.
    ///
    /// # Context
    ///
    /// Does not sleep, unless it fails: then it drops the pages.
    ///
    /// # Errors
    ///
    /// [`ENODEV`] if the driver is unbound from the device.
    pub fn for_cpu(self) -> Result<DmaPages<D, Cpu>> {
        Ok(DmaPages {
            handle: sync(self.handle, false)?,
            _type: PhantomData,
        })
    }
}
