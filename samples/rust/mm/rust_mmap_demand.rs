// SPDX-License-Identifier: GPL-2.0

//! Memory that appears when it is accessed, and that the driver can take back.
//!
//! `/dev/rust_mmap_demand` is a piece of memory whose pages come into being one by one, when user
//! space first touches them. The driver knows which pages have been written since somebody last
//! asked, can take single pages back, and can take all of the memory away from everybody and give it
//! back later, mapped or not. `/proc/<pid>/fdinfo` shows what has happened, for each mapping.
//!
//! It shows [`VmOperations`] with data that belongs to a mapping, and without a line of `unsafe`.

use kernel::{
    alloc::flags::__GFP_NOWARN,
    fs::File,
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
    page::PAGE_SIZE,
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
    description: "Rust sample: memory that appears when it is accessed",
    license: "GPL",
    params: {
        pages: u32 {
            default: 64,
            description: "Size of the memory in pages, up to 1048576",
        },
    },
}

/// What is more must be a mistake: 4 GiB. The pages come later, but their list at once.
const MOST_PAGES: u32 = 1 << 20;

/// Takes the memory away from everybody.
const DEMAND_REVOKE: u32 = _IO('d' as u32, 0);
/// Gives it back.
const DEMAND_RESTORE: u32 = _IO('d' as u32, 1);
/// Takes one page back, given its index; what was in it is lost.
const DEMAND_TAKE: u32 = _IOW::<u32>('d' as u32, 2);
/// Returns how many pages have been written since this was last asked.
const DEMAND_CLEAN: u32 = _IOR::<u32>('d' as u32, 3);

/// Where `open` finds the memory of the loaded module.
static MEMORY: Published<Memory> = Published::new();

/// The module. The fields are dropped in this order: the device goes before the memory.
#[pin_data]
struct RustMmapDemand {
    #[pin]
    _device: MiscDeviceRegistration<Memory>,
    _memory: Publication<Memory>,
}

impl kernel::InPlaceModule for RustMmapDemand {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // First, so that a device that can be opened has its memory.
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
    /// There is none before the first access, and after it was taken back.
    folio: Option<ARef<Folio>>,
    dirty: bool,
}

/// What has happened to a mapping, and to all that was made from it by `fork` and the like.
struct Counters {
    id: i64,
    vmas: Atomic<i64>,
    faults: Atomic<i64>,
    mkwrites: Atomic<i64>,
    /// Of the faults, those that did not need the mmap lock.
    vma_lock: Atomic<i64>,
    /// Pages that were mapped along with one that was read.
    around: Atomic<i64>,
}

/// The device.
#[pin_data]
struct Memory {
    #[pin]
    pages: Mutex<KVVec<Page>>,
    #[pin]
    mappings: Mutex<KVVec<Arc<Counters>>>,
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
                // All at once: if there is not as much memory, nobody has to make room first.
                let flags = GFP_KERNEL | __GFP_NOWARN;
                let mut pages = KVVec::with_capacity(nr_pages as usize, flags)?;
                for _ in 0..nr_pages {
                    pages.push(Page::default(), GFP_KERNEL)?;
                }
                pages
            }),
            mappings <- new_mutex!(KVVec::new()),
            next_id: Atomic::new(0),
            revocation <- Revocation::new::<Self>(),
        })
    }

    /// Takes a page back.
    fn take(&self, index: usize) -> Result {
        let mut pages = self.pages.lock();
        let page = pages.get_mut(index).ok_or(EINVAL)?;
        *page = Page::default();
        // With the lock held, under which the fault handler maps pages: it can neither have a page
        // in hand that is not mapped yet, nor map the old one after this.
        self.revocation.address_space().unmap(index, 1);
        Ok(())
    }

    /// Counts the pages that were written, and has the next write to each of them seen again.
    fn clean(&self) -> u32 {
        let mut pages = self.pages.lock();
        let mut dirty = 0;
        for (index, page) in pages.iter_mut().enumerate() {
            if page.dirty {
                page.dirty = false;
                dirty += 1;
                self.revocation.address_space().unmap(index, 1);
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

    fn ioctl(memory: ArcBorrow<'_, Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let arg = || UserSlice::new(UserPtr::from_addr(arg), size_of::<u32>());
        match cmd {
            DEMAND_REVOKE => memory.revocation.revoke(),
            DEMAND_RESTORE => memory.revocation.restore(),
            DEMAND_TAKE => memory.take(arg().reader().read::<u32>()? as usize)?,
            DEMAND_CLEAN => {
                // What cannot be told must not be forgotten.
                arg().writer().write(&0u32)?;
                arg().writer().write(&memory.clean())?
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
                present += usize::from(page.folio.is_some());
                dirty += usize::from(page.dirty);
            }
            pages.len() * PAGE_SIZE
        };
        seq_print!(m, "size:\t{}\n", size);
        seq_print!(m, "present:\t{}\n", present);
        seq_print!(m, "dirty:\t{}\n", dirty);
        seq_print!(
            m,
            "revoked:\t{}\n",
            u8::from(memory.revocation.is_revoked())
        );

        let (mut vmas, mut faults, mut mkwrites, mut vma_lock, mut around) = (0, 0, 0, 0, 0);
        let mappings = memory.mappings.lock();
        for mapping in &*mappings {
            vmas += mapping.vmas.load(Relaxed);
            faults += mapping.faults.load(Relaxed);
            mkwrites += mapping.mkwrites.load(Relaxed);
            vma_lock += mapping.vma_lock.load(Relaxed);
            around += mapping.around.load(Relaxed);
        }
        seq_print!(m, "mappings:\t{}\n", mappings.len());
        seq_print!(m, "vmas:\t{}\n", vmas);
        seq_print!(m, "faults:\t{}\n", faults);
        seq_print!(m, "mkwrites:\t{}\n", mkwrites);
        seq_print!(m, "vma_lock_faults:\t{}\n", vma_lock);
        seq_print!(m, "pages_around:\t{}\n", around);
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

/// What belongs to a mapping.
struct DemandMapping {
    memory: Arc<Memory>,
    counters: Arc<Counters>,
}

impl Drop for DemandMapping {
    fn drop(&mut self) {
        let id = self.counters.id;
        self.memory.mappings.lock().retain(|other| other.id != id);
    }
}

/// The callbacks.
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
        let counters = Arc::new(
            Counters {
                id: memory.next_id.fetch_add(1, Relaxed),
                vmas: Atomic::new(1),
                faults: Atomic::new(0),
                mkwrites: Atomic::new(0),
                vma_lock: Atomic::new(0),
                around: Atomic::new(0),
            },
            GFP_KERNEL,
        )?;
        memory.mappings.lock().push(counters.clone(), GFP_KERNEL)?;
        // From here on, dropping it takes it off the list.
        let mapping = DemandMapping {
            memory: memory.into(),
            counters,
        };
        Ok(PerVma(Arc::new(mapping, GFP_KERNEL)?))
    }

    fn open(vma: &DriverVmaInfo<Self>) {
        vma.data().counters.vmas.fetch_add(1, Relaxed);
    }

    fn close(vma: &DriverVmaInfo<Self>) {
        vma.data().counters.vmas.fetch_sub(1, Relaxed);
    }

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        let mapping = vmf.data();
        mapping.counters.faults.fetch_add(1, Relaxed);
        if vmf.under_vma_lock() {
            mapping.counters.vma_lock.fetch_add(1, Relaxed);
        }

        // Held until the page is mapped: see `take`.
        let mut pages = mapping.memory.pages.lock();
        let page = pages.get_mut(vmf.pgoff()).ok_or(FaultError::SigBus)?;
        let folio = match &page.folio {
            Some(folio) => folio,
            None => page.folio.insert(Folio::alloc(0, GFP_KERNEL)?),
        };
        Ok(vmf.insert_page(folio, 0)?.into())
    }

    fn map_pages(vmf: &FaultAround<Self>) {
        let mapping = vmf.data();
        // This must not sleep. If somebody has the lock, a fault for each page does as well.
        let Some(pages) = mapping.memory.pages.try_lock() else {
            return;
        };
        let count = vmf.map(|pgoff| Some((pages.get(pgoff)?.folio.as_deref()?, 0)));
        mapping.counters.around.fetch_add(count as i64, Relaxed);
    }

    fn page_mkwrite(vmf: &MkwriteFault<Self>) -> Result<MkwriteAnswer<'_>, FaultError> {
        let mapping = vmf.data();
        let mut pages = mapping.memory.pages.lock();
        let page = pages.get_mut(vmf.pgoff()).ok_or(FaultError::SigBus)?;
        match &page.folio {
            Some(folio) if core::ptr::eq(&**folio, vmf.folio()) => {}
            // Taken back since the kernel has looked.
            _ => return Ok(MkwriteAnswer::Gone),
        }
        page.dirty = true;
        mapping.counters.mkwrites.fetch_add(1, Relaxed);
        drop(pages);
        Ok(MkwriteAnswer::Locked(vmf.lock()))
    }
}

kernel::vm_operations!(DemandOps);
