// SPDX-License-Identifier: GPL-2.0

//! Pages that a device and user space access: streaming DMA.
//!
//! [`DmaPages`] are [`KernelPages`] that are mapped for the DMA of a PCI device. At each time they
//! are either the processor's or the device's, which their type says:
//!
//! - `DmaPages<D, Cpu>` have contents that the driver can access.
//! - `DmaPages<D, Dev>` have DMA addresses that the driver gives to the device.
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
//! A driver that has waited too long for a device must not free the pages: the device may still
//! write to them. Pages that are dropped while they are the device's therefore remain mapped until
//! the driver is unbound. Then the layer turns the bus mastering of the device off, waits for what
//! it has written, and only then unmaps and frees them.
//!
//! # Unbinding
//!
//! When the driver is unbound, the pages are no longer mapped for DMA. They are not written to for
//! that: what is in a bounce buffer is lost, and what user space has written remains. Files and
//! mappings that still exist keep the pages, which have reference counts, and show their last
//! contents.
//!
//! # Limits
//!
//! The mapping holds one reference to the pages as a whole, with or without an IOMMU. As with all
//! [`KernelPages`], a page with 2^30 references is not mapped to user space again.
//!
//! C header: [`include/linux/dma-mapping.h`](srctree/include/linux/dma-mapping.h)

use crate::{
    alloc::Flags,
    bindings,
    device::Bound,
    devres::Devres,
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
        memory::KernelPages, //
    },
    pci,
    prelude::*,
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
use core::{
    marker::PhantomData,
    mem::ManuallyDrop, //
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
pub enum Dev {}

impl Sealed for ToDevice {}
impl Sealed for FromDevice {}
impl Sealed for Bidirectional {}
impl Sealed for Cpu {}
impl Sealed for Dev {}

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
impl Owner for Dev {}

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

/// Pages that are mapped for DMA.
///
/// # Invariants
///
/// - `table` has the pages of `_pages`, and is mapped for DMA by `device` in `direction`.
/// - The driver of `device` is bound.
struct Mapped {
    table: Table,
    device: ARef<pci::Device>,
    direction: DataDirection,
    /// Whether the device may access the pages.
    at_device: Atomic<bool>,
    /// Dropped last.
    _pages: Arc<KernelPages>,
}

// SAFETY: Any thread may unmap the table.
unsafe impl Send for Mapped {}
// SAFETY: The table is only read, and the functions that synchronise can be called by any thread.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// Maps pages for DMA, as the processor's.
    fn new(
        device: &pci::Device<Bound>,
        pages: Arc<KernelPages>,
        direction: DataDirection,
        flags: Flags,
    ) -> Result<Self> {
        let raw = device.as_ref().as_raw();
        let count = u32::try_from(pages.nr_pages()).map_err(|_| EINVAL)?;
        // SAFETY: The device is valid.
        let max = match unsafe { bindings::dma_max_mapping_size(raw) } {
            0 => u32::MAX,
            max => u32::try_from(max).unwrap_or(u32::MAX),
        };
        let table = Opaque::zeroed();
        let all = pages.slice(0, pages.nr_pages())?;
        // SAFETY: The array has that number of valid pages, which is not zero, and is only read.
        to_result(unsafe {
            bindings::sg_alloc_table_from_pages_segment(
                table.get(),
                all.as_page_array(),
                count,
                0,
                pages.len(),
                max,
                flags.as_raw(),
            )
        })?;
        // INVARIANT: The table was just made.
        let table = Table(table);
        // This copies the pages to a bounce buffer if there is one, also for a device that will
        // write only a part of them: otherwise the rest would get what the bounce buffer held.
        //
        // SAFETY: The device is valid and bound, and the table is valid.
        to_result(unsafe {
            bindings::dma_map_sgtable(raw, table.0.get(), direction.into(), 0)
        })?;
        // SAFETY: The table was just mapped for this device in this direction.
        unsafe { bindings::dma_sync_sgtable_for_cpu(raw, table.0.get(), direction.into()) };
        // INVARIANT: The table has the pages and is mapped, and the driver is bound.
        Ok(Self {
            table,
            device: device.into(),
            direction,
            at_device: Atomic::new(false),
            _pages: pages,
        })
    }

    /// Gives the pages to the device, or takes them back.
    fn sync(&self, to_device: bool) {
        let raw = self.device.as_ref().as_raw();
        let (table, direction) = (self.table.0.get(), self.direction.into());
        if to_device {
            // Before the driver can tell the device.
            self.at_device.store(true, Relaxed);
            // SAFETY: By the type invariants, the table is mapped for this device and direction.
            unsafe { bindings::dma_sync_sgtable_for_device(raw, table, direction) };
        } else {
            // SAFETY: By the type invariants, the table is mapped for this device and direction.
            unsafe { bindings::dma_sync_sgtable_for_cpu(raw, table, direction) };
            self.at_device.store(false, Relaxed);
        }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if self.at_device.load(Relaxed) {
            // The driver is being unbound: the handle does not drop this while the pages are the
            // device's.
            //
            // SAFETY: The device is a PCI device, and valid.
            unsafe { bindings::rust_pci_stop_dma(self.device.as_ref().as_raw()) };
        }
        // The pages are not written: user space may have them mapped.
        //
        // SAFETY: By the type invariants, the table is mapped for this device and direction.
        unsafe {
            bindings::dma_unmap_sgtable(
                self.device.as_ref().as_raw(),
                self.table.0.get(),
                self.direction.into(),
                DMA_ATTR_SKIP_CPU_SYNC.as_raw(),
            )
        };
    }
}

/// What the driver has of [`DmaPages`].
struct Handle {
    mapped: ManuallyDrop<Devres<Mapped>>,
    memory: Arc<KernelPages>,
    at_device: bool,
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.at_device && self.mapped.try_access().is_some() {
            // The device may still access the pages. They remain mapped until the driver is
            // unbound; what is leaked for good is only the handle.
            return;
        }
        // SAFETY: The field is not used again.
        unsafe { ManuallyDrop::drop(&mut self.mapped) };
    }
}

/// The memory of [`DmaPages`], for mappings.
///
/// User space can map it while the pages are the processor's or the device's. It has no functions
/// that access the contents.
#[derive(Clone)]
pub struct DmaMemory(Arc<KernelPages>);

impl DmaMemory {
    /// Returns the number of pages.
    #[inline]
    pub fn nr_pages(&self) -> usize {
        self.0.nr_pages()
    }
}

impl<'f, D> VmaDesc<'f, D> {
    /// Maps the memory of [`DmaPages`], as [`map_kernel_pages`](Self::map_kernel_pages) does.
    ///
    /// # Errors
    ///
    /// As [`map_kernel_pages`](Self::map_kernel_pages).
    #[inline]
    pub fn map_dma_memory(self, memory: &'f DmaMemory) -> Result<Mapping<'f, D>> {
        self.map_kernel_pages(&memory.0)
    }
}

/// Pages that a PCI device can access.
///
/// The [module](self) explains them.
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
///     let mut address = None;
///     pages.segments(|start, _len| address = address.or(Some(start)))?;
///     // If this fails, the pages are dropped, and remain mapped for the device.
///     transfer(address.ok_or(EINVAL)?)?;
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
    let mapped = Mapped::new(device, memory.clone(), direction, flags)?;
    Ok(Handle {
        mapped: ManuallyDrop::new(Devres::new(device.as_ref(), mapped)?),
        memory,
        at_device: false,
    })
}

/// Gives the pages to the device, or takes them back.
#[inline(never)]
fn sync(mut handle: Handle, to_device: bool) -> Result<Handle> {
    handle.mapped.try_access().ok_or(ENODEV)?.sync(to_device);
    handle.at_device = to_device;
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
    /// Sleeps if `flags` allows it.
    ///
    /// # Errors
    ///
    /// - [`ENOMEM`] if there is not enough memory.
    /// - [`EIO`] if the device cannot access the pages, or [`EINVAL`] if they are too many.
    pub fn new(device: &pci::Device<Bound>, pages: KernelPages, flags: Flags) -> Result<Self> {
        Ok(Self {
            handle: new_handle(device, pages, D::DIRECTION, flags)?,
            _type: PhantomData,
        })
    }

    /// Returns the contents.
    ///
    /// A [`Vmap`](crate::mm::Vmap) of them must not be used while the pages are the device's.
    #[inline]
    pub fn contents(&self) -> &KernelPages {
        &self.handle.memory
    }

    /// Gives the pages to the device.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// [`ENODEV`] if the driver is unbound from the device.
    pub fn for_device(self) -> Result<DmaPages<D, Dev>> {
        Ok(DmaPages {
            handle: sync(self.handle, true)?,
            _type: PhantomData,
        })
    }
}

impl<D: Direction> DmaPages<D, Dev> {
    /// Calls `f` with the DMA address and the length of each segment.
    ///
    /// The addresses are valid until the pages are taken back.
    ///
    /// # Context
    ///
    /// `f` must not sleep: it is called under RCU.
    ///
    /// # Errors
    ///
    /// [`ENODEV`] if the driver is unbound from the device.
    pub fn segments(&self, mut f: impl FnMut(DmaAddress, usize)) -> Result {
        let mapped = self.handle.mapped.try_access().ok_or(ENODEV)?;
        // SAFETY: The table is valid, and mapped while `mapped` is borrowed. It does not change.
        let table = unsafe { SGTable::from_raw(mapped.table.0.get()) };
        for entry in table.iter() {
            f(entry.dma_address(), entry.dma_len() as usize);
        }
        Ok(())
    }

    /// Takes the pages back, after the device has ended its transfer.
    ///
    /// # Context
    ///
    /// Does not sleep.
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
