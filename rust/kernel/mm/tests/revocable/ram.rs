// SPDX-License-Identifier: GPL-2.0

//! Tests of RAM of a device that is revoked when the driver is unbound.
//!
//! Here, what user space maps is the firmware of a PC, and the kernel has a buffer for it, so that
//! the two can be told apart.

use super::{
    slot_for,
    Bench,
    Device,
    DeviceFile, //
};
use crate::{
    device::Bound,
    fs::File,
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    mm::{
        desc::{
            Mapping,
            VmaDesc, //
        },
        memory::pfn::RamMode,
        ops::{
            Fault,
            FaultAnswer,
            FaultError,
            Mixed,
            PerFile,
            VmOperations, //
        },
        revoke::{
            DeviceRam,
            RevocableMemory,
            Revocation, //
        },
        rmap::AddressSpace,
        testing::{
            UserMm,
            FIRMWARE_DATE,
            READ,
            SHARED,
            WRITE, //
        },
        PfnRange, //
    },
    page::PAGE_SIZE,
    platform,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    }, //
};
use core::ptr::NonNull;

/// The first PFN of the firmware, and how many of its pages there are.
const FIRST: usize = 0xf0;
const PAGES: usize = 16;

/// What the kernel has for the memory, and whether it was freed.
pub(super) struct FakeRam {
    bytes: KVVec<u8>,
    freed: Atomic<bool>,
}

impl FakeRam {
    fn new() -> Result<Arc<Self>> {
        let bytes = KVVec::from_elem(b'k', PAGES * PAGE_SIZE, GFP_KERNEL)?;
        let freed = Atomic::new(false);
        Ok(Arc::new(Self { bytes, freed }, GFP_KERNEL)?)
    }

    /// Makes the memory, in `probe`.
    pub(super) fn memory(
        self: &Arc<Self>,
        device: &platform::Device<Bound>,
        revocation: &Arc<Revocation>,
    ) -> Result<RevocableMemory> {
        // SAFETY: The firmware is ROM, which user space may read and cannot change.
        let pfns = unsafe { PfnRange::new(FIRST, PAGES) }?;
        let ram = DeviceRam {
            start: NonNull::from(&self.bytes[..]).cast(),
            mode: RamMode(0),
        };
        let free = Free(self.clone());
        // SAFETY: The PFNs may be mapped, and the bytes exist until `free` is dropped. Only C code
        // accesses them until then.
        unsafe { RevocableMemory::of_ram(device.as_ref(), pfns, ram, revocation, free) }
    }
}

struct Free(Arc<FakeRam>);

impl Drop for Free {
    fn drop(&mut self) {
        self.0.freed.store(true, Relaxed);
    }
}

/// A file that maps the memory among folios.
struct RamFile(Arc<Device>);

#[vtable]
impl MiscDevice for RamFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn address_space<'a>(this: &'a Self, _file: &'a File) -> &'a AddressSpace {
        this.0.memory.revocation().address_space()
    }

    fn mmap_prepare<'f>(_: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        Ok(desc.with_ops::<RamOps>()?.on_fault())
    }
}

struct RamOps;

#[vtable]
impl VmOperations for RamOps {
    type File = RamFile;
    type Data = PerFile;
    type Memory = Mixed;

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        let RamFile(device) = vmf.data();
        Ok(vmf.insert_mixed(device.memory.all(), 0)?.into())
    }
}

crate::vm_operations!(RamOps);

#[kunit_tests(rust_mm_revocable_ram)]
mod cases {
    use super::{
        super::access,
        *, //
    };

    fn device() -> Result<(Bench, Arc<Device>, Arc<FakeRam>)> {
        let mut slot = slot_for::<DeviceFile>()?;
        let store = FakeRam::new()?;
        slot.ram = Some(store.clone());
        let bench = Bench::new(&mut slot)?;
        let device = Device {
            memory: slot.memory.ok_or(ENODEV)?,
        };
        Ok((bench, Arc::new(device, GFP_KERNEL)?, store))
    }

    /// User space and a debugger get the page of the memory, and of a part of it.
    #[test]
    fn accesses() -> Result {
        let mm = UserMm::attach()?;
        let (_bench, device, store) = device()?;
        let file = mm.open::<DeviceFile>(KBox::new(DeviceFile(device.clone()), GFP_KERNEL)?)?;
        let addr = file.mmap(PAGES * PAGE_SIZE, READ | WRITE, SHARED, 0)?;
        let last = (PAGES - 1) * PAGE_SIZE;
        assert_eq!(
            mm.read::<8>(addr + last + FIRMWARE_DATE % PAGE_SIZE)?[2],
            b'/'
        );

        // A write of a debugger goes to the kernel's place of the page.
        let mut buf = *b"written";
        assert_eq!(access(&mm, addr + last + 5, &mut buf, true), 7);
        assert_eq!(access(&mm, addr + 2 * PAGE_SIZE - 7, &mut buf, true), 7);
        let mut read = [0; 9];
        assert_eq!(access(&mm, addr + last + 4, &mut read, false), 9);
        assert_eq!(&read, b"kwrittenk");
        mm.munmap(addr, PAGES * PAGE_SIZE)?;
        let bytes: &[u8] = &store.bytes;
        assert_eq!(&bytes[last + 4..last + 13], b"kwrittenk");
        assert_eq!(&bytes[2 * PAGE_SIZE - 8..2 * PAGE_SIZE + 1], b"kwrittenk");
        let part = device.memory.slice(3, 2)?;
        let start = part.ram().ok_or(EINVAL)?;
        assert_eq!(start.as_ptr().cast_const(), bytes[3 * PAGE_SIZE..].as_ptr());
        Ok(())
    }

    /// It is freed after it was revoked.
    #[test]
    fn unplugged_while_mapped() -> Result {
        let mm = UserMm::attach()?;
        let (mut bench, device, store) = device()?;
        let file = mm.open::<DeviceFile>(KBox::new(DeviceFile(device), GFP_KERNEL)?)?;
        let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
        mm.read::<1>(addr)?;
        assert!(!store.freed.load(Relaxed));
        bench.unplug();
        assert!(store.freed.load(Relaxed));
        assert_eq!(mm.read::<1>(addr), Err(EFAULT));
        assert_eq!(access(&mm, addr, &mut [0; 1], false), 0);
        assert_eq!(file.mmap(PAGE_SIZE, READ, SHARED, 0), Err(ENODEV));
        mm.munmap(addr, PAGE_SIZE)
    }

    /// It is not inserted where the kernel could take references to it.
    #[test]
    fn not_among_folios() -> Result {
        let mm = UserMm::attach()?;
        let (_bench, device, _) = device()?;
        let file = mm.open::<RamFile>(KBox::new(RamFile(device), GFP_KERNEL)?)?;
        let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
        assert_eq!(mm.read::<1>(addr), Err(EFAULT));
        mm.munmap(addr, PAGE_SIZE)
    }
}
