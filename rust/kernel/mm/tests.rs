// SPDX-License-Identifier: GPL-2.0

//! Tests of the lifecycle of mappings with callbacks, on a real mm.
//!
//! Each case checks at its end that as many data objects are alive as there are mappings.

use crate::{
    bindings,
    error::to_result,
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
        ops::{
            DeviceRef,
            DriverVmaInfo,
            DriverVmaUnderMmap,
            Fault,
            FaultAnswer,
            FaultError,
            HasVmOps,
            Install,
            MappedArea,
            Mixed,
            Ordinary,
            PerFile,
            PerVma,
            VmOperations, //
        },
        pgtable::PageCounts,
        revoke::Revocation,
        rmap::AddressSpace,
        testing::{
            UserMm,
            PRIVATE,
            READ,
            SHARED,
            WRITE, //
        },
        virt::VmaNew,
        vma::Traverse,
        Folio,
        KernelPages,
        MmWithUser, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    }, //
};
use core::{
    ops::Range,
    ptr::NonNull, //
};

mod account;
mod anon_inode;
mod answers;
mod callbacks;
#[cfg(CONFIG_PCI)]
mod dma;
#[cfg(CONFIG_X86)]
mod fault;
mod faulted;
mod file_ops;
mod file_table;
mod filemap;
mod flags;
mod folio;
#[cfg(CONFIG_X86)]
mod frames;
#[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
mod huge;
mod lock;
mod may_map;
mod memory_file;
#[cfg(all(CONFIG_HMM_MIRROR, CONFIG_X86_64))]
mod mirror;
mod opened;
mod pgtable;
mod pieces;
mod reclaim;
mod refs;
#[cfg(CONFIG_X86)]
mod revocable;
mod revocation;
mod revocation_race;
mod shared;
mod sizeless;
#[cfg(CONFIG_X86_64)]
mod syscalls;
mod threads;
#[cfg(CONFIG_USERFAULTFD)]
mod uffd;
mod unique;
mod views;

/// Returns an mm without mappings, which no other thread uses.
fn empty_mm() -> Result<ARef<MmWithUser>> {
    // SAFETY: `mm_alloc` may be called in process context. It returns NULL or an mm with one user.
    let mm = NonNull::new(unsafe { bindings::mm_alloc() }).ok_or(ENOMEM)?;
    // SAFETY: The mm is valid, and this hands the reference in `mm_users` to the `ARef`.
    Ok(unsafe { ARef::from_raw(mm.cast()) })
}

/// The device of a case: what its callbacks return, and how often the kernel has called them.
#[pin_data]
struct Probe {
    pages: KernelPages,
    folio: ARef<Folio>,
    /// The result of `mapped`.
    mapped: Atomic<i32>,
    /// The result of `may_split`.
    may_split: Atomic<i32>,
    /// The result of `mremap`.
    mremap: Atomic<i32>,
    /// The number of bytes that were present when the kernel last called `may_split` or `mremap`.
    present: Atomic<usize>,
    mapped_calls: Atomic<i32>,
    open_calls: Atomic<i32>,
    close_calls: Atomic<i32>,
    /// The number of data objects that are alive.
    alive: Atomic<i32>,
    /// The address of the lower file that [`StackedFile`] maps in its `mmap`.
    stacked_on: Atomic<usize>,
    /// If not 0, [`StackedFile`] makes the VMA MIXEDMAP first.
    stacked_pages: Atomic<i32>,
    /// If not 0, [`StackedFile`] leaves its own file in the VMA.
    keeps_its_file: Atomic<i32>,
    /// If not 0, `mmap_prepare` of [`FilledFile`] revokes the memory before it returns.
    revoke_in_hook: Atomic<i32>,
    #[pin]
    revocation: Revocation,
}

impl Probe {
    fn new() -> Result<Arc<Self>> {
        let pages = KernelPages::new(4, GFP_KERNEL)?;
        let folio = Folio::alloc(0, GFP_KERNEL)?;
        Arc::pin_init(
            try_pin_init!(Self {
                pages,
                folio,
                mapped: Atomic::new(0),
                may_split: Atomic::new(0),
                mremap: Atomic::new(0),
                present: Atomic::new(0),
                mapped_calls: Atomic::new(0),
                open_calls: Atomic::new(0),
                close_calls: Atomic::new(0),
                alive: Atomic::new(0),
                stacked_on: Atomic::new(0),
                stacked_pages: Atomic::new(0),
                keeps_its_file: Atomic::new(0),
                revoke_in_hook: Atomic::new(0),
                revocation <- Revocation::new::<FilledFile>(),
            }? Error),
            GFP_KERNEL,
        )
    }

    /// Returns how often the kernel called `mapped`, `open` and `close`, and how many data objects
    /// are alive.
    fn counts(&self) -> (i32, i32, i32, i32) {
        (
            self.mapped_calls.load(Relaxed),
            self.open_calls.load(Relaxed),
            self.close_calls.load(Relaxed),
            self.alive.load(Relaxed),
        )
    }
}

fn result_of(errno: &Atomic<i32>) -> Result {
    to_result(errno.load(Relaxed))
}

/// Returns how many bytes of a VMA are present in its page tables.
fn present(vma: &impl Traverse) -> Result<usize> {
    let range = vma.vma_range();
    Ok(PageCounts::of(vma, range.start()..range.end())?.present)
}

/// The data of a VMA; the probe counts how many are alive.
struct Alive(Arc<Probe>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Relaxed);
    }
}

/// Defines a file type with its operations, which differ only in the kind of memory and the action.
macro_rules! probe_file {
    ($file:ident, $ops:ident, $memory:ty, $desc:ident => $map:expr) => {
        struct $file(Arc<Probe>);

        #[vtable]
        impl MiscDevice for $file {
            type Ptr = KBox<Self>;

            fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
                Err(ENODEV)
            }

            fn address_space<'a>(this: &'a Self, _file: &'a File) -> &'a AddressSpace {
                this.0.revocation.address_space()
            }

            fn mmap_prepare<'f>(
                file: &'f Self,
                $desc: VmaDesc<'f, Self>,
            ) -> Result<Mapping<'f, Self>> {
                let map: fn(&'f Probe, VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> = $map;
                map(&file.0, $desc)
            }
        }

        struct $ops;

        #[vtable]
        impl VmOperations for $ops {
            type File = $file;
            type Data = PerVma<Arc<Alive>>;
            type Memory = $memory;

            fn mapped(file: DeviceRef<'_, Self>, _area: &MappedArea) -> Result<PerVma<Arc<Alive>>> {
                let probe = &file.0;
                probe.mapped_calls.fetch_add(1, Relaxed);
                result_of(&probe.mapped)?;
                probe.alive.fetch_add(1, Relaxed);
                Ok(PerVma(Arc::new(Alive(probe.clone()), GFP_KERNEL)?))
            }

            fn open(vma: &DriverVmaInfo<Self>) {
                vma.data().0.open_calls.fetch_add(1, Relaxed);
            }

            fn close(vma: &DriverVmaInfo<Self>) {
                vma.data().0.close_calls.fetch_add(1, Relaxed);
            }

            fn may_split(vma: &DriverVmaUnderMmap<Self>, _addr: usize) -> Result {
                vma.data().0.present.store(present(vma)?, Relaxed);
                result_of(&vma.data().0.may_split)
            }

            fn mremap(vma: &DriverVmaUnderMmap<Self>) -> Result {
                vma.data().0.present.store(present(vma)?, Relaxed);
                result_of(&vma.data().0.mremap)
            }
        }

        crate::vm_operations!($ops);
    };
}

probe_file!(FilledFile, FilledOps, Mixed, desc => |probe, desc| {
    let mapping = desc.with_ops::<FilledOps>()?.map_kernel_pages(&probe.pages)?;
    if probe.revoke_in_hook.load(Relaxed) == 0 {
        return Ok(mapping);
    }
    probe.revocation.revoke();
    // The error of `mmap` if the kernel calls `mapped` after it has populated the mapping.
    Ok(mapping.error_override(EAGAIN))
});
probe_file!(TwinFile, TwinOps, Mixed, desc => |probe, desc| {
    desc.with_ops::<TwinOps>()?.map_kernel_pages(&probe.pages)
});
probe_file!(PartFile, PartOps, Mixed, desc => |probe, desc| {
    let desc = desc.with_ops::<PartOps>()?;
    let part = desc.range().sub(PAGE_SIZE, 2 * PAGE_SIZE)?;
    desc.map_kernel_pages_range(part, probe.pages.slice(1, 2)?)
});

/// A file whose pages are faulted in and whose mappings have no data of their own.
struct FaultFile(Arc<Probe>);

#[vtable]
impl MiscDevice for FaultFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn address_space<'a>(this: &'a Self, _file: &'a File) -> &'a AddressSpace {
        this.0.revocation.address_space()
    }

    fn mmap_prepare<'f>(_file: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        Ok(desc.with_ops::<FaultOps>()?.on_fault())
    }
}

struct FaultOps;

#[vtable]
impl VmOperations for FaultOps {
    type File = FaultFile;
    type Data = PerFile;
    type Memory = Ordinary;

    fn may_map(_: DeviceRef<'_, Self>, _pgoffs: Range<usize>, _writable: bool) -> Result {
        Ok(())
    }

    fn mapped(file: DeviceRef<'_, Self>, _area: &MappedArea) -> Result<PerFile> {
        file.0.mapped_calls.fetch_add(1, Relaxed);
        result_of(&file.0.mapped)?;
        Ok(PerFile)
    }

    fn open(vma: &DriverVmaInfo<Self>) {
        vma.data().0.open_calls.fetch_add(1, Relaxed);
    }

    fn close(vma: &DriverVmaInfo<Self>) {
        vma.data().0.close_calls.fetch_add(1, Relaxed);
    }

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        if let Some(permit) = vmf.may_retry() {
            return Ok(permit.into());
        }
        vmf.return_page(vmf.data().0.folio.clone(), 0)
    }
}

crate::vm_operations!(FaultOps, mergeable: FaultFile);

/// A stacked driver: its deprecated `mmap` maps another file.
struct StackedFile(Arc<Probe>);

#[vtable]
impl MiscDevice for StackedFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    // The upper file's own: a revocation of the lower file's memory does not find its mappings.
    fn address_space<'a>(this: &'a Self, _file: &'a File) -> &'a AddressSpace {
        this.0.revocation.address_space()
    }

    fn mmap(this: &Self, _file: &File, vma: &VmaNew) -> Result {
        let lower = this.0.stacked_on.load(Relaxed) as *mut bindings::file;
        if this.0.stacked_pages.load(Relaxed) != 0 {
            vma.set_mixedmap();
        }
        if this.0.keeps_its_file.load(Relaxed) == 0 {
            // As `backing_file_mmap()` does, for overlayfs and FUSE.
            //
            // SAFETY: The VMA is being set up, and the case keeps the lower file open.
            unsafe { bindings::vma_set_file(vma.as_ptr(), lower) };
        }
        // SAFETY: The case keeps the lower file open for longer than the mapping exists, and `vma`
        // is being set up.
        to_result(unsafe { bindings::compat_vma_mmap(lower, vma.as_ptr()) })
    }
}

#[kunit_tests(rust_mm_lifecycle)]
mod cases {
    use super::*;

    const LEN: usize = 4 * PAGE_SIZE;

    fn filled(mm: &UserMm) -> Result<(Arc<Probe>, crate::mm::testing::UserFile<'_>)> {
        let probe = Probe::new()?;
        let file = mm.open::<FilledFile>(KBox::new(FilledFile(probe.clone()), GFP_KERNEL)?)?;
        Ok((probe, file))
    }

    #[test]
    fn mapped_then_closed() -> Result {
        let mm = UserMm::attach()?;
        let (probe, file) = filled(&mm)?;
        let addr = file.mmap(LEN, READ | WRITE, SHARED, 0)?;
        assert_eq!(probe.counts(), (1, 0, 0, 1));
        mm.munmap(addr, LEN)?;
        assert_eq!(probe.counts(), (1, 0, 1, 0));
        Ok(())
    }

    #[test]
    fn mapped_fails() -> Result {
        let mm = UserMm::attach()?;
        let (probe, file) = filled(&mm)?;
        probe.mapped.store(EDOM.to_errno(), Relaxed);
        assert_eq!(file.mmap(LEN, READ, SHARED, 0), Err(EDOM));
        // The kernel has called `close` although `mapped` failed; the layer must not pass it on.
        assert_eq!(probe.counts(), (1, 0, 0, 0));
        probe.mapped.store(0, Relaxed);
        let addr = file.mmap(LEN, READ, SHARED, 0)?;
        assert_eq!(probe.counts(), (2, 0, 0, 1));
        mm.munmap(addr, LEN)?;
        assert_eq!(probe.counts(), (2, 0, 1, 0));
        Ok(())
    }

    #[test]
    fn split_in_the_middle() -> Result {
        let mm = UserMm::attach()?;
        let (probe, file) = filled(&mm)?;
        let addr = file.mmap(LEN, READ, SHARED, 0)?;
        mm.munmap(addr + PAGE_SIZE, PAGE_SIZE)?;
        let (mapped, opened, closed, alive) = probe.counts();
        assert_eq!((mapped, mapped + opened - closed, alive), (1, 2, 1));
        mm.munmap(addr, LEN)?;
        let (mapped, opened, closed, alive) = probe.counts();
        assert_eq!((mapped + opened - closed, alive), (0, 0));
        Ok(())
    }

    #[test]
    fn split_refused() -> Result {
        let mm = UserMm::attach()?;
        let (probe, file) = filled(&mm)?;
        let addr = file.mmap(LEN, READ, SHARED, 0)?;
        probe.may_split.store(EBUSY.to_errno(), Relaxed);
        assert_eq!(mm.munmap(addr + PAGE_SIZE, PAGE_SIZE), Err(EBUSY));
        assert_eq!(probe.counts(), (1, 0, 0, 1));
        assert_eq!(probe.present.load(Relaxed), LEN);
        assert_eq!(mm.read(addr + PAGE_SIZE)?, [0]);
        // Unmapping the whole VMA is no split, so the driver is not asked.
        mm.munmap(addr, LEN)?;
        assert_eq!(probe.counts(), (1, 0, 1, 0));
        Ok(())
    }

    #[test]
    fn fixed_over_ours() -> Result {
        let mm = UserMm::attach()?;
        let (probe, file) = filled(&mm)?;
        let addr = file.mmap(LEN, READ, SHARED, 0)?;
        file.mmap_over(addr, LEN, READ, SHARED, 0)?;
        assert_eq!(probe.counts(), (2, 0, 1, 1));
        // The hook refuses the new mapping; the kernel has unmapped the old one by then.
        assert_eq!(file.mmap_over(addr, LEN, READ, SHARED, 1), Err(ENXIO));
        assert_eq!(probe.counts(), (2, 0, 2, 0));
        Ok(())
    }

    #[test]
    fn filled_in_part() -> Result {
        let mm = UserMm::attach()?;
        let probe = Probe::new()?;
        let file = mm.open::<PartFile>(KBox::new(PartFile(probe.clone()), GFP_KERNEL)?)?;
        probe.pages.write_at(PAGE_SIZE, b"second")?;
        let addr = file.mmap(LEN, READ, SHARED, 0)?;
        assert_eq!(mm.read(addr + PAGE_SIZE)?, *b"second");
        assert_eq!(mm.read::<1>(addr), Err(EFAULT));
        assert_eq!(mm.read::<1>(addr + 3 * PAGE_SIZE), Err(EFAULT));
        mm.munmap(addr, LEN)?;
        assert_eq!(probe.counts(), (1, 0, 1, 0));

        // The layer refuses an array with fewer pages than the range.
        let short = mm.device(|dev, desc| {
            let all = desc.range();
            desc.map_kernel_pages_range(all, dev.pages.slice(0, 3)?)
        })?;
        assert_eq!(short.mmap(LEN, READ, SHARED, 0), Err(ENXIO));
        short.mmap(LEN - PAGE_SIZE, READ, SHARED, 0)?;
        Ok(())
    }

    #[test]
    fn two_tables_with_the_same_content() -> Result {
        let filled: *const () = core::ptr::from_ref(FilledOps::table()).cast();
        let twin: *const () = core::ptr::from_ref(TwinOps::table()).cast();
        assert!(!core::ptr::eq(filled, twin));

        let mm = UserMm::attach()?;
        let (_probe, file) = self::filled(&mm)?;
        let addr = file.mmap(LEN, READ, SHARED, 0)?;
        let current = mm.current();
        assert!(current.lock_driver_vma::<FilledOps>(addr).is_some());
        assert!(current.lock_driver_vma::<TwinOps>(addr).is_none());
        assert!(current.lock_driver_vma::<FilledOps>(addr + LEN).is_none());
        let guard = current.mmap_read_lock();
        let vma = guard.vma_lookup(addr).ok_or(EINVAL)?;
        assert!(vma.as_driver_vma::<FilledOps>().is_some());
        assert!(vma.as_driver_vma::<TwinOps>().is_none());
        Ok(())
    }

    /// The layer gives a driver the strong view (`DriverVma`) only of the driver's own mappings.
    ///
    /// It does not give it of another driver's, with callbacks of the layer or without, nor of
    /// anonymous memory.
    #[test]
    fn only_its_own() -> Result {
        let mm = UserMm::attach()?;
        let (probe, file) = filled(&mm)?;
        let own = file.mmap(LEN, READ, SHARED, 0)?;
        let plain = mm.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
        let plain = plain.mmap(LEN, READ, SHARED, 0)?;
        let with_ops = mm.open::<FaultFile>(KBox::new(FaultFile(probe), GFP_KERNEL)?)?;
        let with_ops = with_ops.mmap(LEN, READ, SHARED, 0)?;
        let anonymous = mm.mmap_anonymous(LEN)?;

        let current = mm.current();
        let is_ours = |addr| {
            let guard = current.mmap_read_lock();
            let vma = guard.vma_lookup(addr).ok_or(EFAULT)?;
            Ok::<bool, Error>(vma.as_driver_vma::<FilledOps>().is_some())
        };
        assert_eq!(is_ours(own), Ok(true));
        for addr in [plain, with_ops, anonymous] {
            assert_eq!(is_ours(addr), Ok(false));
            assert!(current.lock_driver_vma::<FilledOps>(addr).is_none());
        }
        mm.munmap(own, LEN)?;
        assert_eq!(is_ours(own), Err(EFAULT));
        assert!(current.lock_driver_vma::<FilledOps>(own).is_none());
        Ok(())
    }

    /// A different mapping has replaced the one that the driver remembers: the strong view must not
    /// be that of the new mapping, as it was in Rust Binder (CVE-2026-43434).
    #[test]
    fn another_mapping_at_the_same_address() -> Result {
        let mm = UserMm::attach()?;
        let (probe, file) = filled(&mm)?;
        let addr = file.mmap(LEN, READ | WRITE, SHARED, 0)?;
        let current = mm.current();
        assert!(current.lock_driver_vma::<FilledOps>(addr).is_some());

        // A mapping of another driver, with the same kind of memory.
        let other = mm.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
        other.mmap_over(addr, LEN, READ | WRITE, SHARED, 0)?;
        assert_eq!(probe.counts(), (1, 0, 1, 0));
        assert!(current.lock_driver_vma::<FilledOps>(addr).is_none());
        assert_eq!(mm.read(addr + PAGE_SIZE)?, [1]);

        // A mapping of the same driver, of another file: the view leads to the data of that file.
        let (second, file) = filled(&mm)?;
        file.mmap_over(addr, LEN, READ | WRITE, SHARED, 0)?;
        {
            let vma = current.lock_driver_vma::<FilledOps>(addr).ok_or(EINVAL)?;
            let data = vma.data();
            assert!(Arc::ptr_eq(&data.0, &second));
        }
        mm.munmap(addr, LEN)?;
        assert_eq!(probe.counts(), (1, 0, 1, 0));
        assert_eq!(second.counts(), (1, 0, 1, 0));
        Ok(())
    }

    #[test]
    fn driver_vma_zaps_and_inserts() -> Result {
        let mm = UserMm::attach()?;
        let (probe, file) = filled(&mm)?;
        let addr = file.mmap(LEN, READ | WRITE, SHARED, 0)?;
        mm.write(addr + PAGE_SIZE, b"old")?;
        let current = mm.current();
        {
            let vma = current.lock_driver_vma::<FilledOps>(addr).ok_or(EINVAL)?;
            assert_eq!((vma.start(), vma.len(), vma.pgoff()), (addr, LEN, 0));
            assert_eq!(vma.pgoff_at(addr + PAGE_SIZE + 5), Some(1));
            assert_eq!(vma.pgoff_at(addr + LEN), None);
            for (at, len) in [
                (addr, 1),
                (addr + 1, PAGE_SIZE),
                (addr, 0),
                (addr - PAGE_SIZE, PAGE_SIZE),
                (addr, LEN + PAGE_SIZE),
                (addr, usize::MAX & !(PAGE_SIZE - 1)),
            ] {
                assert_eq!(vma.zap(at, len), Err(EINVAL));
            }
            vma.zap(addr + PAGE_SIZE, PAGE_SIZE)?;
        }
        // The mapping is populated at mmap time, so the page is not faulted in again.
        assert_eq!(mm.read::<1>(addr + PAGE_SIZE), Err(EFAULT));
        probe.folio.write_at(0, b"new")?;
        {
            let vma = current.lock_driver_vma::<FilledOps>(addr).ok_or(EINVAL)?;
            assert_eq!(vma.insert_page(addr + 1, &probe.folio, 0), Err(EINVAL));
            assert_eq!(vma.insert_page(addr + LEN, &probe.folio, 0), Err(EINVAL));
            assert_eq!(
                vma.insert_page(addr + PAGE_SIZE, &probe.folio, 1),
                Err(EINVAL)
            );
            vma.insert_page(addr + PAGE_SIZE, &probe.folio, 0)?;
            assert_eq!(
                vma.insert_page(addr + PAGE_SIZE, &probe.folio, 0),
                Err(EBUSY)
            );
        }
        assert_eq!(mm.read(addr + PAGE_SIZE)?, *b"new");
        assert_eq!(probe.folio.ref_count(), 2);

        probe.pages.write_at(3 * PAGE_SIZE, b"last")?;
        {
            let vma = current.lock_driver_vma::<FilledOps>(addr).ok_or(EINVAL)?;
            vma.zap(addr, LEN)?;
            let (all, one) = (probe.pages.slice(0, 4)?, probe.pages.slice(0, 1)?);
            assert_eq!(vma.insert_pages(addr + PAGE_SIZE, all), Err(EINVAL));
            assert_eq!(vma.insert_pages(addr + 1, one), Err(EINVAL));
            assert_eq!(vma.insert_pages(addr - PAGE_SIZE, one), Err(EINVAL));
            vma.insert_pages(addr, all)?;
            assert_eq!(vma.insert_pages(addr + PAGE_SIZE, one), Err(EBUSY));
        }
        assert_eq!(mm.read(addr + 3 * PAGE_SIZE)?, *b"last");
        assert_eq!(probe.folio.ref_count(), 1);
        mm.munmap(addr, LEN)?;
        assert_eq!(probe.folio.ref_count(), 1);
        Ok(())
    }

    /// The layer maps a page that the handler has returned before a revocation can continue, so the
    /// kernel has nothing left to do.
    #[test]
    fn returned_page_is_mapped_at_once() -> Result {
        let mm = UserMm::attach()?;
        let probe = Probe::new()?;
        let file = mm.open::<FaultFile>(KBox::new(FaultFile(probe.clone()), GFP_KERNEL)?)?;
        let addr = file.mmap(LEN, READ, SHARED, 0)?;
        {
            let guard = mm.current().mmap_read_lock();
            let vma = guard.vma_lookup(addr).ok_or(EFAULT)?.as_ptr();
            // SAFETY: The mmap lock is held, and without flags it remains held. The address is in
            // the VMA, which permits reads.
            let code = unsafe { bindings::handle_mm_fault(vma, addr, 0, core::ptr::null_mut()) };
            assert_eq!(code, bindings::vm_fault_reason_VM_FAULT_NOPAGE);
        }
        assert_eq!(probe.folio.ref_count(), 2);
        mm.munmap(addr, LEN)
    }

    #[test]
    fn fault_retries_then_gives_a_page() -> Result {
        let mm = UserMm::attach()?;
        let probe = Probe::new()?;
        let file = mm.open::<FaultFile>(KBox::new(FaultFile(probe.clone()), GFP_KERNEL)?)?;
        let addr = file.mmap(LEN, READ | WRITE, SHARED, 0)?;
        probe.folio.write_at(0, b"page")?;
        assert_eq!(mm.read(addr)?, *b"page");
        assert_eq!(probe.folio.ref_count(), 2);
        // The same folio at a second address.
        assert_eq!(mm.read(addr + PAGE_SIZE)?, *b"page");
        assert_eq!(probe.folio.ref_count(), 3);
        mm.munmap(addr, LEN)?;
        assert_eq!(probe.folio.ref_count(), 1);
        Ok(())
    }

    #[test]
    fn private_copies_of_a_fault() -> Result {
        let mm = UserMm::attach()?;
        let probe = Probe::new()?;
        let file = mm.open::<FaultFile>(KBox::new(FaultFile(probe.clone()), GFP_KERNEL)?)?;
        let addr = file.mmap(LEN, READ | WRITE, PRIVATE, 0)?;
        probe.folio.write_at(0, b"page")?;
        mm.write(addr, b"m")?;
        assert_eq!(mm.read(addr)?, *b"mage");
        let mut original = [0; 4];
        probe.folio.read_at(0, &mut original)?;
        assert_eq!(original, *b"page");
        assert_eq!(probe.folio.ref_count(), 1);
        mm.munmap(addr, LEN)
    }

    #[test]
    fn per_file_merges_and_balances() -> Result {
        let mm = UserMm::attach()?;
        let probe = Probe::new()?;
        let file = mm.open::<FaultFile>(KBox::new(FaultFile(probe.clone()), GFP_KERNEL)?)?;
        let addr = file.mmap(LEN, READ, SHARED, 0)?;
        mm.munmap(addr + LEN / 2, LEN / 2)?;
        // Map the other half again: the kernel merges it with the first, and calls no callback.
        file.mmap_over(addr + LEN / 2, LEN / 2, READ, SHARED, 2)?;
        let (mapped, opened, closed, _) = probe.counts();
        assert_eq!((mapped, mapped + opened - closed), (1, 1));
        {
            let current = mm.current();
            let guard = current.mmap_read_lock();
            let vma = guard.vma_lookup(addr).ok_or(EINVAL)?;
            assert_eq!((vma.start(), vma.end()), (addr, addr + LEN));
        }
        mm.munmap(addr, LEN)?;
        let (mapped, opened, closed, _) = probe.counts();
        assert_eq!(mapped + opened - closed, 0);
        Ok(())
    }

    /// The kernel calls no `mapped` for a mapping that it merges, so the layer must refuse a
    /// mapping of revoked memory in the hook.
    #[test]
    fn merged_after_a_revocation() -> Result {
        let mm = UserMm::attach()?;
        let probe = Probe::new()?;
        let file = mm.open::<FaultFile>(KBox::new(FaultFile(probe.clone()), GFP_KERNEL)?)?;
        let addr = file.mmap(LEN, READ, SHARED, 0)?;
        let half = addr + LEN / 2;
        mm.munmap(half, LEN / 2)?;
        assert_eq!(mm.read(addr)?, [0]);

        // The layer refuses a mapping that the kernel would merge.
        probe.revocation.revoke();
        let merge = || file.mmap_over(half, LEN / 2, READ, SHARED, 2);
        assert_eq!(merge().err(), Some(ENODEV));
        assert_eq!(mm.read::<1>(addr), Err(EFAULT));
        assert_eq!(probe.folio.ref_count(), 1);

        probe.revocation.restore();
        merge()?;
        assert_eq!(probe.counts().0, 1);
        for part in [addr, half] {
            assert_eq!(mm.read(part)?, [0]);
        }
        assert_eq!(probe.folio.ref_count(), 3);
        // The revocation finds both parts.
        probe.revocation.revoke();
        assert_eq!(probe.folio.ref_count(), 1);
        mm.munmap(addr, LEN)
    }

    #[test]
    fn per_file_mapped_fails() -> Result {
        let mm = UserMm::attach()?;
        let probe = Probe::new()?;
        let file = mm.open::<FaultFile>(KBox::new(FaultFile(probe.clone()), GFP_KERNEL)?)?;
        probe.mapped.store(EDOM.to_errno(), Relaxed);
        assert_eq!(file.mmap(LEN, READ, SHARED, 0), Err(EDOM));
        assert_eq!(probe.counts(), (1, 0, 0, 0));
        Ok(())
    }

    #[test]
    fn revoked_while_being_mapped() -> Result {
        let mm = UserMm::attach()?;
        let (probe, file) = filled(&mm)?;
        probe.revoke_in_hook.store(1, Relaxed);
        // The layer refuses the mapping after the hook, before the kernel populates it: otherwise
        // the error would be EAGAIN.
        assert_eq!(file.mmap(LEN, READ, SHARED, 0), Err(ENODEV));
        // The layer has not called `mapped`, for which no `close` would follow.
        assert_eq!(probe.counts(), (0, 0, 0, 0));
        probe.revoke_in_hook.store(0, Relaxed);
        assert_eq!(file.mmap(LEN, READ, SHARED, 0), Err(ENODEV));
        assert_eq!(probe.counts(), (0, 0, 0, 0));
        probe.revocation.restore();
        let addr = file.mmap(LEN, READ, SHARED, 0)?;
        assert_eq!(mm.read(addr)?, [0]);
        probe.revocation.revoke();
        assert_eq!(mm.read::<1>(addr), Err(EFAULT));
        mm.munmap(addr, LEN)?;
        assert_eq!(probe.counts(), (1, 0, 1, 0));
        Ok(())
    }

    #[cfg(CONFIG_X86)]
    #[test]
    fn stacked_driver_has_pages_where_ours_has_frames() -> Result {
        let mm = UserMm::attach()?;
        let file =
            mm.device(|dev, desc| desc.remap_pfn(dev.firmware.pfns(), crate::mm::Cache::Cached))?;
        let upper = Probe::new()?;
        upper.stacked_on.store(file.as_ptr() as usize, Relaxed);
        let stacked = mm.open::<StackedFile>(KBox::new(StackedFile(upper.clone()), GFP_KERNEL)?)?;
        upper.stacked_pages.store(1, Relaxed);
        assert_eq!(stacked.mmap(PAGE_SIZE, READ, SHARED, 0), Err(EINVAL));
        upper.stacked_pages.store(0, Relaxed);
        let addr = stacked.mmap(PAGE_SIZE, READ, SHARED, 0)?;
        mm.read::<1>(addr)?;
        mm.munmap(addr, PAGE_SIZE)
    }

    #[test]
    fn stacked_driver_maps_ours() -> Result {
        let mm = UserMm::attach()?;
        let (probe, file) = filled(&mm)?;
        let upper = Probe::new()?;
        upper.stacked_on.store(file.as_ptr() as usize, Relaxed);
        let stacked = mm.open::<StackedFile>(KBox::new(StackedFile(upper.clone()), GFP_KERNEL)?)?;

        probe.pages.write_at(0, b"through both")?;
        let addr = stacked.mmap(LEN, READ, SHARED, 0)?;
        assert_eq!(mm.read(addr)?, *b"through both");
        assert_eq!(probe.counts(), (1, 0, 0, 1));
        mm.munmap(addr + PAGE_SIZE, PAGE_SIZE)?;
        mm.munmap(addr, LEN)?;
        let (mapped, opened, closed, alive) = probe.counts();
        assert_eq!((mapped + opened - closed, alive), (0, 0));

        // The layer refuses a mapping that keeps the upper file: a revocation would not find it.
        upper.keeps_its_file.store(1, Relaxed);
        let calls = probe.counts();
        assert_eq!(stacked.mmap(LEN, READ, SHARED, 0), Err(ENODEV));
        assert_eq!(probe.counts(), calls);
        upper.keeps_its_file.store(0, Relaxed);

        // If `mapped` fails on this path, the kernel never calls `close`: no data may be left.
        probe.mapped.store(EDOM.to_errno(), Relaxed);
        assert_eq!(stacked.mmap(LEN, READ, SHARED, 0), Err(EDOM));
        assert_eq!(probe.alive.load(Relaxed), 0);
        // The same if the hook itself fails.
        assert_eq!(stacked.mmap(LEN, READ, SHARED, 1), Err(ENXIO));
        assert_eq!(probe.alive.load(Relaxed), 0);
        Ok(())
    }
}
