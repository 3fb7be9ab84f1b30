// SPDX-License-Identifier: GPL-2.0

//! Small things that the other cases have no use for.

use crate::{
    fs::File,
    io::PhysAddr,
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    mm::{
        desc::{
            Cache,
            Mapping,
            VmaDesc, //
        },
        evidence::Stable,
        flags::{
            ClearFlags,
            VmaFlag,
            VmaFlags, //
        },
        ops::{
            PerFile,
            Pfn,
            VmOperations, //
        },
        pgtable::{
            Entry,
            LockedEntry,
            PageWalk,
            Visit, //
        },
        testing::{
            UserMm,
            FIRMWARE_DATE,
            PRIVATE,
            READ,
            SHARED,
            WRITE, //
        },
        virt::VmaRef,
        DeviceMemory,
        PfnRange, //
    },
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    str::CString, //
};
use core::ops::{
    ControlFlow,
    Range, //
};

/// Copies the first entry that it is shown.
struct First;

#[vtable]
impl PageWalk for First {
    type Break = Entry;

    fn pte(&mut self, entry: &LockedEntry<'_>) -> ControlFlow<Entry> {
        ControlFlow::Break(**entry)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Vma,
    Table,
    Entry,
}

/// Stops at the first of what it is told to stop at.
struct Stopper(Stop);

impl Stopper {
    fn at<T>(&self, place: Stop, go_on: T) -> ControlFlow<Stop, T> {
        match self.0 == place {
            true => ControlFlow::Break(place),
            false => ControlFlow::Continue(go_on),
        }
    }
}

#[vtable]
impl PageWalk for Stopper {
    type Break = Stop;

    fn vma(&mut self, _vma: &VmaRef) -> ControlFlow<Stop, Visit> {
        self.at(Stop::Vma, Visit::Enter)
    }

    fn pmd_table(&mut self, _range: Range<usize>) -> ControlFlow<Stop, Visit> {
        self.at(Stop::Table, Visit::Enter)
    }

    fn pte(&mut self, _entry: &LockedEntry<'_>) -> ControlFlow<Stop> {
        ControlFlow::Break(Stop::Entry)
    }
}

/// Where the firmware of a PC is.
const FIRMWARE: usize = 0xf0000;
const FIRMWARE_LEN: usize = 0x10000;

/// The three ways to map all of the frames, or the last of them, with callbacks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Frames,
    LastFrame,
    Device,
}

struct FrameFile {
    way: Way,
    frames: PfnRange,
    memory: DeviceMemory,
}

#[vtable]
impl MiscDevice for FrameFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn mmap_prepare<'f>(this: &'f Self, mut desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        // The VM has no memory there that could be written to.
        if !desc.is_cow() {
            desc.try_clear(ClearFlags::MAYWRITE)?;
        }
        let desc = desc.with_ops::<FrameOps>()?;
        let cache = Cache::Cached;
        match this.way {
            // Here only a wish.
            Way::Frames => desc.remap_pfn(&this.frames, Cache::WriteCombined),
            Way::LastFrame => {
                let last = FIRMWARE_LEN - PAGE_SIZE;
                let range = desc.range().sub(last, PAGE_SIZE)?;
                desc.remap_pfn_range(range, this.frames.slice(last >> PAGE_SHIFT, 1)?, cache)
            }
            Way::Device => desc.io_remap(&this.memory, cache),
        }
    }
}

struct FrameOps;

#[vtable]
impl VmOperations for FrameOps {
    type File = FrameFile;
    type Data = PerFile;
    type Memory = Pfn;
}

crate::vm_operations!(FrameOps);

#[kunit_tests(rust_mm_details)]
mod cases {
    use super::*;

    #[test]
    fn flags_in_words() -> Result {
        for (flags, words) in [
            (VmaFlags::EMPTY, c""),
            (VmaFlags::new([VmaFlag::READ]), c"read"),
            (VmaFlags::new([VmaFlag::IO, VmaFlag::WRITE]), c"write|io"),
        ] {
            assert_eq!(&*CString::try_from_fmt(fmt!("{flags:?}"))?, words);
        }
        Ok(())
    }

    #[test]
    fn entry_in_words() -> Result {
        let mm = UserMm::attach()?;
        let addr = mm.mmap_anonymous(PAGE_SIZE)?;
        mm.write(addr, b"page")?;
        let entry = {
            let guard = mm.current().mmap_read_lock();
            let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
            vma.walk_page_range_vma(addr..addr + PAGE_SIZE, &mut First)?
        };
        let range = addr..addr + PAGE_SIZE;
        assert_eq!(
            &*CString::try_from_fmt(fmt!("{:?}", entry.ok_or(EFAULT)?))?,
            &*CString::try_from_fmt(fmt!(
                "Entry {{ range: {range:?}, level: Pte, state: Present, .. }}"
            ))?
        );
        Ok(())
    }

    #[test]
    fn access_that_is_denied_for_good() {
        for (denied, access) in [
            (ClearFlags::MAYREAD, VmaFlag::READ),
            (ClearFlags::MAYWRITE, VmaFlag::WRITE),
            (ClearFlags::MAYEXEC, VmaFlag::EXEC),
        ] {
            assert!(denied.access() == VmaFlags::new([access]));
        }
    }

    #[test]
    fn walk_that_stops_early() -> Result {
        let mm = UserMm::attach()?;
        let addr = mm.mmap_anonymous(PAGE_SIZE)?;
        mm.write(addr, b"page")?;
        let guard = mm.current().mmap_read_lock();
        for at in [Stop::Vma, Stop::Table] {
            let stopped = guard.walk_page_range(addr..addr + PAGE_SIZE, &mut Stopper(at))?;
            assert_eq!(stopped, Some(at));
        }
        Ok(())
    }

    #[test]
    fn frames_with_callbacks() -> Result {
        let mm = UserMm::attach()?;
        for way in [Way::Frames, Way::LastFrame, Way::Device] {
            // SAFETY: It is read-only memory, and so can break no promise.
            let (frames, memory) = unsafe {
                (
                    PfnRange::new(FIRMWARE >> PAGE_SHIFT, FIRMWARE_LEN >> PAGE_SHIFT)?,
                    DeviceMemory::from_phys(FIRMWARE as PhysAddr, FIRMWARE_LEN)?,
                )
            };
            let file = FrameFile {
                way,
                frames,
                memory,
            };
            let file = mm.open::<FrameFile>(KBox::new(file, GFP_KERNEL)?)?;
            let addr = file.mmap(FIRMWARE_LEN, READ, SHARED, 0)?;
            assert_eq!(mm.read(addr + FIRMWARE_DATE + 2)?, *b"/");
            let elsewhere = mm.read::<1>(addr).is_ok();
            assert_eq!(elsewhere, way != Way::LastFrame);
            // Twice in one expression: no lock is left over.
            let current = mm.current();
            assert!(current.is_owned_at::<FrameOps>(addr) && current.is_owned_at::<FrameOps>(addr));
            assert!(!current.is_owned_at::<FrameOps>(addr - 1));
            mm.munmap(addr, FIRMWARE_LEN)?;
            assert!(!mm.current().is_owned_at::<FrameOps>(addr));
            // Of frames there are no private copies beside callbacks.
            let private = file.mmap(FIRMWARE_LEN, READ | WRITE, PRIVATE, 0);
            assert_eq!(private, Err(EINVAL));
        }
        Ok(())
    }
}
