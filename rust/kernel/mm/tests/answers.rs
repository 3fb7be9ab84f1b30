// SPDX-License-Identifier: GPL-2.0

//! Tests of what the kernel and the layer do with the answers of a fault handler.

use crate::{
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
            Fault,
            FaultAnswer,
            FaultError,
            MkwriteAnswer,
            MkwriteFault,
            Ordinary,
            PerFile,
            VmOperations, //
        },
        revoke::Revocation,
        rmap::AddressSpace,
        testing::{
            UserFile,
            UserMm,
            PRIVATE,
            READ,
            SHARED,
            WRITE, //
        },
        Folio,
        LockedFolio, //
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

/// How the handler answers a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// With a page.
    Page,
    /// With a page of a folio that the handler has locked.
    Locked,
    /// The handler inserts the page itself.
    Insert,
}

/// A device with a folio of one or four pages.
///
/// The first byte of each page is its index.
#[pin_data]
struct Device {
    folio: ARef<Folio>,
    way: Way,
    faults: Atomic<i32>,
    /// The calls of `page_mkwrite`.
    writes: Atomic<i32>,
    /// If not 0, the next call of the handler unmaps the page before it returns its answer.
    unmap: Atomic<i32>,
    space: AddressSpace,
    #[pin]
    revocation: Revocation,
}

impl Device {
    fn new(way: Way, order: u32) -> Result<Arc<Self>> {
        let folio = Folio::alloc(order, GFP_KERNEL)?;
        for index in 0..folio.nr_pages() {
            folio.write_at(index * PAGE_SIZE, &[index as u8])?;
        }
        Arc::pin_init(
            try_pin_init!(Self {
                folio,
                way,
                faults: Atomic::new(0),
                writes: Atomic::new(0),
                unmap: Atomic::new(0),
                space: AddressSpace::new::<GivenFile>()?,
                revocation <- Revocation::new::<RevocableFile>(),
            }? Error),
            GFP_KERNEL,
        )
    }

    fn faults(&self) -> i32 {
        self.faults.load(Relaxed)
    }

    /// Returns whether the folio is unlocked.
    fn is_unlocked(&self) -> bool {
        LockedFolio::try_new(self.folio.clone()).is_ok()
    }
}

/// Defines a file type with its operations, for the given address space.
macro_rules! answering_file {
    ($file:ident, $ops:ident, $device:ident => $space:expr $(, { $($more:tt)* })?) => {
        struct $file(Arc<Device>);

        #[vtable]
        impl MiscDevice for $file {
            type Ptr = KBox<Self>;

            fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
                Err(ENODEV)
            }

            fn address_space<'a>(this: &'a Self, _file: &'a File) -> &'a AddressSpace {
                let $device = &this.0;
                $space
            }

            fn mmap_prepare<'f>(_: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
                Ok(desc.with_ops::<$ops>()?.on_fault())
            }
        }

        struct $ops;

        #[vtable]
        impl VmOperations for $ops {
            type File = $file;
            type Data = PerFile;
            type Memory = Ordinary;

            fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
                let $device = &vmf.data().0;
                $device.faults.fetch_add(1, Relaxed);
                let folio = $device.folio.clone();
                let answer = match $device.way {
                    Way::Page => vmf.return_page(folio, vmf.pgoff()),
                    Way::Locked => vmf.return_locked_page(LockedFolio::new(folio), vmf.pgoff()),
                    Way::Insert => vmf.insert_page(&folio, vmf.pgoff()).map(Into::into),
                };
                if $device.unmap.xchg(0, Relaxed) != 0 {
                    let space: &AddressSpace = $space;
                    space.unmap(vmf.pgoff(), 1);
                }
                answer
            }

            $($($more)*)?
        }

        crate::vm_operations!($ops);
    };
}

// The kernel may map the pages that the handler returns.
answering_file!(GivenFile, GivenOps, device => &device.space);

// The layer maps them, since the files are revocable.
answering_file!(RevocableFile, RevocableOps, device => device.revocation.address_space());

// The kernel calls `page_mkwrite` for the first write to a page.
answering_file!(NotifiedFile, NotifiedOps, device => &device.space, {
    fn page_mkwrite(vmf: &MkwriteFault<Self>) -> Result<MkwriteAnswer<'_>, FaultError> {
        vmf.data().0.writes.fetch_add(1, Relaxed);
        Ok(MkwriteAnswer::Locked(vmf.lock()))
    }
});

#[kunit_tests(rust_mm_answers)]
mod cases {
    use super::*;

    /// The length of the mapping: one page more than the largest folio.
    const LEN: usize = 5 * PAGE_SIZE;

    /// Runs a case for each way to answer, for files whose pages the kernel may map and for files
    /// whose pages the layer maps, with a folio of the given order.
    fn each(order: u32, case: fn(&UserMm, &Device, &UserFile<'_>, usize) -> Result) -> Result {
        let mm = UserMm::attach()?;
        for way in [Way::Page, Way::Locked, Way::Insert] {
            for revocable in [false, true] {
                let device = Device::new(way, order)?;
                let file = match revocable {
                    false => {
                        mm.open::<GivenFile>(KBox::new(GivenFile(device.clone()), GFP_KERNEL)?)?
                    }
                    true => mm.open::<RevocableFile>(KBox::new(
                        RevocableFile(device.clone()),
                        GFP_KERNEL,
                    )?)?,
                };
                let addr = file.mmap(LEN, READ | WRITE, SHARED, 0)?;
                let result = case(&mm, &device, &file, addr);
                mm.munmap(addr, LEN)?;
                // No reference and no lock may be left.
                let left = device.folio.ref_count() - 1;
                let unlocked = device.is_unlocked();
                if result.is_err() || left != 0 || !unlocked {
                    pr_err!(
                        "{way:?}, order {order}, revocable: {revocable}: {result:?}, {left} \
                         references left, unlocked: {unlocked}\n"
                    );
                    return Err(EBUSY);
                }
            }
        }
        Ok(())
    }

    /// A fault maps only the accessed page of a large folio: the driver may want to keep the
    /// others.
    #[test]
    fn one_page_of_a_large_folio() -> Result {
        each(2, |mm, device, _, addr| {
            for (faults, index) in [2usize, 0, 3, 1].into_iter().enumerate() {
                assert_eq!(device.faults() as usize, faults);
                assert_eq!(device.folio.ref_count(), 1 + faults);
                assert_eq!(mm.read(addr + index * PAGE_SIZE)?, [index as u8]);
                assert!(device.is_unlocked());
                assert_eq!(device.faults() as usize, faults + 1);
                // Each mapped page holds a reference.
                assert_eq!(device.folio.ref_count(), 2 + faults);
            }
            // The mapped pages are those of the folio.
            mm.write(addr + 3 * PAGE_SIZE, b"written")?;
            let mut out = [0; 7];
            device.folio.read_at(3 * PAGE_SIZE, &mut out)?;
            assert_eq!(&out, b"written");
            Ok(())
        })
    }

    /// The folio is unlocked after each fault, also after one that fails.
    #[test]
    fn unlocked_afterwards() -> Result {
        for order in [0, 2] {
            each(order, |mm, device, _, addr| {
                let last = device.folio.len() - PAGE_SIZE;
                assert_eq!(mm.read(addr + last)?, [(last / PAGE_SIZE) as u8]);
                assert!(device.is_unlocked());
                // Past the end of the folio, the handler returns SIGBUS.
                assert_eq!(mm.read::<1>(addr + last + PAGE_SIZE), Err(EFAULT));
                assert!(device.is_unlocked());
                assert_eq!(device.folio.ref_count(), 2);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// An unmap in the handler finds a page that the handler has inserted, but not one that it
    /// returns: that is mapped later.
    #[test]
    fn unmapped_in_the_handler() -> Result {
        each(0, |mm, device, _, addr| {
            device.unmap.store(1, Relaxed);
            assert_eq!(mm.read(addr)?, [0]);
            // After the unmap, the access faults again.
            let expected = if device.way == Way::Insert { 2 } else { 1 };
            assert_eq!(device.faults(), expected);
            assert_eq!(device.folio.ref_count(), 2);
            Ok(())
        })
    }

    /// A write to a private mapping goes to a copy, and leaves no reference to the folio.
    #[test]
    fn private_copies() -> Result {
        for order in [0, 2] {
            each(order, |mm, device, file, _| {
                let private = file.mmap(LEN, READ | WRITE, PRIVATE, 0)?;
                let last = device.folio.len() - PAGE_SIZE;
                mm.write(private + last, b"x")?;
                assert_eq!(mm.read(private + last)?, *b"x");
                assert!(device.is_unlocked());
                assert_eq!(device.folio.ref_count(), 1);
                let mut out = [0; 1];
                device.folio.read_at(last, &mut out)?;
                assert_eq!(out, [(last / PAGE_SIZE) as u8]);
                mm.munmap(private, LEN)
            })?;
        }
        Ok(())
    }

    /// The first access to a page is a write, and the driver gets write-notify faults.
    #[test]
    fn first_write_of_an_answer() -> Result {
        let mm = UserMm::attach()?;
        for way in [Way::Page, Way::Locked, Way::Insert] {
            for order in [0, 2] {
                let device = Device::new(way, order)?;
                let file = NotifiedFile(device.clone());
                let file = mm.open::<NotifiedFile>(KBox::new(file, GFP_KERNEL)?)?;
                let addr = file.mmap(LEN, READ | WRITE, SHARED, 0)?;
                let last = device.folio.len() - PAGE_SIZE;
                mm.write(addr + last, b"x")?;
                mm.write(addr + last + 1, b"y")?;
                // The handler was called once, and so was `page_mkwrite`.
                assert_eq!((device.faults(), device.writes.load(Relaxed)), (1, 1));
                assert_eq!(device.folio.ref_count(), 2);
                assert!(device.is_unlocked());
                let mut out = [0; 2];
                device.folio.read_at(last, &mut out)?;
                assert_eq!(out, *b"xy");
                mm.munmap(addr, LEN)?;
                assert_eq!(device.folio.ref_count(), 1);
            }
        }
        Ok(())
    }

    /// A hardware-poisoned page is not mapped.
    ///
    /// The layer must not return the folio locked: if it is mapped elsewhere, the kernel would then
    /// look for its page cache, which it does not have.
    #[cfg(CONFIG_MEMORY_FAILURE)]
    #[test]
    fn broken_memory() -> Result {
        for order in [0, 2] {
            each(order, |mm, device, file, addr| {
                assert_eq!(mm.read(addr)?, [0]);
                let elsewhere = file.mmap(LEN, READ, SHARED, 0)?;
                let page = device.folio.page(0).ok_or(EINVAL)?.as_ptr();
                // SAFETY: The page belongs to the device's folio, and the flag is cleared below,
                // before the folio is freed.
                unsafe { crate::bindings::rust_mm_test_set_hwpoison(page, true) };
                let result = mm.read::<1>(elsewhere);
                let refs = device.folio.ref_count();
                // SAFETY: The page belongs to the device's folio.
                unsafe { crate::bindings::rust_mm_test_set_hwpoison(page, false) };
                // `__do_fault()` or the layer has refused the page and dropped the reference.
                assert_eq!((result, refs), (Err(EFAULT), 2));
                assert!(device.is_unlocked());
                assert_eq!(mm.read(elsewhere)?, [0]);
                mm.munmap(elsewhere, LEN)
            })?;
        }
        Ok(())
    }
}
