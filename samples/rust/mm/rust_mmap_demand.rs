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
        Folio, //
    },
    new_mutex,
    page::PAGE_SHIFT,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
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
/// The driver allocates the pages later, but the array of their state when it is loaded.
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

/// A page of the memory.
#[derive(Default)]
struct Page {
    /// `None` before the first access and after [`DEMAND_TAKE`].
    folio: Option<ARef<Folio>>,
    /// Whether the page was written since the last [`DEMAND_CLEAN`].
    dirty: bool,
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
    pages: Mutex<KVVec<Page>>,
    #[pin]
    mappings: Mutex<KVVec<Arc<DemandMapping>>>,
    next_id: Atomic<i64>,
    #[pin]
    revocation: Revocation,
}

impl Memory {
    fn new(nr_pages: u32) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            pages <- new_mutex!({
                if nr_pages == 0 {
                    return Err(EINVAL);
                }
                if nr_pages > MOST_PAGES {
                    return Err(ENOMEM);
                }
                // Reserve the array in one step, so that the driver fails early if there is no
                // memory for it. User space chooses the size, so do not warn.
                let flags = GFP_KERNEL | __GFP_NOWARN;
                let mut pages = KVVec::with_capacity(nr_pages as usize, flags)?;
                for _ in 0..nr_pages {
                    pages.push_within_capacity(Page::default())?;
                }
                pages
            }),
            mappings <- new_mutex!(KVVec::new()),
            next_id: Atomic::new(0),
            revocation <- Revocation::new::<Self>(),
        })
    }

    /// Discards a page: drops it and unmaps it from all mappings.
    fn take(&self, index: usize) -> Result {
        let mut pages = self.pages.lock();
        let page = pages.get_mut(index).ok_or(EINVAL)?;
        *page = Page::default();
        // Unmap while holding the `pages` lock. The fault handler maps pages under the same lock,
        // so no handler is about to map the old page: either it has mapped it, and `unmap` finds
        // it, or it takes the lock later and allocates a new page.
        self.revocation.address_space().unmap(index, 1);
        Ok(())
    }

    /// Marks the dirty pages of a range clean, and returns their number.
    ///
    /// Unmapping them makes the kernel call `page_mkwrite` for the next write to each of them. A
    /// page that may be pinned remains dirty.
    fn clean(&self, range: impl FnOnce(usize) -> Range<usize>) -> u32 {
        let mut pages = self.pages.lock();
        let range = range(pages.len());
        let mut dirty = 0;
        for index in range {
            let Some(page) = pages.get_mut(index) else {
                break;
            };
            if page.dirty {
                dirty += 1;
                self.revocation.address_space().unmap(index, 1);
                // I/O can still write to a page that it has pinned, and nothing reports that. After
                // `unmap`, and while the lock is held, no further pin can be added.
                page.dirty = matches!(&page.folio, Some(folio) if folio.maybe_dma_pinned());
            }
        }
        dirty
    }
}

#[vtable]
impl MiscDevice for Memory {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        MEMORY.get().ok_or(ENODEV)
    }

    fn address_space<'a>(memory: ArcBorrow<'a, Self>, _file: &'a File) -> &'a AddressSpace {
        memory.into_ref().revocation.address_space()
    }

    fn mmap_prepare<'f>(
        memory: ArcBorrow<'f, Self>,
        mut desc: VmaDesc<'f, Self>,
    ) -> Result<Mapping<'f, Self>> {
        desc.deny_cow()?;
        let end = desc.pgoff().checked_add(desc.nr_pages()).ok_or(ENXIO)?;
        if end > memory.pages.lock().len() {
            return Err(ENXIO);
        }
        Ok(desc.with_ops::<DemandOps>()?.on_fault())
    }

    fn fsync(memory: ArcBorrow<'_, Self>, request: Fsync<'_>) -> Result {
        // A driver whose pages are a copy of something writes them back here.
        memory.clean(|len| request.pages(len));
        Ok(())
    }

    fn ioctl(memory: ArcBorrow<'_, Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let arg = || UserSlice::new(UserPtr::from_addr(arg), size_of::<u32>());
        match cmd {
            DEMAND_REVOKE => memory.revocation.revoke(),
            DEMAND_RESTORE => memory.revocation.restore(),
            DEMAND_TAKE => memory.take(arg().reader().read::<u32>()? as usize)?,
            DEMAND_CLEAN => {
                // `clean` clears the dirty flags, so check first that user space can get the
                // result.
                arg().writer().write(&0u32)?;
                arg().writer().write(&memory.clean(|len| 0..len))?
            }
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }

    fn show_fdinfo(memory: ArcBorrow<'_, Self>, m: &SeqFile, _file: &File) {
        let (mut present, mut dirty) = (0, 0);
        let size = {
            let pages = memory.pages.lock();
            for page in &*pages {
                present += i64::from(page.folio.is_some());
                dirty += i64::from(page.dirty);
            }
            pages.len() << PAGE_SHIFT
        };
        m.field(c"size", size as i64);
        m.field(c"present", present);
        m.field(c"dirty", dirty);
        m.field(c"revoked", memory.revocation.is_revoked().into());

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

        // Hold the lock until `insert_page` has mapped the page: see `take`.
        let mut pages = mapping.memory.pages.lock();
        let index = vmf.index_in(pages.len())?;
        let page = &mut pages[index];
        let folio = match &page.folio {
            Some(folio) => folio,
            None => page.folio.insert(Folio::alloc(0, GFP_KERNEL_ACCOUNT)?),
        };
        Ok(vmf.insert_page(folio, 0)?.into())
    }

    fn map_pages(vmf: &FaultAround<Self>) {
        let mapping = vmf.data();
        // The kernel calls `map_pages` under the RCU read lock, so it must not sleep. If another
        // thread holds the lock, map nothing: user space then faults for each page.
        let Some(pages) = mapping.memory.pages.try_lock() else {
            return;
        };
        let count = vmf.map(|pgoff| Some((pages.get(pgoff)?.folio.as_deref()?, 0)));
        mapping.around.fetch_add(count as i64, Relaxed);
    }

    fn page_mkwrite(vmf: &MkwriteFault<Self>) -> Result<MkwriteAnswer<'_>, FaultError> {
        let mapping = vmf.data();
        let mut pages = mapping.memory.pages.lock();
        let index = vmf.index_in(pages.len())?;
        let page = &mut pages[index];
        match &page.folio {
            Some(folio) if core::ptr::eq(&**folio, vmf.folio()) => {}
            // `take` has discarded the page since the kernel looked it up.
            _ => return Ok(MkwriteAnswer::Gone),
        }
        page.dirty = true;
        mapping.mkwrites.fetch_add(1, Relaxed);
        drop(pages);
        Ok(MkwriteAnswer::Locked(vmf.lock()))
    }
}

kernel::vm_operations!(DemandOps);
