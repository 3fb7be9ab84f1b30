// SPDX-License-Identifier: GPL-2.0

//! Locking mistakes that the types do not prevent: do not start a driver from this one.
//!
//! Safe code cannot corrupt memory, but it can deadlock, and it can sleep in atomic context
//! (`Documentation/mm/rust-mmap/locking.rst`). `/dev/rust_mm_misuse` does so on purpose, in ways
//! that do no harm as long as no other thread uses the mm, so that a test can show that the
//! kernel's debug tools report each of these mistakes:
//!
//! - [`MISUSE_TWICE`]: takes the mmap lock while it holds it already.
//! - [`MISUSE_ORDER`]: takes the mmap lock while it holds a VMA lock.
//! - [`MISUSE_SLEEP`]: sleeps while it holds a page table lock.
//! - [`MISUSE_AROUND`]: sleeps in `map_pages`, which the kernel calls under the RCU read lock, when
//!   user space reads a mapping that it makes after the ioctl.
//! - [`MISUSE_COPY`]: copies to user space in `read(2)` while it holds a lock that the file's fault
//!   handler takes. If the buffer were a mapping of the file, the fault handler would wait for that
//!   lock forever.
//! - [`MISUSE_MIRROR`]: mirrors the page of the address in the argument, unmaps it, and allocates
//!   memory when the kernel calls back. If that needed reclaim, which calls back as well, it would
//!   wait for itself.

use core::{
    convert::Infallible,
    ops::ControlFlow, //
};
use kernel::{
    fs::{
        File,
        Kiocb, //
    },
    ioctl::_IO,
    iov::IovIterDest,
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
        mirror::{
            Invalidation,
            Mirror,
            MirrorOps, //
        },
        ops::{
            Fault,
            FaultAnswer,
            FaultAround,
            FaultError,
            Ordinary,
            PerFile,
            VmOperations, //
        },
        pgtable::{
            walk_page_range_vma,
            LockedEntry,
            PageWalk, //
        },
        Folio, //
    },
    new_mutex,
    page::{
        PAGE_MASK,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow,
        Mutex, //
    }, //
};

module! {
    type: RustMmMisuse,
    name: "rust_mm_misuse",
    authors: ["Rust mm developers"],
    description: "Rust sample: locking mistakes, for tests of the kernel's debug tools",
    license: "GPL",
}

/// Takes the mmap lock twice.
const MISUSE_TWICE: u32 = _IO('m' as u32, 0);
/// Takes the mmap lock while holding the VMA lock of the address in the argument.
const MISUSE_ORDER: u32 = _IO('m' as u32, 1);
/// Sleeps while holding the page table lock of the address in the argument.
const MISUSE_SLEEP: u32 = _IO('m' as u32, 2);
/// Makes the file mappable, with a `map_pages` that sleeps.
const MISUSE_AROUND: u32 = _IO('m' as u32, 3);
/// Makes the file mappable, with a `fault` that takes the lock that `read(2)` holds.
const MISUSE_COPY: u32 = _IO('m' as u32, 4);
/// Unmaps the page of the address in the argument, with a mirror that allocates memory then.
const MISUSE_MIRROR: u32 = _IO('m' as u32, 5);

#[pin_data]
struct RustMmMisuse {
    #[pin]
    _device: MiscDeviceRegistration<Misuse>,
}

impl kernel::InPlaceModule for RustMmMisuse {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"rust_mm_misuse",
            }),
        })
    }
}

#[pin_data]
struct Misuse {
    /// [`MISUSE_AROUND`] or [`MISUSE_COPY`] if the file can be mapped, otherwise 0.
    mapped_for: Atomic<u32>,
    #[pin]
    folio: Mutex<ARef<Folio>>,
}

#[vtable]
impl MiscDevice for Misuse {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        Arc::pin_init(
            try_pin_init!(Self {
                mapped_for: Atomic::new(0),
                folio <- new_mutex!(Folio::alloc(0, GFP_KERNEL)?),
            }),
            GFP_KERNEL,
        )
    }

    fn mmap_prepare<'f>(
        this: ArcBorrow<'f, Self>,
        desc: VmaDesc<'f, Self>,
    ) -> Result<Mapping<'f, Self>> {
        match this.mapped_for.load(Relaxed) {
            MISUSE_AROUND => Ok(desc.with_ops::<SleepingOps>()?.on_fault()),
            MISUSE_COPY => Ok(desc.with_ops::<LockingOps>()?.on_fault()),
            _ => Err(ENODEV),
        }
    }

    fn read_iter(kiocb: Kiocb<'_, Arc<Self>>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let this = kiocb.file();
        if this.mapped_for.load(Relaxed) != MISUSE_COPY {
            return Err(EINVAL);
        }
        // The mistake. A correct driver takes a reference to the folio under the lock, drops the
        // lock and then copies.
        let folio = this.folio.lock();
        Ok(folio.copy_to_iter(0, iov))
    }

    fn ioctl(this: ArcBorrow<'_, Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let task = kernel::current!();
        let mm = task.mm().ok_or(ESRCH)?;
        match cmd {
            MISUSE_TWICE => {
                let _first = mm.mmap_read_lock();
                let _second = mm.mmap_read_lock();
            }
            MISUSE_ORDER => {
                let _vma = mm.lock_vma_under_rcu(arg).ok_or(EFAULT)?;
                let _mmap = mm.mmap_read_lock();
            }
            MISUSE_SLEEP => {
                let addr = arg & PAGE_MASK;
                let guard = mm.mmap_read_lock();
                let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
                walk_page_range_vma(vma, addr..addr + PAGE_SIZE, &mut Sleeper)?;
            }
            MISUSE_MIRROR => {
                let addr = arg & PAGE_MASK;
                let end = addr.checked_add(PAGE_SIZE).ok_or(EINVAL)?;
                let mirror = Mirror::new(mm, addr..end, Allocator, ());
                let _mirror = KBox::pin_init(mirror, GFP_KERNEL)?;
                task.user_mm().ok_or(ESRCH)?.vm_munmap(addr, PAGE_SIZE)?;
            }
            MISUSE_AROUND | MISUSE_COPY => this.mapped_for.store(cmd, Relaxed),
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }
}

/// Callbacks of which `map_pages` sleeps, which it must not.
struct SleepingOps;

#[vtable]
impl VmOperations for SleepingOps {
    type File = Misuse;
    type Data = PerFile;
    type Memory = Ordinary;

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        vmf.return_page(Folio::alloc(0, GFP_KERNEL)?, 0)
    }

    fn map_pages(_vmf: &FaultAround<Self>) {
        // A `GFP_KERNEL` allocation may sleep.
        let _ = KBox::new(0, GFP_KERNEL);
    }
}

kernel::vm_operations!(SleepingOps);

/// Callbacks of which `fault` takes the lock of the folio.
struct LockingOps;

#[vtable]
impl VmOperations for LockingOps {
    type File = Misuse;
    type Data = PerFile;
    type Memory = Ordinary;

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        let this = vmf.data();
        let folio = this.folio.lock();
        Ok(vmf.insert_page(&folio, 0)?.into())
    }
}

kernel::vm_operations!(LockingOps);

/// A page table walker that allocates memory, and so may sleep, under the page table lock.
struct Sleeper;

#[vtable]
impl PageWalk for Sleeper {
    type Break = Infallible;

    fn pte(&mut self, _entry: &LockedEntry<'_>) -> ControlFlow<Infallible> {
        let _ = KBox::new(0, GFP_KERNEL);
        ControlFlow::Continue(())
    }
}

/// A driver that allocates memory when the kernel is about to unmap a page.
struct Allocator;

#[vtable]
impl MirrorOps for Allocator {
    type State = ();

    fn invalidate(&self, (): &mut (), _: &Invalidation) {
        let _ = KBox::new(0, GFP_KERNEL);
    }
}
