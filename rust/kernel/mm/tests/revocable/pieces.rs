// SPDX-License-Identifier: GPL-2.0

//! Tests of mappings that consist of several ranges of the memory of a device.

use super::{
    leaf,
    slot_for,
    Bench,
    NOWHERE,
    NR_PAGES, //
};
use crate::{
    fs::File,
    io::PhysAddr,
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    mm::{
        desc::{
            Mapping,
            VmaDesc, //
        },
        flags::VmaFlag,
        ops::{
            Fault,
            FaultAnswer,
            FaultError,
            FrameSource,
            PerFile,
            Pfn,
            Pieces,
            VmOperations, //
        },
        revoke::RevocableMemory,
        rmap::AddressSpace,
        testing::{
            UserMm,
            FIRMWARE_DATE,
            PRIVATE,
            READ,
            SHARED,
            WRITE, //
        },
        Cache,
        DeviceMemory, //
    },
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::Arc, //
};

/// The physical address of a PC's firmware.
const FIRMWARE: usize = 0xf0000;
const FIRMWARE_LEN: usize = 0x10000;

/// A device with a list of ranges of its memory.
struct Device {
    memory: Arc<RevocableMemory>,
    list: Pieces<FrameSource>,
}

/// A file with the address space of the revocation.
struct PieceFile(Arc<Device>);

#[vtable]
impl MiscDevice for PieceFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn address_space<'a>(this: &'a Self, _file: &'a File) -> &'a AddressSpace {
        this.0.memory.revocation().address_space()
    }

    fn mmap_prepare<'f>(this: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        desc.map_pieces(&this.0.list)
    }
}

/// A file without an address space of its own.
struct StrayPieceFile {
    list: Arc<Device>,
    /// Memory that is never revoked: the firmware of a PC.
    fixed: Pieces<FrameSource>,
}

/// The page offset from which a `StrayPieceFile` maps the firmware by callbacks of its own.
const OWN: usize = 32;

#[vtable]
impl MiscDevice for StrayPieceFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn mmap_prepare<'f>(this: &'f Self, mut desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        let pgoff = desc.pgoff();
        if pgoff < OWN {
            return desc.map_pieces(&this.list.list);
        }
        desc.set_pgoff(pgoff % OWN)?;
        if pgoff < 2 * OWN {
            return desc.map_pieces(&this.fixed);
        }
        // Without `check_mapping`, which would deny writing.
        desc.deny_cow()?;
        Ok(desc.with_ops::<StrayPieceOps>()?.on_io_fault(Cache::Cached))
    }
}

struct StrayPieceOps;

#[vtable]
impl VmOperations for StrayPieceOps {
    type File = StrayPieceFile;
    type Data = PerFile;
    type Memory = Pfn;

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        vmf.data().fixed.fault(vmf)
    }
}

crate::vm_operations!(StrayPieceOps);

#[kunit_tests(rust_mm_revocable_pieces)]
mod cases {
    use super::*;

    const FIRST: usize = NOWHERE as usize / PAGE_SIZE;

    /// A list of six pages: 7, a hole, the last two pages, a hole, 0.
    fn device() -> Result<(Bench, Arc<Device>)> {
        let mut slot = slot_for::<PieceFile>()?;
        let bench = Bench::new(&mut slot)?;
        let memory = Arc::new(slot.memory.ok_or(ENODEV)?, GFP_KERNEL)?;
        let source = || FrameSource::revocable(memory.clone());
        let mut list = Pieces::new(6, 3, GFP_KERNEL)?;
        list.add(0, source(), 7..8)?;
        list.add(2, source(), NR_PAGES - 2..NR_PAGES)?;
        list.add(5, source(), 0..1)?;
        Ok((bench, Arc::new(Device { memory, list }, GFP_KERNEL)?))
    }

    /// Accesses a page, and returns its PFN.
    fn mapped(mm: &UserMm, addr: usize) -> Result<usize> {
        mm.read::<1>(addr)?;
        Ok(leaf(mm, addr)?.0)
    }

    fn frames<const N: usize>(mm: &UserMm, addr: usize) -> [Result<usize>; N] {
        core::array::from_fn(|page| mapped(mm, addr + page * PAGE_SIZE))
    }

    #[test]
    fn in_an_order_of_their_own() -> Result {
        let mm = UserMm::attach()?;
        let (mut bench, device) = device()?;
        let file = mm.open::<PieceFile>(KBox::new(PieceFile(device.clone()), GFP_KERNEL)?)?;
        let addr = file.mmap(6 * PAGE_SIZE, READ | WRITE, SHARED, 0)?;
        let expected = [
            Ok(FIRST + 7),
            Err(EFAULT),
            Ok(FIRST + NR_PAGES - 2),
            Ok(FIRST + NR_PAGES - 1),
            Err(EFAULT),
            Ok(FIRST),
        ];
        assert_eq!(frames::<6>(&mm, addr), expected);
        {
            let guard = mm.current().mmap_read_lock();
            let flags = guard.vma_lookup(addr).ok_or(EFAULT)?.stable().flags();
            for flag in [
                VmaFlag::PFNMAP,
                VmaFlag::IO,
                VmaFlag::DONTEXPAND,
                VmaFlag::DONTDUMP,
            ] {
                assert!(flags.contains(flag));
            }
            assert!(!flags.contains(VmaFlag::MIXEDMAP));
        }
        // What is left after a split, and a window on the list.
        mm.munmap(addr + 2 * PAGE_SIZE, PAGE_SIZE)?;
        assert_eq!(mapped(&mm, addr + 3 * PAGE_SIZE)?, FIRST + NR_PAGES - 1);
        let window = file.mmap(2 * PAGE_SIZE, READ, SHARED, 3)?;
        assert_eq!(
            frames::<2>(&mm, window),
            [Ok(FIRST + NR_PAGES - 1), Err(EFAULT)]
        );

        // The kernel inserts no single PFN into a copy-on-write mapping.
        for prot in [READ, READ | WRITE] {
            assert_eq!(file.mmap(PAGE_SIZE, prot, PRIVATE, 0), Err(EINVAL));
        }
        assert_eq!(file.mmap(7 * PAGE_SIZE, READ, SHARED, 0), Err(EINVAL));
        let mut beyond = Pieces::<FrameSource>::new(4, 1, GFP_KERNEL)?;
        let source = FrameSource::revocable(device.memory.clone());
        let pages = NR_PAGES - 1..NR_PAGES + 1;
        assert_eq!(beyond.add(0, source, pages), Err(EINVAL));

        bench.unplug();
        for page in [0, 3, 5] {
            assert_eq!(mm.read::<1>(addr + page * PAGE_SIZE), Err(EFAULT));
        }
        assert_eq!(mm.read::<1>(window), Err(EFAULT));
        assert_eq!(file.mmap(PAGE_SIZE, READ, SHARED, 0), Err(ENODEV));
        mm.munmap(window, 2 * PAGE_SIZE)?;
        mm.munmap(addr, 6 * PAGE_SIZE)
    }

    #[test]
    fn mappings_that_would_not_be_found() -> Result {
        let mm = UserMm::attach()?;
        let (_bench, device) = device()?;
        // SAFETY: The range is the firmware's ROM, which user space may read and cannot change.
        let fixed = unsafe { DeviceMemory::from_phys(FIRMWARE as PhysAddr, FIRMWARE_LEN) }?;
        let fixed = Arc::new(fixed, GFP_KERNEL)?;
        let source = || FrameSource::fixed(fixed.clone(), Cache::Cached);
        let mut list = Pieces::new(4, 2, GFP_KERNEL)?;
        assert_eq!(list.add(0, source(), 16..17), Err(EINVAL));
        list.add_read_only(0, source(), 15..16)?;
        list.add_read_only(2, source(), 14..16)?;
        let file = StrayPieceFile {
            list: device,
            fixed: list,
        };
        let file = mm.open::<StrayPieceFile>(KBox::new(file, GFP_KERNEL)?)?;
        assert_eq!(file.mmap(PAGE_SIZE, READ, SHARED, 0), Err(EINVAL));
        // A hole of the list has nothing to be revoked.
        let addr = file.mmap(PAGE_SIZE, READ, SHARED, 1)?;
        assert_eq!(mm.read::<1>(addr), Err(EFAULT));
        mm.munmap(addr, PAGE_SIZE)?;

        let first = FIRMWARE >> PAGE_SHIFT;
        let expected = [
            Ok(first + 15),
            Err(EFAULT),
            Ok(first + 14),
            Ok(first + 15), //
        ];
        for pgoff in [OWN, 2 * OWN] {
            let addr = file.mmap(4 * PAGE_SIZE, READ, SHARED, pgoff)?;
            if pgoff == OWN {
                assert_eq!(frames::<4>(&mm, addr), expected);
                assert_eq!(mm.read::<8>(addr + FIRMWARE_DATE % PAGE_SIZE)?[2], b'/');
                let denied = file.mmap(4 * PAGE_SIZE, READ | WRITE, SHARED, pgoff);
                assert_eq!(denied, Err(EACCES));
            } else {
                // The driver has not denied writing, so nothing that is read-only is mapped.
                assert_eq!(frames::<4>(&mm, addr), [Err(EFAULT); 4]);
            }
            mm.munmap(addr, 4 * PAGE_SIZE)?;
        }
        Ok(())
    }
}
