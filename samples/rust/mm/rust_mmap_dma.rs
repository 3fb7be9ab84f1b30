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
//! there. If the device does not end its transfer in time, the driver leaves it the memory that it
//! may still access: the next request takes the memory back, once the device has ended.
//! `rust_mmap_dma.h` defines the ioctl.

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
            DmaDevice,
            DmaMemory,
            DmaPages, //
        },
        KernelPages, //
    },
    new_mutex,
    page::PAGE_SIZE,
    pci::{
        self,
        DevresBarView, //
    },
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

/// The number of the BAR with the registers.
const REGISTERS_BAR: u32 = 0;

/// The size of the registers in bytes.
const REGISTERS_LEN: usize = 0x100;

/// The offsets of the registers for DMA.
const DMA_SOURCE: usize = 0x80;
const DMA_DESTINATION: usize = 0x88;
const DMA_COUNT: usize = 0x90;
const DMA_COMMAND: usize = 0x98;

/// A bit of the command that is set until the device has ended the transfer.
const DMA_START: u32 = 1;
/// A bit of the command: the device writes to the memory.
const DMA_TO_MEMORY: u32 = 2;

/// Where the device has its own memory, as it sees it, and its size.
const DEVICE_MEMORY: u32 = 0x40000;
const DEVICE_SIZE: u32 = 4096;

/// The longest time that the driver waits for the device.
const MAX_TIMEOUT_MS: u32 = 1000;

/// Has the device make a transfer.
const RUN: u32 = _IOW::<[u32; 4]>('D' as u32, 0);

/// A transfer, which is in one page: `struct rust_mmap_dma_transfer`.
struct Transfer {
    to_memory: bool,
    offset: usize,
    len: u32,
    timeout_ms: u32,
}

impl Transfer {
    /// Checks what user space asks for.
    fn new([to_memory, offset, len, timeout_ms]: [u32; 4]) -> Result<Self> {
        if to_memory > 1 || len == 0 || len > DEVICE_SIZE || timeout_ms > MAX_TIMEOUT_MS {
            return Err(EINVAL);
        }
        let offset = offset as usize;
        if offset / PAGE_SIZE >= PAGES || len as usize > PAGE_SIZE - offset % PAGE_SIZE {
            return Err(EINVAL);
        }
        Ok(Self {
            to_memory: to_memory == 1,
            offset,
            len,
            timeout_ms,
        })
    }
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
            let bar = pdev.claim_bar(REGISTERS_BAR, c"rust_mmap_dma")?;
            let pages = KernelPages::new(PAGES, GFP_KERNEL)?;
            let pages = DmaPages::new(pdev, pages, GFP_KERNEL)?;
            let edu = try_pin_init!(Edu {
                memory: pages.memory(),
                registers: bar.iomap_sized::<REGISTERS_LEN>(0)?.into_devres()?,
                state <- new_mutex!(State::Idle(pages)),
            }? Error);
            let edu = Arc::pin_init(edu, GFP_KERNEL)?;
            // A transfer that an earlier driver has not waited for would be made to memory that is
            // no longer its own.
            edu.wait(MAX_TIMEOUT_MS)?;
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
    Busy(DmaPages<Bidirectional, DmaDevice>),
    /// The driver is unbound.
    Gone,
}

/// The device.
#[pin_data]
struct Edu {
    memory: DmaMemory,
    registers: DevresBarView<REGISTERS_LEN>,
    #[pin]
    state: Mutex<State>,
}

impl Edu {
    /// Starts a transfer between the memory at a DMA address and the memory of the device.
    fn start(&self, transfer: &Transfer, address: u32) -> Result {
        let (source, destination, direction) = if transfer.to_memory {
            (DEVICE_MEMORY, address, DMA_TO_MEMORY)
        } else {
            (address, DEVICE_MEMORY, 0)
        };
        let registers = self.registers.try_access().ok_or(ENODEV)?;
        registers.write32(source, DMA_SOURCE);
        registers.write32(destination, DMA_DESTINATION);
        registers.write32(transfer.len, DMA_COUNT);
        registers.write32(DMA_START | direction, DMA_COMMAND);
        Ok(())
    }

    /// Returns whether the device has ended its transfer.
    fn is_done(&self) -> Result<bool> {
        let registers = self.registers.try_access().ok_or(ENODEV)?;
        Ok(registers.read32(DMA_COMMAND) & DMA_START == 0)
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

    /// Takes the memory back, if the device has ended its transfer.
    fn take_back(&self, state: &mut State) -> Result<DmaPages<Bidirectional, Cpu>> {
        // If a function below fails, the driver is unbound.
        match core::mem::replace(state, State::Gone) {
            State::Idle(pages) => Ok(pages),
            State::Busy(pages) if self.is_done()? => pages.for_cpu(),
            State::Busy(pages) => {
                *state = State::Busy(pages);
                Err(EBUSY)
            }
            State::Gone => Err(ENODEV),
        }
    }

    /// Has the device make a transfer, and waits for it.
    fn transfer(&self, transfer: &Transfer, pages: &DmaPages<Bidirectional, DmaDevice>) -> Result {
        // A page is never split, so the transfer is in one segment. The DMA mask of the device has
        // 32 bits.
        let segment = pages.segment_at(transfer.offset).ok_or(EINVAL)?;
        self.start(transfer, u32::try_from(segment.address())?)?;
        self.wait(transfer.timeout_ms)
    }

    /// Gives the memory to the device for a transfer.
    fn run(&self, transfer: &Transfer) -> Result {
        let mut state = self.state.lock();
        let pages = self.take_back(&mut state)?.for_device()?;
        let result = self.transfer(transfer, &pages);
        *state = match result {
            Ok(()) => State::Idle(pages.for_cpu()?),
            // The device may still access the memory.
            Err(_) => State::Busy(pages),
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
        if cmd != RUN {
            return Err(ENOTTY);
        }
        let arg = UserSlice::new(UserPtr::from_addr(arg), size_of::<[u32; 4]>());
        edu.run(&Transfer::new(arg.reader().read::<[u32; 4]>()?)?)?;
        Ok(0)
    }
}
