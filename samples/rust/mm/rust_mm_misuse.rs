// SPDX-License-Identifier: GPL-2.0

//! What the types cannot keep a driver from doing. Not a driver to start yours from.
//!
//! Safe code cannot break memory, but it can wait for itself. `/dev/rust_mm_misuse` does so on purpose,
//! in ways that go well when nobody else is about, so that a test can see that the kernel's debugging
//! reports each of them:
//!
//! - [`MISUSE_TWICE`]: takes the mmap lock while it holds it.
//! - [`MISUSE_ORDER`]: takes the mmap lock while it holds a VMA lock.
//! - [`MISUSE_SLEEP`]: sleeps while it holds the lock of a page table.

use core::{
    convert::Infallible,
    ops::ControlFlow, //
};
use kernel::{
    fs::File,
    ioctl::_IO,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::{
        evidence::Stable,
        pgtable::{
            LockedEntry,
            PageWalk, //
        }, //
    },
    page::{
        PAGE_MASK,
        PAGE_SIZE, //
    },
    prelude::*, //
};

module! {
    type: RustMmMisuse,
    name: "rust_mm_misuse",
    authors: ["Rust mm developers"],
    description: "Rust sample: what only lockdep can see",
    license: "GPL",
}

/// Takes the mmap lock twice.
const MISUSE_TWICE: u32 = _IO('m' as u32, 0);
/// Takes the mmap lock with the VMA lock of the address that is the argument.
const MISUSE_ORDER: u32 = _IO('m' as u32, 1);
/// Sleeps with the lock of the page table of the address that is the argument.
const MISUSE_SLEEP: u32 = _IO('m' as u32, 2);

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

struct Misuse;

#[vtable]
impl MiscDevice for Misuse {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Ok(KBox::new(Self, GFP_KERNEL)?)
    }

    fn ioctl(_this: &Self, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
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
                vma.walk_page_range_vma(addr..addr + PAGE_SIZE, &mut Sleeper)?;
            }
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }
}

/// Looks at entries, and allocates memory meanwhile, which may have to be waited for.
struct Sleeper;

#[vtable]
impl PageWalk for Sleeper {
    type Break = Infallible;

    fn pte(&mut self, _entry: &LockedEntry<'_>) -> ControlFlow<Infallible> {
        let _ = KBox::new(0, GFP_KERNEL);
        ControlFlow::Continue(())
    }
}
