// SPDX-License-Identifier: GPL-2.0

//! Tests of device memory that PMD leaves map, whose driver is unbound.

use super::{
    leaf,
    slot_for,
    Bench,
    Device,
    NOWHERE,
    NR_PAGES, //
};
#[cfg(CONFIG_ARCH_SUPPORTS_PUD_PFNMAP)]
use super::{
    Cache,
    Part,
    Slot,
    LARGE, //
};
#[cfg(CONFIG_X86_64)]
use crate::mm::tests::syscalls::mremap;
use crate::{
    fs::{
        area::{
            Area,
            AreaRequest, //
        },
        File, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    mm::{
        desc::{
            Mapping,
            VmaDesc, //
        },
        flags::SetFlags,
        ops::{
            Fault,
            FaultAnswer,
            FaultError,
            HugeAnswer,
            HugeFault,
            HugeOrder,
            PerFile,
            Pfn,
            VmOperations, //
        },
        rmap::AddressSpace,
        testing::{
            UserFile,
            UserMm,
            READ,
            SHARED, //
        }, //
    },
    page::{
        PAGE_MASK,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::Arc, //
};

/// A file that maps PMD leaves where it can.
struct LeafFile(Arc<Device>);

/// The page offset from which a child inherits the mappings.
const INHERITED: usize = 1 << 20;

#[vtable]
impl MiscDevice for LeafFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn address_space<'a>(this: &'a Self, _file: &'a File) -> &'a AddressSpace {
        this.0.memory.revocation().address_space()
    }

    fn get_unmapped_area<'a>(_: &'a Self, request: AreaRequest<'a>) -> Result<Area<'a>> {
        request.for_huge_pages()
    }

    fn mmap_prepare<'f>(this: &'f Self, mut desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        desc.deny_cow()?;
        if desc.pgoff() < INHERITED {
            desc.set(SetFlags::DONTCOPY);
        }
        let cache = this.0.memory.cache();
        Ok(desc.with_ops::<LeafOps>()?.on_io_fault(cache))
    }
}

struct LeafOps;

#[vtable]
impl VmOperations for LeafOps {
    type File = LeafFile;
    type Data = PerFile;
    type Memory = Pfn;

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        let LeafFile(device) = vmf.data();
        let index = vmf.pgoff() % INHERITED;
        Ok(vmf.insert_pfn(device.memory.all(), index)?.into())
    }

    fn huge_fault(vmf: &HugeFault<Self>) -> Result<HugeAnswer<'_>, FaultError> {
        let LeafFile(device) = vmf.data();
        let Some(pgoffs) = vmf.pgoff_range() else {
            return Ok(HugeAnswer::Fallback);
        };
        vmf.insert_pfns(device.memory.all(), pgoffs.start % INHERITED)
    }
}

crate::vm_operations!(LeafOps);

#[kunit_tests(rust_mm_revocable_leaves)]
mod cases {
    use super::*;

    const LEN: usize = NR_PAGES * PAGE_SIZE;
    const FIRST: usize = NOWHERE as usize / PAGE_SIZE;

    fn device() -> Result<(Bench, Arc<Device>)> {
        let mut slot = slot_for::<LeafFile>()?;
        let bench = Bench::new(&mut slot)?;
        let memory = slot.memory.ok_or(ENODEV)?;
        Ok((bench, Arc::new(Device { memory }, GFP_KERNEL)?))
    }

    /// Returns an address that is aligned to a PMD, where `len` bytes are free.
    fn aligned(file: &UserFile<'_>, mm: &UserMm, len: usize) -> Result<usize> {
        let align = HugeOrder::Pmd.len();
        let free = file.mmap(len + align, READ, SHARED, INHERITED)?;
        mm.munmap(free, len + align)?;
        Ok(free.next_multiple_of(align))
    }

    fn open<'mm>(mm: &'mm UserMm, device: &Arc<Device>) -> Result<UserFile<'mm>> {
        mm.open::<LeafFile>(KBox::new(LeafFile(device.clone()), GFP_KERNEL)?)
    }

    /// Returns the PFN at an address, and whether a PMD leaf maps it.
    fn mapped(mm: &UserMm, addr: usize) -> Result<(usize, bool)> {
        let (pfn, _, mask) = leaf(mm, addr)?;
        Ok((pfn, mask == !(HugeOrder::Pmd.len() - 1)))
    }

    #[test]
    fn unplugged_while_mapped() -> Result {
        let mm = UserMm::attach()?;
        let (mut bench, device) = device()?;
        let file = open(&mm, &device)?;
        let huge = HugeOrder::Pmd.len();
        let at = aligned(&file, &mm, LEN)?;
        // One page less than all: no leaf fits at the end.
        let addr = file.mmap_at(at, LEN - PAGE_SIZE, READ, SHARED, 0)?;
        mm.read::<1>(addr + PAGE_SIZE)?;
        mm.read::<1>(addr + huge + PAGE_SIZE)?;
        assert_eq!(mapped(&mm, addr + 2 * PAGE_SIZE), Ok((FIRST + 2, true)));
        let second = FIRST + HugeOrder::Pmd.nr_pages() + 1;
        assert_eq!(mapped(&mm, addr + huge + PAGE_SIZE), Ok((second, false)));

        device.memory.revocation().revoke();
        assert!(mapped(&mm, addr + PAGE_SIZE).is_err());
        assert_eq!(mm.read::<1>(addr), Err(EFAULT));
        device.memory.revocation().restore();
        mm.read::<1>(addr)?;
        assert_eq!(mapped(&mm, addr), Ok((FIRST, true)));
        bench.unplug();
        assert!(mapped(&mm, addr).is_err());
        assert_eq!(mm.read::<1>(addr), Err(EFAULT));
        mm.munmap(addr, LEN - PAGE_SIZE)
    }

    /// `fork` could copy a leaf past a revocation, so there is none where it copies.
    #[test]
    fn no_leaves_for_children() -> Result {
        let mm = UserMm::attach()?;
        let (_bench, device) = device()?;
        let file = open(&mm, &device)?;
        let at = aligned(&file, &mm, LEN)?;
        let addr = file.mmap_at(at, LEN, READ, SHARED, INHERITED)?;
        mm.read::<1>(addr + PAGE_SIZE)?;
        assert_eq!(mapped(&mm, addr + PAGE_SIZE), Ok((FIRST + 1, false)));
        mm.munmap(addr, LEN)
    }

    /// `mremap` could move a leaf past a revocation, so it finds none.
    #[cfg(CONFIG_X86_64)]
    #[test]
    fn no_leaf_is_moved() -> Result {
        let mm = UserMm::attach()?;
        let (mut bench, device) = device()?;
        let file = open(&mm, &device)?;
        let huge = HugeOrder::Pmd.len();
        let at = aligned(&file, &mm, 2 * LEN)?;
        let addr = file.mmap_at(at, LEN, READ, SHARED, 0)?;
        let to = addr + LEN;
        mm.read::<1>(addr + PAGE_SIZE)?;
        mm.read::<1>(addr + huge)?;
        assert_eq!(mapped(&mm, addr + huge).map(|(_, leaf)| leaf), Ok(true));
        // Only the second of two leaves moves, and the first remains.
        mremap(&mm, addr + huge, huge, huge, to + huge)?;
        assert!(mapped(&mm, to + huge).is_err());
        assert_eq!(mapped(&mm, addr), Ok((FIRST, true)));
        mm.read::<1>(to + huge)?;
        let second = FIRST + HugeOrder::Pmd.nr_pages();
        assert_eq!(mapped(&mm, to + huge), Ok((second, true)));
        mremap(&mm, addr, huge, huge, to)?;
        assert!(mapped(&mm, to).is_err());
        mm.munmap(to, LEN)?;

        // Page tables are moved, and a revocation finds them.
        let addr = file.mmap_at(at, LEN, READ, SHARED, INHERITED)?;
        mm.read::<1>(addr)?;
        mremap(&mm, addr, LEN, LEN, to)?;
        assert_eq!(mapped(&mm, to), Ok((FIRST, false)));
        bench.unplug();
        assert!(mapped(&mm, to).is_err());
        mm.munmap(to, LEN)
    }

    /// The zapping of a PUD leaf could meet one that is just being mapped, so there is none.
    #[cfg(CONFIG_ARCH_SUPPORTS_PUD_PFNMAP)]
    #[test]
    fn no_pud_leaves() -> Result {
        let mm = UserMm::attach()?;
        let len = HugeOrder::Pud.len();
        let part = Some(Part {
            resource: 2,
            pages: 0..len / PAGE_SIZE,
            cache: Cache::NonCached,
        });
        let mut slot = Slot {
            part,
            ..slot_for::<LeafFile>()?
        };
        let _bench = Bench::new(&mut slot)?;
        let memory = slot.memory.ok_or(ENODEV)?;
        let device = Arc::new(Device { memory }, GFP_KERNEL)?;
        let file = open(&mm, &device)?;
        let free = file.mmap(2 * len, READ, SHARED, INHERITED)?;
        mm.munmap(free, 2 * len)?;
        let addr = file.mmap_at(free.next_multiple_of(len), len, READ, SHARED, 0)?;
        mm.read::<1>(addr + PAGE_SIZE)?;
        let first = LARGE as usize / PAGE_SIZE;
        assert_eq!(mapped(&mm, addr + PAGE_SIZE), Ok((first + 1, true)));
        mm.munmap(addr, len)
    }

    /// A split does not zap the leaves that it does not cut.
    #[test]
    fn split() -> Result {
        let mm = UserMm::attach()?;
        let (_bench, device) = device()?;
        let file = open(&mm, &device)?;
        let huge = HugeOrder::Pmd.len();
        let at = aligned(&file, &mm, LEN)?;
        let addr = file.mmap_at(at, LEN, READ, SHARED, 0)?;
        mm.read::<1>(addr)?;
        mm.read::<1>(addr + huge)?;
        let hole = addr + huge + (huge / 2 & PAGE_MASK);
        mm.munmap(hole, PAGE_SIZE)?;
        assert_eq!(mapped(&mm, addr), Ok((FIRST, true)));
        assert!(mapped(&mm, addr + huge).is_err());
        mm.read::<1>(addr + huge)?;
        assert_eq!(mapped(&mm, addr + huge).map(|(_, leaf)| leaf), Ok(false));
        mm.munmap(addr, LEN)
    }
}
