// SPDX-License-Identifier: GPL-2.0

//! Memory that is used wrongly, on purpose: do not start a driver from this one.
//!
//! The layer keeps drivers from making these mistakes, and the kernel's debug tools report them if
//! they happen nevertheless. `/dev/rust_mm_broken` makes them in Rust code, so that a test can show
//! that each of the tools checks Rust code:
//!
//! - [`BROKEN_FREED`], [`BROKEN_VMALLOC`], [`BROKEN_STACK`]: reads freed memory, and past the end
//!   of memory from `vmalloc` and of a variable on the stack. For KASAN.
//! - [`BROKEN_PAGE`]: frees a page that is still mapped. For the page table check.
//! - [`BROKEN_LEAK`]: leaks memory. For kmemleak; the only mistake here that safe code can make.
//! - [`BROKEN_RACE`]: increments a counter without synchronisation. For KCSAN.
//! - [`BROKEN_LIST`]: adds an entry to a list twice. For `DEBUG_LIST`.
//! - [`BROKEN_LOCK`]: unlocks a folio that is not locked. For `DEBUG_VM`.
//! - [`BROKEN_VMA`]: shortens a VMA without updating the maple tree. For `DEBUG_VM_MAPLE_TREE`.

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
    description: "Rust sample: broken memory accesses, for tests of the kernel's debug tools",
    license: "GPL",
}

/// Reads freed memory.
const BROKEN_FREED: u32 = _IO('b' as u32, 0);
/// Reads past the end of memory from `vmalloc`.
const BROKEN_VMALLOC: u32 = _IO('b' as u32, 1);
/// Reads past the end of a variable on the stack.
const BROKEN_STACK: u32 = _IO('b' as u32, 2);
/// Maps a page at the address in the argument, which must be in a mapping of this file, and frees
/// the page.
const BROKEN_PAGE: u32 = _IO('b' as u32, 3);
/// Leaks some memory.
const BROKEN_LEAK: u32 = _IO('b' as u32, 4);
/// Increments a counter, which all files share, as often as the argument says.
const BROKEN_RACE: u32 = _IO('b' as u32, 5);
/// Adds an entry to a list twice.
const BROKEN_LIST: u32 = _IO('b' as u32, 6);
/// Unlocks a folio that is not locked.
const BROKEN_LOCK: u32 = _IO('b' as u32, 7);
/// Shortens the VMA at the address in the argument by one page.
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
    // Not `KBox`: the layer refuses to map a `KBox` of a zero-sized type.
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
    // SAFETY: None: the memory is freed, which KASAN must report. The value that is read is not
    // used.
    unsafe { ptr.read_volatile() };
    Ok(())
}

#[inline(never)]
fn behind_vmalloc() -> Result {
    let memory = VVec::<u8>::with_capacity(100, GFP_KERNEL)?;
    let ptr = black_box(memory.as_ptr());
    // SAFETY: None: the byte is past the end, which KASAN must report. It is in the same page as
    // the start of the memory, and the value that is read is not used.
    unsafe { ptr.add(memory.capacity()).read_volatile() };
    Ok(())
}

#[inline(never)]
fn behind_variable() {
    let variable = [0u8; 16];
    let ptr = black_box(variable.as_ptr());
    // SAFETY: None: the byte is past the end, which KASAN must report. It is on the stack, and the
    // value that is read is not used.
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
    // A `struct folio` starts with the `struct page` of its first page.
    let raw = from_ref::<Folio>(&folio)
        .cast_mut()
        .cast::<bindings::page>();
    // SAFETY: None: the page is still mapped. This resets its mapcount but leaves the page table
    // entry. The page table check must stop the machine when `folio` drops the last reference,
    // before the allocator hands the page to another user.
    unsafe {
        (*raw).__bindgen_anon_2.page_type = u32::MAX;
        bindings::__free_pages(raw, 0);
    }
    Ok(())
}

#[inline(never)]
fn leak() -> Result {
    // kmemleak may find the address of an object on some stack and not report that object, but not
    // the addresses of all 16.
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
        // SAFETY: None: other threads do the same, which KCSAN must report. The counter is only a
        // number that nothing depends on.
        unsafe { *count += 1 };
    }
}

#[inline(never)]
fn added_twice() {
    let mut head = bindings::list_head::default();
    let mut entry = bindings::list_head::default();
    let (head, entry) = (&raw mut head, &raw mut entry);
    // SAFETY:
    // - The head and the entry are valid, and no other thread has their addresses. They are not
    //   used after this block.
    // - None for the second `list_add_tail`, which `DEBUG_LIST` must report and refuse.
    unsafe {
        bindings::INIT_LIST_HEAD(head);
        bindings::list_add_tail(entry, head);
        bindings::list_add_tail(black_box(entry), head);
    }
}

#[inline(never)]
fn unlocked_twice() -> Result {
    let page = Page::alloc_page(GFP_KERNEL)?;
    // SAFETY: None: the folio is not locked, for which `DEBUG_VM` must stop the machine.
    unsafe { bindings::folio_unlock(bindings::page_folio(page.as_ptr())) };
    Ok(())
}

#[inline(never)]
fn end_of_vma(addr: usize) -> Result {
    let task = kernel::current!();
    let mm = task.mm().ok_or(ESRCH)?.as_raw();
    // SAFETY:
    // - The mm is that of the current task, and this looks the VMA up and changes it under the mmap
    //   write lock.
    // - None for the change: the maple tree still has the old end. `DEBUG_VM_MAPLE_TREE` must stop
    //   the machine at the next validation of the tree.
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

/// The operations of the mapping in which [`BROKEN_PAGE`] frees a page.
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
