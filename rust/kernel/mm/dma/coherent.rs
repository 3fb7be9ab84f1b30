// SPDX-License-Identifier: GPL-2.0

//! Memory that a device, the kernel and user space access at the same time: coherent DMA.

use crate::{
    bindings,
    device::{
        Bound,
        Device, //
    },
    dma::DmaAddress,
    error::to_result,
    mm::{
        memory::{
            pfn::RamMode,
            PfnRange,
            SharedBytes, //
        },
        revoke::{
            DeviceRam,
            RevocableMemory,
            Revocation, //
        }, //
    },
    page::PAGE_SIZE,
    pci,
    prelude::*,
    revocable::{
        Revocable,
        RevocableGuard, //
    },
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    }, //
};
use core::{
    ops::Deref,
    ptr::NonNull, //
};

/// Memory as `rust_dma_alloc()` returns it.
///
/// # Invariants
///
/// - `raw` is memory of `size` bytes of `device`, which this value owns.
/// - Until this value is dropped, the driver of `device` is bound.
/// - `bytes` are what the kernel has of the memory.
/// - `given` is true if the device may know an address of the memory.
struct Buffer {
    raw: bindings::rust_dma_memory,
    size: usize,
    device: ARef<pci::Device>,
    bytes: SharedBytes,
    given: Atomic<bool>,
}

// SAFETY: Any thread may free the memory.
unsafe impl Send for Buffer {}
// SAFETY: A shared reference only gives out the bytes.
unsafe impl Sync for Buffer {}

impl Buffer {
    fn new(device: &pci::Device<Bound>, nr_pages: usize) -> Result<Self> {
        let size = nr_pages.checked_mul(PAGE_SIZE).ok_or(ENOMEM)?;
        if size == 0 {
            return Err(EINVAL);
        }
        let mut raw = bindings::rust_dma_memory::default();
        // SAFETY: The device is bound, and the size is a multiple of that of a page, and not zero.
        to_result(unsafe { bindings::rust_dma_alloc(device.as_ref().as_raw(), size, &mut raw) })?;
        // C has checked that there is an address.
        let start = NonNull::new(raw.addr.cast()).ok_or(ENOMEM)?;
        // INVARIANT: The memory was just allocated for this device. Only devres has the value in
        // the end, and drops it while the driver is bound.
        Ok(Self {
            raw,
            size,
            device: device.into(),
            // SAFETY: The memory is mapped in the kernel, from a page boundary on, and other Rust
            // code does not know it.
            bytes: unsafe { SharedBytes::new(start, size) },
            given: Atomic::new(false),
        })
    }

    /// Returns the page frame numbers, and what is known of the memory.
    fn pfns(&self) -> Result<(PfnRange, DeviceRam)> {
        let ram = DeviceRam {
            start: NonNull::new(self.raw.addr.cast()).ok_or(ENOMEM)?,
            mode: RamMode(self.raw.flags),
        };
        // SAFETY: User space may access the memory, which has only zeroes. It is revoked from user
        // space before it is freed.
        let pfns = unsafe { PfnRange::new(self.raw.pfn, self.size / PAGE_SIZE) }?;
        Ok((pfns, ram))
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let device: &Device = self.device.as_ref();
        // SAFETY: The device is a PCI device, and valid.
        let stop = || unsafe { bindings::rust_pci_stop_dma(device.as_raw()) };
        if self.given.load(Relaxed) && !stop() {
            dev_warn!(
                device,
                "{} bytes are lost: the device cannot be kept from accessing them\n",
                self.size
            );
            return;
        }
        // SAFETY: By the type invariants, this value owns the memory, and the driver is bound. The
        // device knows no address, or its bus mastering is off. If user space had the memory, it
        // has been revoked.
        unsafe { bindings::rust_dma_free(device.as_raw(), self.size, &self.raw) };
    }
}

/// Frees the memory when it is dropped, after it has waited for accesses of the driver.
struct FreeAtUnbind(Arc<Revocable<Buffer>>);

impl Drop for FreeAtUnbind {
    fn drop(&mut self) {
        self.0.revoke();
    }
}

/// Memory that a PCI device, the driver and user space access at the same time.
///
/// For descriptors, indices and other memory that has no single owner: neither the driver nor user
/// space does anything before it reads what the device has written, or after it has written for
/// it, but for the barriers that atomics have. [`DmaPages`](super::DmaPages) are cached on all
/// machines, and can be gathered from single pages: they are better for data that is transferred as
/// a whole.
///
/// The memory is contiguous for the device and for the processor. It exists until the driver is
/// unbound, even if the driver drops this value. Then the layer revokes it from user space, whose
/// accesses end with SIGBUS, turns bus mastering off, and frees it.
///
/// User space maps it as the memory of a BAR: it is a [`RevocableMemory`], whose pages are inserted
/// by faults, into mappings of files with the address space of the revocation. A driver that needs
/// no callbacks of its own puts it into [`Pieces`](crate::mm::ops::Pieces). As with other page
/// frame numbers, the kernel does not pin the pages for I/O (`O_DIRECT` fails with [`EFAULT`]).
///
/// # Limits
///
/// - Those of [`RevocableMemory`].
/// - A device that is not stopped may go on with a transfer when the next driver turns bus
///   mastering on, to memory that has another owner by then. So a driver stops the device before
///   it is unbound, or resets the device before it calls
///   [`set_master`](pci::Device::set_master).
/// - There is no such memory for a device whose coherent memory is from a pool (`DMA_GLOBAL_POOL`,
///   `shared-dma-pool` in the device tree), or whose DMA the architecture or a bus handles itself.
///
/// # Examples
///
/// A ring of descriptors that user space fills:
///
/// ```
/// use kernel::{
///     device::Core,
///     mm::{
///         dma::CoherentMemory,
///         ops::{FrameSource, Pieces},
///         revoke::Revocation,
///         MapFile, //
///     },
///     pci,
///     sync::{atomic::Acquire, Arc}, //
/// };
///
/// struct Ring {
///     memory: CoherentMemory,
///     /// For `map_pieces`, in `mmap_prepare`.
///     pieces: Pieces<FrameSource>,
/// }
///
/// impl Ring {
///     /// Called from `probe`. `F` is the type of the files.
///     fn new<F: MapFile>(pdev: &pci::Device<Core<'_>>) -> Result<Self> {
///         let revocation = Arc::pin_init(Revocation::new::<F>(), GFP_KERNEL)?;
///         let memory = CoherentMemory::new(pdev, 4, &revocation)?;
///         let mut pieces = Pieces::new(4, 1, GFP_KERNEL)?;
///         pieces.add(0, FrameSource::revocable(memory.memory().clone()), 0..4)?;
///         Ok(Ring { memory, pieces })
///     }
///
///     /// Returns how far the device has come, which it writes to the start of the memory.
///     fn tail(&self) -> Result<u32> {
///         let contents = self.memory.try_access().ok_or(ENODEV)?;
///         Ok(contents.atomic::<u32>(0)?.load(Acquire))
///     }
/// }
/// ```
pub struct CoherentMemory {
    memory: Arc<RevocableMemory>,
    buffer: Arc<Revocable<Buffer>>,
}

impl CoherentMemory {
    /// Allocates memory, filled with zeroes.
    ///
    /// The driver sets the DMA mask of the device before.
    ///
    /// # Context
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `nr_pages` is zero.
    /// - [`ENODEV`] if the memory of the revocation is revoked forever.
    /// - [`ENOMEM`] if there is not enough contiguous memory that the device can access. The
    ///   revocation may then be revoked forever.
    /// - [`EOPNOTSUPP`] if there is no such memory for this device: see [`CoherentMemory`].
    pub fn new(
        device: &pci::Device<Bound>,
        nr_pages: usize,
        revocation: &Arc<Revocation>,
    ) -> Result<Self> {
        let buffer = Buffer::new(device, nr_pages)?;
        let (pfns, ram) = buffer.pfns()?;
        let buffer = Arc::pin_init(Revocable::new(buffer), GFP_KERNEL)?;
        let (owner, free) = (device.as_ref(), FreeAtUnbind(buffer.clone()));
        // SAFETY: The PFNs and `ram` are those of the buffer, which exists until `free` is dropped.
        let memory = unsafe { RevocableMemory::of_ram(owner, pfns, ram, revocation, free) }?;
        Ok(Self {
            memory: Arc::new(memory, GFP_KERNEL)?,
            buffer,
        })
    }

    /// Returns the memory, for mappings.
    #[inline]
    pub fn memory(&self) -> &Arc<RevocableMemory> {
        &self.memory
    }

    /// Returns the address by which the device accesses the first byte.
    ///
    /// # Errors
    ///
    /// [`ENODEV`] if the driver is unbound: it is an address of other memory then.
    pub fn address(&self) -> Result<DmaAddress> {
        // INVARIANT: Before the driver can tell the device.
        let buffer = self.buffer.try_access().ok_or(ENODEV)?;
        buffer.given.store(true, Relaxed);
        Ok(buffer.raw.dma_addr)
    }

    /// Returns the contents, or [`None`] if the driver is unbound.
    ///
    /// That a function has a bound device is not enough to access them: while the driver is being
    /// unbound, the memory is gone before what the driver has registered earlier.
    ///
    /// # Context
    ///
    /// Does not sleep. The caller must not sleep until it has dropped the value, which is an RCU
    /// read-side critical section.
    #[inline]
    pub fn try_access(&self) -> Option<CoherentGuard<'_>> {
        self.buffer.try_access().map(CoherentGuard)
    }
}

/// The contents of a [`CoherentMemory`], which is not freed before this value is dropped.
pub struct CoherentGuard<'a>(RevocableGuard<'a, Buffer>);

impl Deref for CoherentGuard<'_> {
    type Target = SharedBytes;

    #[inline]
    fn deref(&self) -> &SharedBytes {
        &self.0.bytes
    }
}
