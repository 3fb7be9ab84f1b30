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
//! there. The pages belong to the device during a transfer: if it does not end that in time, the
//! driver leaves it the pages that it may still access, and the next request takes them back, once
//! the device has ended.
//!
//! `/dev/rust_mmap_dma_coherent` does the same with coherent memory, which the processor and the
//! device access at any time. The driver writes to its second page how many transfers have ended,
//! and user space reads it there. It is a file of its own since it is revoked when the driver is
//! unbound, with all that its files have mapped. The pages remain mapped then.
//!
//! `rust_mmap_dma.h` defines the ioctl.

use kernel::{
    device::Core,
    dma::DmaAddress,
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
            CoherentMemory,
            Cpu,
            DmaDevice,
            DmaMemory,
            DmaPages, //
        },
        ops::{
            FrameSource,
            Pieces, //
        },
        revoke::Revocation,
        rmap::AddressSpace,
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
        atomic::{
            Relaxed,
            Release, //
        },
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

/// The number of pages that belong to the device during a transfer.
const PAGES: usize = 4;
/// The number of coherent pages.
const COHERENT_PAGES: usize = 2;
/// Where `struct rust_mmap_dma_status` is in the coherent memory.
const ENDED: usize = PAGE_SIZE;
const SIZE: usize = ENDED + 4;

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
    /// Reads and checks what user space asks for, in memory of `pages` pages.
    fn read(arg: usize, pages: usize) -> Result<Self> {
        let arg = UserSlice::new(UserPtr::from_addr(arg), size_of::<[u32; 4]>());
        let [to_memory, offset, len, timeout_ms] = arg.reader().read::<[u32; 4]>()?;
        if to_memory > 1 || len == 0 || len > DEVICE_SIZE || timeout_ms > MAX_TIMEOUT_MS {
            return Err(EINVAL);
        }
        let offset = offset as usize;
        if offset / PAGE_SIZE >= pages || len as usize > PAGE_SIZE - offset % PAGE_SIZE {
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
/// Rust drops the fields from top to bottom: the misc devices are deregistered, so that user space
/// cannot open them, before the device is withdrawn.
#[pin_data]
struct DmaDriverData {
    #[pin]
    _device: MiscDeviceRegistration<Edu>,
    #[pin]
    _coherent_device: MiscDeviceRegistration<CoherentFile>,
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
            let revocation = Arc::pin_init(Revocation::new::<CoherentFile>(), GFP_KERNEL)?;
            let coherent = CoherentMemory::new(pdev, COHERENT_PAGES, &revocation)?;
            let contents = coherent.try_access().ok_or(ENODEV)?;
            contents.write_record(SIZE, DEVICE_SIZE)?;
            drop(contents);
            let mut pieces = Pieces::new(COHERENT_PAGES, 1, GFP_KERNEL)?;
            let source = FrameSource::revocable(coherent.memory().clone());
            pieces.add(0, source, 0..COHERENT_PAGES)?;
            let edu = try_pin_init!(Edu {
                memory: pages.memory(),
                coherent,
                pieces,
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
                _coherent_device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                    name: c"rust_mmap_dma_coherent",
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
    /// The processor's, but the device has not ended a transfer of coherent memory in time.
    BusyElsewhere(DmaPages<Bidirectional, Cpu>),
    /// The driver is unbound.
    Gone,
}

/// The device.
#[pin_data]
struct Edu {
    memory: DmaMemory,
    coherent: CoherentMemory,
    /// The coherent memory, for mappings.
    pieces: Pieces<FrameSource>,
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
            State::BusyElsewhere(pages) if self.is_done()? => Ok(pages),
            busy @ (State::Busy(_) | State::BusyElsewhere(_)) => {
                *state = busy;
                Err(EBUSY)
            }
            State::Gone => Err(ENODEV),
        }
    }

    /// Has the device make a transfer at an address, and waits for it.
    fn transfer(&self, transfer: &Transfer, address: DmaAddress) -> Result {
        // The DMA mask of the device has 32 bits.
        self.start(transfer, u32::try_from(address)?)?;
        self.wait(transfer.timeout_ms)?;
        let coherent = self.coherent.try_access().ok_or(ENODEV)?;
        // Only this function writes it, and the caller has locked the state.
        let ended = coherent.atomic::<u32>(ENDED)?;
        // User space that sees the number sees what was transferred.
        ended.store(ended.load(Relaxed).wrapping_add(1), Release);
        Ok(())
    }

    /// Gives the pages to the device for a transfer.
    fn run(&self, transfer: &Transfer) -> Result {
        let mut state = self.state.lock();
        let pages = self.take_back(&mut state)?.for_device()?;
        // A page is never split, so the transfer is in one segment.
        let result = match pages.segment_at(transfer.offset) {
            Some(segment) => self.transfer(transfer, segment.address()),
            None => Err(EINVAL),
        };
        *state = match result {
            Ok(()) => State::Idle(pages.for_cpu()?),
            // The device may still access the memory.
            Err(_) => State::Busy(pages),
        };
        result
    }

    /// Makes a transfer of coherent memory.
    fn run_coherent(&self, transfer: &Transfer) -> Result {
        let mut state = self.state.lock();
        let pages = self.take_back(&mut state)?;
        let result = (|| {
            let address = self.coherent.address()?;
            self.transfer(transfer, address + transfer.offset as DmaAddress)
        })();
        *state = match result {
            Ok(()) => State::Idle(pages),
            Err(_) => State::BusyElsewhere(pages),
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
        edu.run(&Transfer::read(arg, PAGES)?)?;
        Ok(0)
    }
}

/// A file of the coherent memory.
struct CoherentFile(Arc<Edu>);

#[vtable]
impl MiscDevice for CoherentFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        let edu = DEVICE.get().ok_or(ENODEV)?;
        Ok(KBox::new(Self(edu), GFP_KERNEL_ACCOUNT)?)
    }

    fn address_space<'a>(this: &'a Self, _file: &'a File) -> &'a AddressSpace {
        this.0.coherent.memory().revocation().address_space()
    }

    fn mmap_prepare<'f>(this: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        desc.map_pieces(&this.0.pieces)
    }

    fn ioctl(this: &Self, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        if cmd != RUN {
            return Err(ENOTTY);
        }
        // The last page is the driver's.
        this.0
            .run_coherent(&Transfer::read(arg, COHERENT_PAGES - 1)?)?;
        Ok(0)
    }
}
