// SPDX-License-Identifier: GPL-2.0

//! Memory that is used wrongly. Not a driver to start yours from.
//!
//! What the layer is to keep drivers from, and what the kernel's debugging is to see when it happens
//! all the same. `/dev/rust_mm_broken` does it on purpose, from Rust, so that a test can see that each
//! of the tools looks at Rust code:
//!
//! - [`BROKEN_FREED`], [`BROKEN_VMALLOC`], [`BROKEN_STACK`]: reads what was freed, and behind the end of
//!   memory from `vmalloc` and of a variable on the stack. For KASAN.
//! - [`BROKEN_PAGE`]: frees a page that is mapped, and has told nobody. For the page table check.
//! - [`BROKEN_LEAK`]: forgets memory. For kmemleak; the only one that safe code can do.
//! - [`BROKEN_RACE`]: counts in what all count in at the same time. For KCSAN.
//! - [`BROKEN_LIST`]: adds the same to a list twice. For `DEBUG_LIST`.
//! - [`BROKEN_LOCK`]: unlocks a folio that is not locked. For `DEBUG_VM`.
//! - [`BROKEN_VMA`]: makes a VMA shorter, and does not tell the tree. For `DEBUG_VM_MAPLE_TREE`.

use core::{
    hint::black_box,
    ptr::from_ref, //
};
use kernel::{
    bindings,
    fs::File,
    ioctl::_IO,
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
            Install,
            Mixed,
            PerFile,
            VmOperations, //
        },
        Folio, //
    },
    page::{
        Page,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    }, //
};

module! {
    type: RustMmBroken,
    name: "rust_mm_broken",
    authors: ["Rust mm developers"],
    description: "Memory that is used wrongly, for tests of the kernel's debugging",
    license: "GPL",
}

/// Reads memory that was freed.
const BROKEN_FREED: u32 = _IO('b' as u32, 0);
/// Reads behind the end of memory from `vmalloc`.
const BROKEN_VMALLOC: u32 = _IO('b' as u32, 1);
/// Reads behind the end of a variable on the stack.
const BROKEN_STACK: u32 = _IO('b' as u32, 2);
/// Maps a page at the address that is the argument, in a mapping of this file, and frees it.
const BROKEN_PAGE: u32 = _IO('b' as u32, 3);
/// Forgets some memory.
const BROKEN_LEAK: u32 = _IO('b' as u32, 4);
/// Counts as far as the argument says, for all files in the same place.
const BROKEN_RACE: u32 = _IO('b' as u32, 5);
/// Adds the same to a list twice.
const BROKEN_LIST: u32 = _IO('b' as u32, 6);
/// Unlocks a folio that is not locked.
const BROKEN_LOCK: u32 = _IO('b' as u32, 7);
/// Takes the last page off the VMA at the address that is the argument.
const BROKEN_VMA: u32 = _IO('b' as u32, 8);

#[pin_data]
struct RustMmBroken {
    #[pin]
    _device: MiscDeviceRegistration<Broken>,
}

impl kernel::InPlaceModule for RustMmBroken {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"rust_mm_broken",
            }),
        })
    }
}

struct Broken;

#[vtable]
impl MiscDevice for Broken {
    // The layer refuses to map a box of a type without size.
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        Ok(Arc::new(Self, GFP_KERNEL)?)
    }

    fn mmap_prepare<'f>(
        _this: ArcBorrow<'f, Self>,
        desc: VmaDesc<'f, Self>,
    ) -> Result<Mapping<'f, Self>> {
        Ok(desc.with_ops::<BrokenOps>()?.on_fault())
    }

    fn ioctl(_this: ArcBorrow<'_, Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        match cmd {
            BROKEN_FREED => freed()?,
            BROKEN_VMALLOC => behind_vmalloc()?,
            BROKEN_STACK => behind_variable(),
            BROKEN_PAGE => freed_while_mapped(arg)?,
            BROKEN_LEAK => leak()?,
            BROKEN_RACE => race(arg),
            BROKEN_LIST => added_twice(),
            BROKEN_LOCK => unlocked_twice()?,
            BROKEN_VMA => end_of_vma(arg)?,
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }
}

#[inline(never)]
fn freed() -> Result {
    let memory = KBox::new([0u8; 64], GFP_KERNEL)?;
    let ptr = black_box(memory.as_ptr());
    drop(memory);
    // SAFETY: None: the memory is freed, which KASAN is to see. Nothing is done with what is read.
    unsafe { ptr.read_volatile() };
    Ok(())
}

#[inline(never)]
fn behind_vmalloc() -> Result {
    let memory = VVec::<u8>::with_capacity(100, GFP_KERNEL)?;
    let ptr = black_box(memory.as_ptr());
    // SAFETY: None: this is behind the end, which KASAN is to see. It is in the page that the memory
    // begins in, and nothing is done with what is read.
    unsafe { ptr.add(memory.capacity()).read_volatile() };
    Ok(())
}

#[inline(never)]
fn behind_variable() {
    let variable = [0u8; 16];
    let ptr = black_box(variable.as_ptr());
    // SAFETY: None: this is behind the end, which KASAN is to see. It is on the stack, and nothing is
    // done with what is read.
    unsafe { ptr.add(variable.len()).read_volatile() };
}

#[inline(never)]
fn freed_while_mapped(addr: usize) -> Result {
    let folio = Folio::alloc(0, GFP_KERNEL)?;
    let task = kernel::current!();
    let mm = task.mm().ok_or(ESRCH)?.mmap_read_lock();
    let vma = mm.vma_lookup(addr).ok_or(EFAULT)?;
    let own = vma.as_driver_vma::<BrokenOps>().ok_or(EINVAL)?;
    own.insert_page(addr, &folio, 0)?;
    // A folio begins with its first page.
    let raw = from_ref::<Folio>(&folio)
        .cast_mut()
        .cast::<bindings::page>();
    // SAFETY: None: the page is mapped, and that is taken back from what the page says of itself, but
    // not from the page table. The page table check is to stop the machine before the page, whose last
    // reference goes with `folio`, belongs to another user.
    unsafe {
        (*raw).__bindgen_anon_2.page_type = u32::MAX;
        bindings::__free_pages(raw, 0);
    }
    Ok(())
}

#[inline(never)]
fn leak() -> Result {
    // An address may be left on some stack, where kmemleak finds it; not all of them.
    for _ in 0..16 {
        core::mem::forget(black_box(KBox::new([0u8; 192], GFP_KERNEL)?));
    }
    Ok(())
}

#[inline(never)]
fn race(times: usize) {
    static mut COUNT: u64 = 0;

    for _ in 0..times.min(1 << 20) {
        let count = black_box(&raw mut COUNT);
        // SAFETY: None: others do the same, which KCSAN is to see. What comes out is only a number.
        unsafe { *count += 1 };
    }
}

#[inline(never)]
fn added_twice() {
    let mut head = bindings::list_head::default();
    let mut entry = bindings::list_head::default();
    let (head, entry) = (&raw mut head, &raw mut entry);
    // SAFETY: None for the second time, which `DEBUG_LIST` is to see, and to refuse. Nobody else has the
    // list, which is forgotten then.
    unsafe {
        bindings::INIT_LIST_HEAD(head);
        bindings::list_add_tail(entry, head);
        bindings::list_add_tail(black_box(entry), head);
    }
}

#[inline(never)]
fn unlocked_twice() -> Result {
    let page = Page::alloc_page(GFP_KERNEL)?;
    // SAFETY: None: nobody has locked the folio, which is to stop the machine.
    unsafe { bindings::folio_unlock(bindings::page_folio(page.as_ptr())) };
    Ok(())
}

#[inline(never)]
fn end_of_vma(addr: usize) -> Result {
    let task = kernel::current!();
    let mm = task.mm().ok_or(ESRCH)?.as_raw();
    // SAFETY: The current task has the mm, and the VMA is looked up and changed under the lock.
    // None for the change, of which the tree of VMAs is not told. The next one who looks is to stop the
    // machine.
    unsafe {
        bindings::mmap_write_lock(mm);
        let vma = bindings::vma_lookup(mm, addr);
        if !vma.is_null() {
            (*vma).__bindgen_anon_1.__bindgen_anon_1.vm_end -= PAGE_SIZE;
        }
        bindings::mmap_write_unlock(mm);
    }
    Ok(())
}

/// Operations of the mapping that a page is freed in.
struct BrokenOps;

#[vtable]
impl VmOperations for BrokenOps {
    type File = Broken;
    type Data = PerFile;
    type Memory = Mixed;

    fn fault(_vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        Err(FaultError::SigBus)
    }
}

kernel::vm_operations!(BrokenOps);
