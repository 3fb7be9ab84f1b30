// SPDX-License-Identifier: GPL-2.0

//! Pages that the driver gives back under memory pressure.
//!
//! `/dev/rust_mmap_reclaim` is memory whose contents the driver can compute at any time: each page
//! has its page offset in its first bytes. So the driver makes a page when user space first
//! accesses it, and its shrinker frees pages again while they are mapped. User space does not see a
//! difference: the next access is a fault, in which the driver makes the page anew.
//! `/proc/<pid>/fdinfo` shows how many pages there are, how many were made, and how many were given
//! back.
//!
//! `echo 2 > /proc/sys/vm/drop_caches` makes the kernel call the shrinker. With
//! `CONFIG_SHRINKER_DEBUG`, it is in `/sys/kernel/debug/shrinker` as well.

use kernel::{
    alloc::flags::__GFP_NOWARN,
    fs::File,
    list_lru::{
        ListLru,
        LruItem, //
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
            Fault,
            FaultAnswer,
            FaultError,
            Ordinary,
            PerFile,
            VmOperations, //
        },
        rmap::AddressSpace,
        Folio, //
    },
    new_list_lru,
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    shrinker::{
        self,
        Count,
        Scan,
        ShrinkControl,
        Shrinker, //
    },
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
    }, //
};

module! {
    type: RustMmapReclaim,
    name: "rust_mmap_reclaim",
    authors: ["Rust mm developers"],
    description: "Rust sample: pages that are given back under memory pressure",
    license: "GPL",
    params: {
        pages: u32 {
            default: 16,
            description: "Size of the memory in pages, up to 1048576",
        },
    },
}

/// Upper bound of `pages` (4 GiB); anything larger is assumed to be a typo.
const MOST_PAGES: u32 = 1 << 20;

/// The memory of the loaded module, where `open` finds it.
static MEMORY: Published<Memory> = Published::new();

/// The module.
///
/// Rust drops the fields from top to bottom: the device is deregistered before the memory is
/// withdrawn, so `open` finds the memory whenever it is called.
#[pin_data]
struct RustMmapReclaim {
    #[pin]
    _device: MiscDeviceRegistration<Memory>,
    _shrinker: shrinker::Registration<Memory>,
    _memory: Publication<Memory>,
}

impl kernel::InPlaceModule for RustMmapReclaim {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        let memory = Memory::new(*module_parameters::pages.value_ref());
        try_pin_init!(Self {
            // Publish the memory first: user space can open the device as soon as it is registered.
            _memory: MEMORY.publish(memory.clone()?)?,
            _shrinker: shrinker::Registration::new(c"rust_mmap_reclaim", memory?)?,
            _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"rust_mmap_reclaim",
            }),
        })
    }
}

/// The place of a page.
struct Slot {
    /// The page, if there is one at the moment.
    page: Option<ARef<Folio>>,
    /// The item, which is on the list if there is a page; its value is the page offset.
    item: Pin<KBox<LruItem<usize>>>,
}

/// The device.
#[pin_data]
struct Memory {
    /// The places, under a lock that the shrinker only tries to take.
    ///
    /// `fault` allocates memory under it, and so may wait for reclaim.
    #[pin]
    slots: Mutex<KVVec<Slot>>,
    lru: Arc<ListLru<usize>>,
    space: AddressSpace,
    /// How many pages were made.
    made: Atomic<i64>,
    /// How many of them were given back.
    reclaimed: Atomic<i64>,
}

impl Memory {
    fn new(nr_pages: u32) -> Result<Arc<Self>> {
        if nr_pages > MOST_PAGES {
            return Err(ENOMEM);
        }
        let lru = Arc::pin_init(new_list_lru!(), GFP_KERNEL)?;
        let space = AddressSpace::new::<Self>()?;
        // User space chooses the size, so do not warn.
        let mut slots = KVVec::with_capacity(nr_pages as usize, GFP_KERNEL | __GFP_NOWARN)?;
        for pgoff in 0..nr_pages as usize {
            let item = KBox::pin_init(LruItem::new(lru.clone(), pgoff), GFP_KERNEL)?;
            slots.push(Slot { page: None, item }, GFP_KERNEL)?;
        }
        Arc::pin_init(
            pin_init!(Self {
                slots <- new_mutex!(slots),
                lru,
                space,
                made: Atomic::new(0),
                reclaimed: Atomic::new(0),
            }),
            GFP_KERNEL,
        )
    }

    /// Makes the page at a page offset.
    fn make_page(&self, pgoff: usize) -> Result<ARef<Folio>> {
        let page = Folio::alloc(0, GFP_KERNEL_ACCOUNT)?;
        page.write_at(0, &pgoff.to_ne_bytes())?;
        self.made.fetch_add(1, Relaxed);
        Ok(page)
    }
}

#[vtable]
impl MiscDevice for Memory {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        MEMORY.get().ok_or(ENODEV)
    }

    fn address_space<'a>(memory: ArcBorrow<'a, Self>, _file: &'a File) -> &'a AddressSpace {
        &memory.into_ref().space
    }

    fn mmap_prepare<'f>(
        _memory: ArcBorrow<'f, Self>,
        mut desc: VmaDesc<'f, Self>,
    ) -> Result<Mapping<'f, Self>> {
        // What user space has written would be lost with the page.
        if desc.flags().writable() {
            return Err(EACCES);
        }
        desc.try_clear(kernel::mm::flags::ClearFlags::MAYWRITE)?;
        Ok(desc.with_ops::<ReclaimOps>()?.on_fault())
    }

    fn show_fdinfo(memory: ArcBorrow<'_, Self>, m: &SeqFile, _file: &File) {
        let present = memory.lru.count();
        seq_print!(m, "size:\t{}\n", memory.slots.lock().len() * PAGE_SIZE);
        seq_print!(m, "present:\t{}\n", present);
        seq_print!(m, "made:\t{}\n", memory.made.load(Relaxed));
        seq_print!(m, "reclaimed:\t{}\n", memory.reclaimed.load(Relaxed));
    }
}

/// The callbacks of the mappings.
struct ReclaimOps;

#[vtable]
impl VmOperations for ReclaimOps {
    type File = Memory;
    type Data = PerFile;
    type Memory = Ordinary;

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        let memory = vmf.data();
        let mut slots = memory.slots.lock();
        let index = vmf.index_in(slots.len())?;
        let slot = &mut slots[index];
        if slot.page.is_none() {
            slot.page = Some(memory.make_page(index)?);
        }
        let page = slot.page.as_ref().ok_or(FaultError::SigBus)?;
        slot.item.as_mut().add(page.nid());
        // Still under the lock: the shrinker holds it as well, from when it removes the item until
        // it has unmapped the page.
        Ok(vmf.insert_page(page, 0)?.into())
    }
}

kernel::vm_operations!(ReclaimOps);

#[vtable]
impl Shrinker for Memory {
    type Ptr = Arc<Self>;
    const NUMA_AWARE: bool = true;

    fn count(memory: ArcBorrow<'_, Self>, sc: &ShrinkControl) -> Count {
        memory.lru.shrink_count(sc).into()
    }

    fn scan(memory: ArcBorrow<'_, Self>, sc: &mut ShrinkControl) -> Scan {
        let mut busy = false;
        let freed = memory.lru.shrink_walk(sc, |item| {
            let pgoff = *item.value();
            // A thread that allocates a page in `fault` holds the lock, and may be this one.
            let Some(mut slots) = memory.slots.try_lock() else {
                busy = true;
                return item.stop();
            };
            let unlocked = item.remove().unlock();
            memory.space.unmap(pgoff, 1);
            let page = slots.get_mut(pgoff).and_then(|slot| slot.page.take());
            drop(slots);
            if page.is_some() {
                memory.reclaimed.fetch_add(1, Relaxed);
            }
            unlocked.done()
        });
        if busy && freed == 0 {
            return Scan::Stop;
        }
        Scan::Freed(freed)
    }
}
