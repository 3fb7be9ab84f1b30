// SPDX-License-Identifier: GPL-2.0

//! Memory that the driver allocates on demand and can revoke.
//!
//! `/dev/rust_mmap_demand` is memory whose pages the driver allocates one by one, when user space
//! first accesses them. The driver tracks which pages were written, can discard single pages, and
//! can revoke all of the memory and restore it later, while it is mapped. Each of these has an
//! ioctl; `msync(2)` and `fsync(2)` mark pages clean. `/proc/<pid>/fdinfo` shows the driver's
//! counters, for each mapping.
//!
//! This sample implements [`VmOperations`] with data per mapping, without a line of `unsafe`.

use core::ops::Range;
use kernel::{
    alloc::flags::__GFP_NOWARN,
    fs::{
        fsync::Fsync,
        File, //
    },
    ioctl::{
        _IO,
        _IOR,
        _IOW, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::{
        desc::{
            Mapping,
            VmaDesc, //
        },
        ops::{
            DeviceRef,
            DriverVmaInfo,
            Fault,
            FaultAnswer,
            FaultAround,
            FaultError,
            MappedArea,
            MkwriteAnswer,
            MkwriteFault,
            Ordinary,
            PerVma,
            VmOperations, //
        },
        revoke::Revocation,
        rmap::AddressSpace,
        FaultedPages, //
    },
    new_mutex,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        Arc,
        ArcBorrow,
        Mutex,
        Publication,
        Published, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

module! {
    type: RustMmapDemand,
    name: "rust_mmap_demand",
    authors: ["Rust mm developers"],
    description: "Rust sample: memory that is allocated on demand and can be revoked",
    license: "GPL",
    params: {
        pages: u32 {
            default: 64,
            description: "Size of the memory in pages, up to 1048576",
        },
    },
}

/// Upper bound of `pages` (4 GiB); anything larger is assumed to be a typo.
///
/// The driver allocates the pages later, but the arrays of their state when it is loaded.
const MOST_PAGES: u32 = 1 << 20;

/// Revokes the memory: every access through a mapping raises SIGBUS until [`DEMAND_RESTORE`].
const DEMAND_REVOKE: u32 = _IO('d' as u32, 0);
/// Restores access to the memory after [`DEMAND_REVOKE`].
const DEMAND_RESTORE: u32 = _IO('d' as u32, 1);
/// Discards the page with the given index, and its contents.
const DEMAND_TAKE: u32 = _IOW::<u32>('d' as u32, 2);
/// Returns the number of pages that were written since the last call.
const DEMAND_CLEAN: u32 = _IOR::<u32>('d' as u32, 3);

/// The memory of the loaded module, where `open` finds it.
static MEMORY: Published<Memory> = Published::new();

/// The module.
///
/// Rust drops the fields from top to bottom: the device is deregistered before the memory is
/// withdrawn, so `open` finds the memory whenever it is called.
#[pin_data]
struct RustMmapDemand {
    #[pin]
    _device: MiscDeviceRegistration<Memory>,
    _memory: Publication<Memory>,
}

impl kernel::InPlaceModule for RustMmapDemand {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // Publish the memory first: user space can open the device as soon as it is registered.
            _memory: {
                let nr_pages = *module_parameters::pages.value_ref();
                MEMORY.publish(Arc::pin_init(Memory::new(nr_pages), GFP_KERNEL)?)?
            },
            _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"rust_mmap_demand",
            }),
        })
    }
}

/// The data of a mapping, and of all VMAs made from it by `fork`, `mremap` and splits.
struct DemandMapping {
    memory: Arc<Memory>,
    id: i64,
    vmas: Atomic<i64>,
    faults: Atomic<i64>,
    mkwrites: Atomic<i64>,
    /// Faults that the kernel handled under the VMA lock alone.
    vma_lock: Atomic<i64>,
    /// Pages that `map_pages` has mapped around a read fault.
    around: Atomic<i64>,
}

/// The device.
#[pin_data]
struct Memory {
    #[pin]
    pages: FaultedPages<Revocation>,
    /// For each page, 1 if it was written since the last [`DEMAND_CLEAN`].
    dirty: KVVec<Atomic<i32>>,
    #[pin]
    mappings: Mutex<KVVec<Arc<DemandMapping>>>,
    next_id: Atomic<i64>,
}

impl Memory {
    fn new(nr_pages: u32) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // User space decides how many pages are allocated, so it is charged for them.
            pages <- {
                if nr_pages == 0 {
                    return Err(EINVAL);
                }
                if nr_pages > MOST_PAGES {
                    return Err(ENOMEM);
                }
                let revocation = Revocation::new::<Self>();
                FaultedPages::unmapped_from(revocation, nr_pages as usize, GFP_KERNEL_ACCOUNT)
            },
            dirty: {
                // User space chooses the size, so do not warn.
                let flags = GFP_KERNEL | __GFP_NOWARN;
                let mut dirty = KVVec::with_capacity(nr_pages as usize, flags)?;
                for _ in 0..nr_pages {
                    dirty.push_within_capacity(Atomic::new(0))?;
                }
                dirty
            },
            mappings <- new_mutex!(KVVec::new()),
            next_id: Atomic::new(0),
        })
    }

    fn revocation(&self) -> &Revocation {
        self.pages.mappings()
    }

    /// Discards a page: drops it and unmaps it from all mappings.
    fn take(&self, index: usize) -> Result {
        // Before the page is discarded: the flag of a page that takes its place is kept.
        self.dirty.get(index).ok_or(EINVAL)?.store(0, Relaxed);
        self.pages.discard(index..index + 1);
        Ok(())
    }

    /// Marks the dirty pages of a range clean, and returns their number.
    ///
    /// Unmapping them makes the kernel call `page_mkwrite` for the next write to each of them. It
    /// comes second: a page that is written in between is dirty again. A page that may be pinned
    /// remains dirty.
    fn clean(&self, range: Range<usize>) -> u32 {
        let mut count = 0;
        for index in range {
            let Some(dirty) = self.dirty.get(index) else {
                break;
            };
            // `Full`: the flag is cleared before the page tables are looked at.
            if dirty.load(Relaxed) != 0 && dirty.xchg(0, Full) != 0 {
                count += 1;
                self.revocation().address_space().unmap(index, 1);
                // I/O can still write to a page that it has pinned, and nothing reports that. A
                // pin that is added after `unmap` is reported by `page_mkwrite`.
                if matches!(self.pages.get(index), Some(page) if page.maybe_dma_pinned()) {
                    dirty.store(1, Relaxed);
                }
            }
        }
        count
    }
}

#[vtable]
impl MiscDevice for Memory {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        MEMORY.get().ok_or(ENODEV)
    }

    fn address_space<'a>(memory: ArcBorrow<'a, Self>, _file: &'a File) -> &'a AddressSpace {
        memory.into_ref().revocation().address_space()
    }

    fn mmap_prepare<'f>(
        memory: ArcBorrow<'f, Self>,
        mut desc: VmaDesc<'f, Self>,
    ) -> Result<Mapping<'f, Self>> {
        desc.deny_cow()?;
        let end = desc.pgoff().checked_add(desc.nr_pages()).ok_or(ENXIO)?;
        if end > memory.pages.nr_pages() {
            return Err(ENXIO);
        }
        Ok(desc.with_ops::<DemandOps>()?.on_fault())
    }

    fn fsync(memory: ArcBorrow<'_, Self>, request: Fsync<'_>) -> Result {
        // A driver whose pages are a copy of something writes them back here.
        memory.clean(request.pages(memory.pages.nr_pages()));
        Ok(())
    }

    fn ioctl(memory: ArcBorrow<'_, Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let arg = || UserSlice::new(UserPtr::from_addr(arg), size_of::<u32>());
        match cmd {
            DEMAND_REVOKE => memory.revocation().revoke(),
            DEMAND_RESTORE => memory.revocation().restore(),
            DEMAND_TAKE => memory.take(arg().reader().read::<u32>()? as usize)?,
            DEMAND_CLEAN => {
                // `clean` clears the dirty flags, so check first that user space can get the
                // result.
                arg().writer().write(&0u32)?;
                arg()
                    .writer()
                    .write(&memory.clean(0..memory.pages.nr_pages()))?
            }
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }

    fn show_fdinfo(memory: ArcBorrow<'_, Self>, m: &SeqFile, _file: &File) {
        let dirty = memory.dirty.iter().map(|dirty| dirty.load(Relaxed));
        m.field(c"size", memory.pages.len() as i64);
        m.field(c"present", memory.pages.nr_present() as i64);
        m.field(c"dirty", dirty.sum::<i32>().into());
        m.field(c"revoked", memory.revocation().is_revoked().into());

        let (mut vmas, mut faults, mut mkwrites, mut vma_lock, mut around) = (0, 0, 0, 0, 0);
        let mappings = memory.mappings.lock();
        for mapping in &*mappings {
            vmas += mapping.vmas.load(Relaxed);
            faults += mapping.faults.load(Relaxed);
            mkwrites += mapping.mkwrites.load(Relaxed);
            vma_lock += mapping.vma_lock.load(Relaxed);
            around += mapping.around.load(Relaxed);
        }
        m.field(c"mappings", mappings.len() as i64);
        m.field(c"vmas", vmas);
        m.field(c"faults", faults);
        m.field(c"mkwrites", mkwrites);
        m.field(c"vma_lock_faults", vma_lock);
        m.field(c"pages_around", around);
        for mapping in &*mappings {
            seq_print!(
                m,
                "mapping {}:\t{} VMAs, {} faults, {} first writes\n",
                mapping.id,
                mapping.vmas.load(Relaxed),
                mapping.faults.load(Relaxed),
                mapping.mkwrites.load(Relaxed)
            );
        }
    }
}

/// The callbacks of the mappings.
struct DemandOps;

#[vtable]
impl VmOperations for DemandOps {
    type File = Memory;
    type Data = PerVma<Arc<DemandMapping>>;
    type Memory = Ordinary;

    fn mapped(
        memory: DeviceRef<'_, Self>,
        _area: &MappedArea,
    ) -> Result<PerVma<Arc<DemandMapping>>> {
        let mapping = Arc::new(
            DemandMapping {
                memory: memory.into(),
                id: memory.next_id.fetch_add(1, Relaxed),
                vmas: Atomic::new(1),
                faults: Atomic::new(0),
                mkwrites: Atomic::new(0),
                vma_lock: Atomic::new(0),
                around: Atomic::new(0),
            },
            GFP_KERNEL_ACCOUNT,
        )?;
        // The list has a reference as well, until `close` is called for the last VMA.
        let mut mappings = memory.mappings.lock();
        mappings.push(mapping.clone(), GFP_KERNEL_ACCOUNT)?;
        Ok(PerVma(mapping))
    }

    fn open(vma: &DriverVmaInfo<Self>) {
        vma.data().vmas.fetch_add(1, Relaxed);
    }

    fn close(vma: &DriverVmaInfo<Self>) {
        let mapping = vma.data();
        if mapping.vmas.fetch_sub(1, Relaxed) == 1 {
            let mut mappings = mapping.memory.mappings.lock();
            mappings.retain(|other| other.id != mapping.id);
        }
    }

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        let mapping = vmf.data();
        mapping.faults.fetch_add(1, Relaxed);
        if vmf.under_vma_lock() {
            mapping.vma_lock.fetch_add(1, Relaxed);
        }
        mapping.memory.pages.fault(vmf)
    }

    fn map_pages(vmf: &FaultAround<Self>) {
        let mapping = vmf.data();
        let count = mapping.memory.pages.map_pages(vmf);
        mapping.around.fetch_add(count as i64, Relaxed);
    }

    fn page_mkwrite(vmf: &MkwriteFault<Self>) -> Result<MkwriteAnswer<'_>, FaultError> {
        let mapping = vmf.data();
        let memory = &mapping.memory;
        let dirty = memory.dirty.get(vmf.pgoff()).ok_or(FaultError::SigBus)?;
        if !memory.pages.holds(vmf.pgoff(), vmf.folio()) {
            // `take` has discarded the page since the kernel looked it up.
            return Ok(MkwriteAnswer::Gone);
        }
        // If `take` discards the page now, the flag may stay set for a hole, until the next
        // `clean`.
        dirty.store(1, Relaxed);
        mapping.mkwrites.fetch_add(1, Relaxed);
        Ok(MkwriteAnswer::Locked(vmf.lock()))
    }
}

kernel::vm_operations!(DemandOps);
