// SPDX-License-Identifier: GPL-2.0

//! What safe code can do with upstream's views of a VMA. Not a driver to start yours from.
//!
//! [`VmaRef`] and [`VmaMixedMap`] are views of anybody's VMA. `/dev/rust_mm_upstream_holes` calls
//! three of their functions on the memory of the process that asks, which needs no `unsafe`:
//!
//! - [`HOLES_ZAP`]: [`VmaRef::zap_vma_range`] takes a range that is no whole pages. The kernel's loop
//!   looks for the end of the range by equality, so it runs past it, through the page tables and
//!   beyond. This takes the machine down.
//! - [`HOLES_INSERT`]: [`VmaRef::as_mixedmap_vma`] lets a driver put pages of its own into the
//!   mapping of another driver, which knows nothing of it.
//! - [`HOLES_IS_OWNED`]: what closes both. [`VmaRef::as_driver_vma`] gives a view only of a mapping that
//!   this module has made itself, and whatever changes a mapping needs that view.
//!
//! [`VmaMixedMap`]: kernel::mm::virt::VmaMixedMap

use kernel::{
    alloc::flags::__GFP_ZERO,
    fs::File,
    ioctl::{
        _IO,
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
            Mixed,
            PerFile,
            VmOperations, //
        },
        virt::VmaRef, //
    },
    page::Page,
    prelude::*,
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

module! {
    type: RustMmUpstreamHoles,
    name: "rust_mm_upstream_holes",
    authors: ["Rust mm developers"],
    description: "Reproducers: what upstream's views of a VMA let safe code do",
    license: "GPL",
}

/// Zaps a range of the VMA at its address: two words, address and length.
const HOLES_ZAP: u32 = _IOW::<[usize; 2]>('h' as u32, 0);
/// Inserts a page of zeroes at an address, which is the argument itself.
const HOLES_INSERT: u32 = _IO('h' as u32, 1);
/// Returns 1 if the VMA at an address, which is the argument itself, is one of this module's.
const HOLES_IS_OWNED: u32 = _IO('h' as u32, 2);

#[pin_data]
struct RustMmUpstreamHoles {
    #[pin]
    _device: MiscDeviceRegistration<Holes>,
}

impl kernel::InPlaceModule for RustMmUpstreamHoles {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"rust_mm_upstream_holes",
            }),
        })
    }
}

struct Holes {
    page: Page,
}

/// Has `f` look at the VMA of the current process at an address.
fn with_vma<R>(addr: usize, f: impl FnOnce(&VmaRef) -> Result<R>) -> Result<R> {
    let task = kernel::current!();
    let mm = task.mm().ok_or(ESRCH)?.mmap_read_lock();
    f(mm.vma_lookup(addr).ok_or(EFAULT)?)
}

#[vtable]
impl MiscDevice for Holes {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        let page = Page::alloc_page(GFP_KERNEL | __GFP_ZERO)?;
        Ok(KBox::new(Self { page }, GFP_KERNEL)?)
    }

    fn mmap_prepare<'f>(_holes: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        Ok(desc.with_ops::<HolesOps>()?.on_fault())
    }

    fn ioctl(holes: &Self, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        match cmd {
            HOLES_ZAP => {
                let words = UserSlice::new(UserPtr::from_addr(arg), size_of::<[usize; 2]>());
                let [addr, len] = words.reader().read::<[usize; 2]>()?;
                with_vma(addr, |vma| {
                    vma.zap_vma_range(addr, len);
                    Ok(0)
                })
            }
            HOLES_INSERT => with_vma(arg, |vma| {
                let vma = vma.as_mixedmap_vma().ok_or(EINVAL)?;
                vma.vm_insert_page(arg, &holes.page)?;
                Ok(0)
            }),
            HOLES_IS_OWNED => with_vma(arg, |vma| {
                Ok(vma.as_driver_vma::<HolesOps>().is_some().into())
            }),
            _ => Err(ENOTTY),
        }
    }
}

/// Operations without callbacks: what tells this module's mappings from all others.
struct HolesOps;

#[vtable]
impl VmOperations for HolesOps {
    type File = Holes;
    type Data = PerFile;
    type Memory = Mixed;
}

kernel::vm_operations!(HolesOps);
