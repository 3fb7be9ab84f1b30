// SPDX-License-Identifier: GPL-2.0

//! Memory that a device and user space access.
//!
//! `/dev/rust_mmap_dma` is the memory that QEMU's educational device reads and writes:
//!
//! ```sh
//! qemu ... -device edu,dma_mask=0xffffffff
//! ```
//!
//! User space maps it, and has the device copy a part of a page to its own 4 KiB of memory, or from
//! there. If the device does not end its transfer in time, the driver does not give up the memory
//! to which it may still write: the next request takes it back, once the device has ended.

use kernel::{
    device::Core,
    fs::File,
    io::Io,
    ioctl::_IOW,
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
        dma::{
            Bidirectional,
            Cpu,
            Dev,
            DmaMemory,
            DmaPages, //
        },
        KernelPages, //
    },
    new_mutex,
    page::PAGE_SIZE,
    pci,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow,
        Mutex,
        Publication,
        Published, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

/// The number of pages that user space maps.
const PAGES: usize = 4;

/// The registers of the device.
const REGS_SIZE: usize = 0x100;
const DMA_SOURCE: usize = 0x80;
const DMA_DESTINATION: usize = 0x88;
const DMA_COUNT: usize = 0x90;
const DMA_COMMAND: usize = 0x98;

const DMA_START: u32 = 1;
const DMA_TO_MEMORY: u32 = 2;

/// Where the device has its own memory, as it sees it, and its size.
const DEVICE_MEMORY: u32 = 0x40000;
const DEVICE_SIZE: u32 = 4096;

/// Has the device make a transfer.
const DMA_RUN: u32 = _IOW::<[u32; 4]>('D' as u32, 0);

/// A transfer, which is in one page.
struct Transfer {
    /// 0 if the device reads the memory, 1 if it writes to it.
    to_memory: u32,
    offset: u32,
    len: u32,
    /// How long the driver waits for the device.
    timeout_ms: u32,
}

/// The device that the driver is bound to, where `open` finds it.
static DEVICE: Published<Edu> = Published::new();

kernel::pci_device_table!(
    PCI_TABLE,
    <DmaDriver as pci::Driver>::IdInfo,
    [(pci::DeviceId::from_id(pci::Vendor::QEMU, 0x11e8), ())]
);

struct DmaDriver;

/// The driver's data while it is bound.
///
/// Rust drops the fields from top to bottom: the misc device is deregistered, so that user space
/// cannot open it, before the device is withdrawn.
#[pin_data]
struct DmaDriverData {
    #[pin]
    _device: MiscDeviceRegistration<Edu>,
    _edu: Publication<Edu>,
}

impl pci::Driver for DmaDriver {
    type IdInfo = ();
    type Data<'bound> = DmaDriverData;

    const ID_TABLE: pci::IdTable<Self::IdInfo> = &PCI_TABLE;

    fn probe<'bound>(
        pdev: &'bound pci::Device<Core<'_>>,
        _info: pci::ProbeInfo<'bound, Self>,
    ) -> impl PinInit<DmaDriverData, Error> + 'bound {
        pin_init::pin_init_scope(move || {
            pdev.enable_device_mem()?;
            let pages = KernelPages::new(PAGES, GFP_KERNEL)?;
            let pages = DmaPages::new(pdev, pages, GFP_KERNEL)?;
            let regs = pdev.iomap_region_sized::<REGS_SIZE>(0, c"rust_mmap_dma")?;
            let edu = try_pin_init!(Edu {
                memory: pages.memory(),
                regs: regs.into_devres()?,
                state <- new_mutex!(State::Idle(pages)),
            }? Error);
            let edu = Arc::pin_init(edu, GFP_KERNEL)?;
            pdev.set_master();
            Ok(try_pin_init!(DmaDriverData {
                _edu: DEVICE.publish(edu)?,
                _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                    name: c"rust_mmap_dma",
                }),
            }? Error))
        })
    }
}

kernel::module_pci_driver! {
    type: DmaDriver,
    name: "rust_mmap_dma",
    authors: ["Rust mm developers"],
    description: "Rust sample: memory that a device and user space access",
    license: "GPL",
}

/// Whose the memory is.
enum State {
    /// The processor's.
    Idle(DmaPages<Bidirectional, Cpu>),
    /// The device's: it has not ended its transfer in time.
    Busy(DmaPages<Bidirectional, Dev>),
    /// The driver is unbound.
    Gone,
}

/// The device.
#[pin_data]
struct Edu {
    memory: DmaMemory,
    regs: pci::DevresBar<REGS_SIZE>,
    #[pin]
    state: Mutex<State>,
}

impl Edu {
    /// Starts a transfer between the memory at a DMA address and the memory of the device.
    fn start(&self, transfer: &Transfer, address: u64) -> Result {
        let address = u32::try_from(address)?;
        let (source, destination, direction) = match transfer.to_memory {
            0 => (address, DEVICE_MEMORY, 0),
            _ => (DEVICE_MEMORY, address, DMA_TO_MEMORY),
        };
        let regs = self.regs.try_access().ok_or(ENODEV)?;
        regs.try_write32(source, DMA_SOURCE)?;
        regs.try_write32(destination, DMA_DESTINATION)?;
        regs.try_write32(transfer.len, DMA_COUNT)?;
        regs.try_write32(DMA_START | direction, DMA_COMMAND)
    }

    /// Returns whether the device has ended its transfer.
    fn is_done(&self) -> Result<bool> {
        let regs = self.regs.try_access().ok_or(ENODEV)?;
        Ok(regs.try_read32(DMA_COMMAND)? & DMA_START == 0)
    }

    /// Waits for the device.
    fn wait(&self, timeout_ms: u32) -> Result {
        for _ in 0..timeout_ms {
            if self.is_done()? {
                return Ok(());
            }
            fsleep(Delta::from_millis(1));
        }
        Err(ETIMEDOUT)
    }

    /// Has the device make a transfer.
    fn run(&self, transfer: &Transfer) -> Result {
        let (offset, len) = (transfer.offset as usize, transfer.len as usize);
        if len == 0 || len > DEVICE_SIZE as usize || transfer.timeout_ms > 1000 {
            return Err(EINVAL);
        }
        let page = offset / PAGE_SIZE;
        if page >= PAGES || offset % PAGE_SIZE + len > PAGE_SIZE {
            return Err(EINVAL);
        }

        let mut state = self.state.lock();
        let pages = match core::mem::replace(&mut *state, State::Gone) {
            State::Idle(pages) => pages,
            State::Busy(pages) if self.is_done()? => pages.for_cpu()?,
            State::Busy(pages) => {
                *state = State::Busy(pages);
                return Err(EBUSY);
            }
            State::Gone => return Err(ENODEV),
        };
        let pages = pages.for_device()?;
        // The address of the part, which is in one segment, since it is in one page.
        let (mut at, mut address) = (0, None);
        pages.segments(|start, size| {
            if (at..at + size).contains(&offset) {
                address = Some(start + (offset - at) as u64);
            }
            at += size;
        })?;
        let result = match address {
            Some(address) => self
                .start(transfer, address)
                .and_then(|()| self.wait(transfer.timeout_ms)),
            None => Err(EFAULT),
        };
        // Before the device has ended, the memory is still its own.
        *state = match result {
            Err(ETIMEDOUT) => State::Busy(pages),
            _ => State::Idle(pages.for_cpu()?),
        };
        result
    }
}

#[vtable]
impl MiscDevice for Edu {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        DEVICE.get().ok_or(ENODEV)
    }

    fn mmap_prepare<'f>(
        edu: ArcBorrow<'f, Self>,
        mut desc: VmaDesc<'f, Self>,
    ) -> Result<Mapping<'f, Self>> {
        desc.deny_cow()?;
        desc.map_dma_memory(&edu.into_ref().memory)
    }

    fn ioctl(edu: ArcBorrow<'_, Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        if cmd != DMA_RUN {
            return Err(ENOTTY);
        }
        let arg = UserSlice::new(UserPtr::from_addr(arg), size_of::<[u32; 4]>());
        let [to_memory, offset, len, timeout_ms] = arg.reader().read::<[u32; 4]>()?;
        edu.run(&Transfer {
            to_memory,
            offset,
            len,
            timeout_ms,
        })?;
        Ok(0)
    }
}
