// SPDX-License-Identifier: GPL-2.0

//! Tests of PFN mappings that are populated at mmap time, with callbacks.

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
        flags::ClearFlags,
        ops::{
            PerFile,
            Pfn,
            VmOperations, //
        },
        testing::{
            UserMm,
            FIRMWARE_DATE,
            PRIVATE,
            READ,
            SHARED,
            WRITE, //
        },
        Cache,
        DeviceMemory,
        PfnRange, //
    },
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*, //
};

/// The physical address of a PC's firmware.
const FIRMWARE: usize = 0xf0000;
const FIRMWARE_LEN: usize = 0x10000;

/// The three actions that map PFNs, each with callbacks.
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
        // The firmware is in ROM, so deny writing.
        if !desc.is_cow() {
            desc.try_clear(ClearFlags::MAYWRITE)?;
        }
        let desc = desc.with_ops::<FrameOps>()?;
        let cache = Cache::Cached;
        match this.way {
            // x86 ignores the cache mode: memory below 1 MiB is always cached.
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

#[kunit_tests(rust_mm_frames)]
mod cases {
    use super::*;

    #[test]
    fn frames_with_callbacks() -> Result {
        let mm = UserMm::attach()?;
        for way in [Way::Frames, Way::LastFrame, Way::Device] {
            // SAFETY: The range is the firmware's ROM, which user space may read and cannot change.
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
            // Called twice in one expression: the first call has dropped its lock.
            let current = mm.current();
            assert!(
                current.is_driver_vma_at::<FrameOps>(addr)
                    && current.is_driver_vma_at::<FrameOps>(addr)
            );
            assert!(!current.is_driver_vma_at::<FrameOps>(addr - 1));
            mm.munmap(addr, FIRMWARE_LEN)?;
            assert!(!mm.current().is_driver_vma_at::<FrameOps>(addr));
            // The layer refuses copy-on-write PFN mappings with callbacks.
            let private = file.mmap(FIRMWARE_LEN, READ | WRITE, PRIVATE, 0);
            assert_eq!(private, Err(EINVAL));
        }
        Ok(())
    }
}
