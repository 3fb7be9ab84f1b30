// SPDX-License-Identifier: GPL-2.0

//! One function of the layer, again and again.
//!
//! `make bench` runs it beside `c_layer.c`, which does the same without the layer. `layer.h`
//! defines the interface.

use core::{
    convert::Infallible,
    ops::{
        ControlFlow,
        Range, //
    }, //
};
use kernel::{
    fs::File,
    ioctl::_IOWR,
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
        flags::SetFlags,
        gup::{
            Hold,
            HoldFor,
            Pinned,
            ReadOnly,
            ReadWrite,
            Referenced,
            UserPages, //
        },
        iter::MmapLocked,
        ops::{
            Fault,
            FaultAnswer,
            FaultError,
            HugeAnswer,
            HugeFault,
            HugeOrder,
            Ordinary,
            PerFile,
            VmOperations, //
        },
        pgtable::{
            walk_page_range_vma,
            LockedEntry,
            LockedRun,
            PageWalk,
            State, //
        },
        Cache,
        DeviceMemory,
        Folio,
        KernelPages,
        MmWithUser, //
    },
    new_mutex,
    page::PAGE_SHIFT,
    prelude::*,
    sync::{
        aref::ARef,
        Mutex, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

module! {
    type: RustLayer,
    name: "rust_layer",
    authors: ["Rust mm developers"],
    description: "One function of the memory mapping layer, again and again",
    license: "GPL",
}

/// The size of a request, `struct layer_run`.
const RUN_LEN: usize = 40;
/// The ioctl that runs an operation.
const RUN: u32 = _IOWR::<[u8; RUN_LEN]>('L' as u32, 0);
/// The size of the buffer in pages.
const BUFFER_PAGES: usize = 16;
/// The page offsets at which the device maps the firmware of the PC.
const REMAP: usize = (1 << 40) >> PAGE_SHIFT;
const IO_REMAP: usize = (2 << 40) >> PAGE_SHIFT;
const SIMPLE_IO_REMAP: usize = (3 << 40) >> PAGE_SHIFT;

#[pin_data]
struct RustLayer {
    #[pin]
    _device: MiscDeviceRegistration<Layer>,
}

impl kernel::InPlaceModule for RustLayer {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"rust_layer",
            }),
        })
    }
}

/// An open file.
#[pin_data]
struct Layer {
    folio: ARef<Folio>,
    pages: KernelPages,
    firmware: DeviceMemory,
    /// As large as the buffer.
    #[pin]
    scratch: Mutex<KVec<u8>>,
}

/// What user space asks for.
struct Run {
    range: Range<usize>,
    step: usize,
}

/// What an operation works with.
struct Context<'a> {
    mm: &'a MmWithUser,
    file: &'a File,
    pages: &'a KernelPages,
    scratch: &'a mut [u8],
    run: Run,
}

/// An operation returns what it finds.
type Operation = fn(&mut Context<'_>) -> Result<usize>;

fn lookup_mmap_lock(c: &mut Context<'_>) -> Result<usize> {
    let guard = c.mm.mmap_read_lock();
    Ok(guard.vma_lookup(c.run.range.start).ok_or(EFAULT)?.start())
}

fn lookup_vma_lock(c: &mut Context<'_>) -> Result<usize> {
    let vma = c.mm.lock_vma(c.run.range.start).ok_or(EFAULT)?;
    Ok(vma.start())
}

/// Adds numbers, without a check for overflow, as C does.
fn sum(values: impl Iterator<Item = usize>) -> usize {
    values.fold(0, usize::wrapping_add)
}

fn forward(c: &mut Context<'_>) -> Result<usize> {
    let guard = c.mm.mmap_read_lock();
    let vmas = guard.vmas(c.run.range.clone());
    Ok(sum(vmas.map(|vma| vma.start())))
}

fn backward(c: &mut Context<'_>) -> Result<usize> {
    let guard = c.mm.mmap_read_lock();
    let vmas = guard.vmas(c.run.range.clone());
    Ok(sum(vmas.rev().map(|vma| vma.start())))
}

fn ranges(c: &mut Context<'_>) -> Result<usize> {
    let guard = c.mm.mmap_read_lock();
    let Range { start: mut at, end } = c.run.range;
    let mut found = 0_usize;
    while at < end {
        let next = at.saturating_add(c.run.step);
        let vmas = guard.vmas(at..next.min(end));
        found = found.wrapping_add(sum(vmas.map(|vma| vma.start())));
        at = next;
    }
    Ok(found)
}

fn gaps(c: &mut Context<'_>) -> Result<usize> {
    let guard = c.mm.mmap_read_lock();
    let gaps = guard.gaps(c.run.range.clone());
    Ok(sum(gaps.map(|gap| gap.end - gap.start)))
}

fn vma_locks(c: &mut Context<'_>) -> Result<usize> {
    let mut walk = c.mm.walk_locked(c.run.range.clone());
    let mut sum = 0_usize;
    while let Some(vma) = walk.next_vma()? {
        sum = sum.wrapping_add(vma.range().start);
    }
    Ok(sum)
}

fn hold<H: Hold, A: HoldFor>(c: &mut Context<'_>) -> Result<usize> {
    let range = &c.run.range;
    Ok(UserPages::<H, A>::fast(range.start, range.len() >> PAGE_SHIFT)?.nr_pages())
}

fn rmap(c: &mut Context<'_>) -> Result<usize> {
    let mappings = c.file.i_mmap_lock_read()?;
    let vmas = mappings.vmas(c.run.range.clone());
    Ok(sum(vmas.map(|vma| vma.start())))
}

fn read(c: &mut Context<'_>) -> Result<usize> {
    let out = c.scratch.get_mut(..c.run.range.len()).ok_or(EINVAL)?;
    c.pages.read_at(c.run.range.start, out)?;
    Ok(out.first().copied().ok_or(EINVAL)?.into())
}

fn write(c: &mut Context<'_>) -> Result<usize> {
    let data = c.scratch.get(..c.run.range.len()).ok_or(EINVAL)?;
    c.pages.write_at(c.run.range.start, data)?;
    Ok(data.first().copied().ok_or(EINVAL)?.into())
}

/// Adds the PFNs that are mapped, and the number of entries of swapped pages.
struct Sum(usize);

#[vtable]
impl PageWalk for Sum {
    type Break = Infallible;

    #[inline]
    fn pte_run(&mut self, run: &LockedRun<'_>) -> ControlFlow<Infallible> {
        let found = match run.state() {
            State::Present => sum(run.pfns()),
            State::Swap => run.nr_pages(),
            _ => 0,
        };
        self.0 = self.0.wrapping_add(found);
        ControlFlow::Continue(())
    }

    #[inline]
    fn pmd_leaf(&mut self, entry: &LockedEntry<'_>) -> ControlFlow<Infallible> {
        if entry.is_present() {
            self.0 = self.0.wrapping_add(entry.pfn().unwrap_or(0));
        }
        ControlFlow::Continue(())
    }
}

fn walk(c: &mut Context<'_>) -> Result<usize> {
    let mut sum = Sum(0);
    let guard = c.mm.mmap_read_lock();
    let vma = guard.vma_lookup(c.run.range.start).ok_or(EFAULT)?;
    walk_page_range_vma(vma, c.run.range.clone(), &mut sum)?;
    Ok(sum.0)
}

/// The operations, in the order of `enum layer_operation`.
const OPERATIONS: [Operation; 13] = [
    lookup_mmap_lock,
    lookup_vma_lock,
    forward,
    backward,
    ranges,
    gaps,
    vma_locks,
    hold::<Referenced, ReadOnly>,
    hold::<Pinned, ReadWrite>,
    rmap,
    read,
    write,
    walk,
];

#[vtable]
impl MiscDevice for Layer {
    type Ptr = Pin<KBox<Self>>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Pin<KBox<Self>>> {
        let order = HugeOrder::Pmd.nr_pages().ilog2();
        let scratch = KVec::from_elem(0, BUFFER_PAGES << PAGE_SHIFT, GFP_KERNEL)?;
        KBox::try_pin_init(
            try_pin_init!(Self {
                folio: Folio::alloc(order, GFP_KERNEL)?,
                pages: KernelPages::new(BUFFER_PAGES, GFP_KERNEL)?,
                // SAFETY: This is the firmware of a PC, which is read-only, so no access to it can
                // break anything that the kernel relies on. It belongs to no driver, and never
                // becomes RAM or the memory of another device.
                firmware: unsafe { DeviceMemory::from_phys(0xf0000, 0x10000) }?,
                scratch <- new_mutex!(scratch),
            }? Error),
            GFP_KERNEL,
        )
    }

    fn ioctl(layer: Pin<&Self>, file: &File, cmd: u32, arg: usize) -> Result<isize> {
        if cmd != RUN {
            return Err(ENOTTY);
        }
        let (mut reader, mut writer) =
            UserSlice::new(UserPtr::from_addr(arg), RUN_LEN).reader_writer();
        let operation: u32 = reader.read()?;
        let rounds: u32 = reader.read()?;
        let run = Run {
            range: reader.read()?..reader.read()?,
            step: reader.read()?,
        };
        let function = OPERATIONS.get(operation as usize).ok_or(EINVAL)?;
        if run.step == 0 {
            return Err(EINVAL);
        }

        let task = kernel::current!();
        let layer = layer.get_ref();
        writer.write(&operation)?;
        writer.write(&rounds)?;
        writer.write(&run.range.start)?;
        writer.write(&run.range.end)?;
        writer.write(&run.step)?;
        let mut scratch = layer.scratch.lock();
        let mm = task.user_mm().ok_or(ESRCH)?;
        let mut context = Context {
            mm: &mm,
            file,
            pages: &layer.pages,
            scratch: &mut scratch,
            run,
        };
        let mut sum = 0_usize;
        for _ in 0..rounds {
            sum = sum.wrapping_add(function(&mut context)?);
        }
        writer.write(&sum)?;
        Ok(0)
    }

    fn mmap_prepare<'f>(
        layer: Pin<&'f Self>,
        mut desc: VmaDesc<'f, Self>,
    ) -> Result<Mapping<'f, Self>> {
        let firmware = &layer.get_ref().firmware;
        desc.deny_cow()?;
        match desc.pgoff() {
            REMAP => {
                let range = desc.range();
                desc.remap_pfn_range(range, firmware.pfns().all(), Cache::Cached)
            }
            IO_REMAP => {
                let range = desc.range();
                desc.io_remap_range(range, firmware, 0, Cache::Cached)
            }
            SIMPLE_IO_REMAP => {
                desc.set_pgoff(0)?;
                Ok(desc.simple_io_remap(firmware, Cache::Cached))
            }
            _ => {
                desc.set(SetFlags::HUGEPAGE);
                Ok(desc.with_ops::<LayerOps>()?.on_fault())
            }
        }
    }
}

/// The callbacks of the mappings of the huge page.
struct LayerOps;

#[vtable]
impl VmOperations for LayerOps {
    type File = Layer;
    type Data = PerFile;
    type Memory = Ordinary;

    fn huge_fault(vmf: &HugeFault<Self>) -> Result<HugeAnswer<'_>, FaultError> {
        if vmf.pgoff_range().is_none_or(|pgoffs| pgoffs.start != 0) {
            return Ok(HugeAnswer::Fallback);
        }
        vmf.insert_folio(&vmf.data().get_ref().folio)
    }

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        vmf.return_page(vmf.data().get_ref().folio.clone(), vmf.pgoff())
    }
}

kernel::vm_operations!(LayerOps);
