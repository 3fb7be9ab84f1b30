// SPDX-License-Identifier: GPL-2.0

//! A device that accesses the memory of a process without pinning it.
//!
//! With an ioctl, a process has `/dev/rust_mirror` mirror a range of its memory, as a GPU does for
//! userptr or shared virtual memory. From then on, `pread` and `pwrite` are what the device does:
//! they read and write the memory of that process, and the file position is the address.
//!
//! The page table of the device has one entry. The driver enters a page when the device reads it,
//! and removes it when the kernel changes the range: after `munmap`, `mprotect`, `mremap`, `fork`,
//! under memory pressure, and when the process ends. The counters of the driver are in
//! `/proc/<pid>/fdinfo`. `rust_mirror.h` defines the ioctl.

use kernel::{
    fs::{
        File,
        Kiocb, //
    },
    ioctl::_IOW,
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::{
        gup::{
            ReadOnly,
            ReadWrite, //
        },
        mirror::{
            Invalidation,
            Mirror,
            MirrorOps,
            MirroredPages,
            Reason,
            WouldBlock, //
        }, //
    },
    new_mutex,
    page::{
        PAGE_MASK,
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    seq_file::SeqFile,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow,
        Mutex, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

module! {
    type: RustMirror,
    name: "rust_mirror",
    authors: ["Rust mm developers"],
    description: "Rust sample: a device that mirrors the memory of a process",
    license: "GPL",
}

/// The size of `struct rust_mirror_range`.
const RANGE_LEN: usize = 16;
/// The ioctl that mirrors a range.
const SET: u32 = _IOW::<[u8; RANGE_LEN]>('R' as u32, 0);

#[pin_data]
struct RustMirror {
    #[pin]
    _device: MiscDeviceRegistration<Device>,
}

impl kernel::InPlaceModule for RustMirror {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"rust_mirror",
            }),
        })
    }
}

/// What the driver counts.
struct Counters {
    /// How often the kernel has changed the range.
    invalidations: Atomic<i64>,
    /// How often it has done so because the process had ended.
    ends: Atomic<i64>,
    /// The number of pages that the last of these changes was about.
    changed: Atomic<i64>,
    /// How often the device had the page in its page table.
    hits: Atomic<i64>,
    /// How often the driver had to fault the page in.
    faults: Atomic<i64>,
}

impl Counters {
    fn new() -> Self {
        Self {
            invalidations: Atomic::new(0),
            ends: Atomic::new(0),
            changed: Atomic::new(0),
            hits: Atomic::new(0),
            faults: Atomic::new(0),
        }
    }
}

/// The MMU of the device, as far as the kernel calls it back.
struct Mmu(Arc<Counters>);

/// The page table of the device: the address of a page, and the page.
type PageTable = Option<(usize, MirroredPages<ReadOnly>)>;

impl Mmu {
    fn flush(&self, table: &mut PageTable, invalidation: &Invalidation) {
        // A device would now wait until it has stopped using the pages.
        *table = None;
        let Counters {
            invalidations,
            ends,
            changed,
            ..
        } = &*self.0;
        invalidations.fetch_add(1, Relaxed);
        changed.store((invalidation.range().len() >> PAGE_SHIFT) as i64, Relaxed);
        if invalidation.reason() == Reason::Release {
            ends.fetch_add(1, Relaxed);
        }
    }
}

#[vtable]
impl MirrorOps for Mmu {
    type State = PageTable;

    fn invalidate(&self, table: &mut PageTable, invalidation: &Invalidation) {
        self.flush(table, invalidation);
    }

    fn try_invalidate(
        &self,
        table: &mut PageTable,
        invalidation: &Invalidation,
    ) -> Result<(), WouldBlock> {
        // `flush` does not sleep.
        self.flush(table, invalidation);
        Ok(())
    }
}

/// An open file: a context of the device.
#[pin_data]
struct Device {
    counters: Arc<Counters>,
    // The lock is held only to exchange what is in it. To drop a mirror under a lock that its
    // callbacks take would be a deadlock.
    #[pin]
    mirror: Mutex<Option<Arc<Mirror<Mmu>>>>,
}

impl Device {
    /// Mirrors a range of the current process.
    fn set(&self, start: usize, len: usize) -> Result {
        let mut mirror = None;
        if len > 0 {
            let end = start.checked_add(len).ok_or(EINVAL)?;
            let task = kernel::current!();
            let mm = task.mm().ok_or(EINVAL)?;
            let mmu = Mmu(self.counters.clone());
            mirror = Some(Arc::pin_init(
                Mirror::new(mm, start..end, mmu, None),
                GFP_KERNEL_ACCOUNT,
            )?);
        }
        let old = core::mem::replace(&mut *self.mirror.lock(), mirror);
        drop(old);
        Ok(())
    }

    /// Returns the mirror, the address of the page at a file position, and the offset in it.
    fn at(&self, pos: i64) -> Result<(Arc<Mirror<Mmu>>, usize, usize)> {
        let addr = usize::try_from(pos)?;
        let mirror = self.mirror.lock().clone().ok_or(ENXIO)?;
        Ok((mirror, addr & PAGE_MASK, addr & !PAGE_MASK))
    }

    /// Reads from a page, as the device does.
    fn read(&self, mirror: &Mirror<Mmu>, page: usize, offset: usize, out: &mut [u8]) -> Result {
        let guard = mirror.lock();
        if let Some((addr, pages)) = &*guard {
            if let Some(valid) = guard.pages(pages).filter(|_| *addr == page) {
                self.counters.hits.fetch_add(1, Relaxed);
                return valid.read_at(offset, out);
            }
        }
        // The lock must not be held while the page is faulted in.
        drop(guard);
        let (mut guard, pages) = mirror.fault_locked::<ReadOnly>(page, 1)?;
        self.counters.faults.fetch_add(1, Relaxed);
        guard.pages(&pages).ok_or(EAGAIN)?.read_at(offset, out)?;
        *guard = Some((page, pages));
        Ok(())
    }
}

#[vtable]
impl MiscDevice for Device {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        let counters = Arc::new(Counters::new(), GFP_KERNEL_ACCOUNT)?;
        Arc::pin_init(
            pin_init!(Self {
                counters,
                mirror <- new_mutex!(None, "Device::mirror"),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    fn ioctl(device: ArcBorrow<'_, Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        if cmd != SET {
            return Err(ENOTTY);
        }
        let mut reader = UserSlice::new(UserPtr::from_addr(arg), RANGE_LEN).reader();
        let [start, len]: [u64; 2] = reader.read()?;
        let (start, len) = (usize::try_from(start)?, usize::try_from(len)?);
        if (start | len) & !PAGE_MASK != 0 {
            return Err(EINVAL);
        }
        device.set(start, len)?;
        Ok(0)
    }

    fn read_iter(mut kiocb: Kiocb<'_, Arc<Self>>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let device = kiocb.file();
        let (mirror, page, offset) = device.at(kiocb.ki_pos())?;
        // Read into memory of the kernel first: the copy to user space can fault, and may do so
        // only after the lock of the mirror was released.
        let mut bytes = KVec::from_elem(0, iov.len().min(PAGE_SIZE - offset), GFP_KERNEL)?;
        device.read(&mirror, page, offset, &mut bytes)?;
        let done = iov.copy_to_iter(&bytes);
        if done == 0 && !bytes.is_empty() {
            return Err(EFAULT);
        }
        *kiocb.ki_pos_mut() += done as i64;
        Ok(done)
    }

    fn write_iter(mut kiocb: Kiocb<'_, Arc<Self>>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        let device = kiocb.file();
        let (mirror, page, offset) = device.at(kiocb.ki_pos())?;
        let mut bytes = KVec::from_elem(0, iov.len().min(PAGE_SIZE - offset), GFP_KERNEL)?;
        let done = iov.copy_from_iter(&mut bytes);
        if done == 0 && !bytes.is_empty() {
            return Err(EFAULT);
        }
        let (guard, pages) = mirror.fault_locked::<ReadWrite>(page, 1)?;
        let bytes = bytes.get(..done).ok_or(EINVAL)?;
        guard.pages(&pages).ok_or(EAGAIN)?.write_at(offset, bytes)?;
        *kiocb.ki_pos_mut() += done as i64;
        Ok(done)
    }

    fn show_fdinfo(device: ArcBorrow<'_, Self>, m: &SeqFile, _file: &File) {
        let counters = &device.counters;
        m.field(c"invalidations", counters.invalidations.load(Relaxed));
        m.field(c"ends", counters.ends.load(Relaxed));
        m.field(c"changed", counters.changed.load(Relaxed));
        m.field(c"hits", counters.hits.load(Relaxed));
        m.field(c"faults", counters.faults.load(Relaxed));
    }
}
