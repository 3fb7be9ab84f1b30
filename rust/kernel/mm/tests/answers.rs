// SPDX-License-Identifier: GPL-2.0

//! What becomes of the answers of a fault handler.

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
            Ordinary,
            PerFile,
            VmOperations, //
        },
        revoke::Revocation,
        rmap::AddressSpace,
        testing::{
            UserFile,
            UserMm,
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

/// How a handler answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// With a page.
    Page,
    /// With a page of a folio that it has locked.
    Locked,
    /// By inserting the page itself.
    Insert,
}

/// A folio of one page or four. The first byte of each is its index.
#[pin_data]
struct Device {
    folio: ARef<Folio>,
    way: Way,
    faults: Atomic<i32>,
    /// If not 0: the next handler unmaps the page when it has its answer.
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

    /// Does nobody hold the lock of the folio?
    fn is_unlocked(&self) -> bool {
        LockedFolio::try_new(self.folio.clone()).is_ok()
    }
}

/// Makes a file type with its operations, with the given address space.
macro_rules! answering_file {
    ($file:ident, $ops:ident, $device:ident => $space:expr) => {
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
        }

        crate::vm_operations!($ops);
    };
}

// The kernel maps the pages that it is given.
answering_file!(GivenFile, GivenOps, device => &device.space);

// The layer maps them.
answering_file!(RevocableFile, RevocableOps, device => device.revocation.address_space());

#[kunit_tests(rust_mm_answers)]
mod cases {
    use super::*;

    /// The range that is mapped: one page more than the largest folio has.
    const LEN: usize = 5 * PAGE_SIZE;

    /// Runs a case for every way to answer, with the kernel and with the layer to map the page, for
    /// folios of the given order.
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
                // Whatever happened: no reference is left, and no lock.
                let left = device.folio.ref_count() - 1;
                let unlocked = device.is_unlocked();
                if result.is_err() || left != 0 || !unlocked {
                    pr_err!(
                        "{way:?}, order {order}, revocable: {revocable}: {result:?}, {left} references left\n"
                    );
                    return Err(EBUSY);
                }
            }
        }
        Ok(())
    }

    /// Of a large folio, a fault maps the page that was accessed, and none of the others, which the
    /// driver may want to keep.
    #[test]
    fn one_page_of_a_large_folio() -> Result {
        each(2, |mm, device, _, addr| {
            for (faults, index) in [2usize, 0, 3, 1].into_iter().enumerate() {
                assert_eq!(device.faults() as usize, faults);
                assert_eq!(device.folio.ref_count(), 1 + faults);
                assert_eq!(mm.read(addr + index * PAGE_SIZE)?, [index as u8]);
                assert!(device.is_unlocked());
                assert_eq!(device.faults() as usize, faults + 1);
                // A reference for each page that is mapped.
                assert_eq!(device.folio.ref_count(), 2 + faults);
            }
            // And the pages are those of the folio.
            mm.write(addr + 3 * PAGE_SIZE, b"written")?;
            let mut out = [0; 7];
            device.folio.read_at(3 * PAGE_SIZE, &mut out)?;
            assert_eq!(&out, b"written");
            Ok(())
        })
    }

    /// The folio is not locked any more when the fault is over, whichever way it ends.
    #[test]
    fn unlocked_afterwards() -> Result {
        for order in [0, 2] {
            each(order, |mm, device, _, addr| {
                let last = device.folio.len() - PAGE_SIZE;
                assert_eq!(mm.read(addr + last)?, [(last / PAGE_SIZE) as u8]);
                assert!(device.is_unlocked());
                // Behind the folio there is nothing.
                assert_eq!(mm.read::<1>(addr + last + PAGE_SIZE), Err(EFAULT));
                assert!(device.is_unlocked());
                assert_eq!(device.folio.ref_count(), 2);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// What the handler has inserted is there to be unmapped. What it returns is mapped later, and
    /// stays.
    #[test]
    fn unmapped_in_the_handler() -> Result {
        each(0, |mm, device, _, addr| {
            device.unmap.store(1, Relaxed);
            assert_eq!(mm.read(addr)?, [0]);
            // If it was unmapped, the access was repeated.
            let expected = if device.way == Way::Insert { 2 } else { 1 };
            assert_eq!(device.faults(), expected);
            assert_eq!(device.folio.ref_count(), 2);
            Ok(())
        })
    }

    /// Memory that is broken is not mapped by the kernel. Of a folio that it gets locked, and that
    /// is mapped elsewhere, it would look for the page cache, and there is none.
    #[cfg(CONFIG_MEMORY_FAILURE)]
    #[test]
    fn broken_memory() -> Result {
        for order in [0, 2] {
            each(order, |mm, device, file, addr| {
                assert_eq!(mm.read(addr)?, [0]);
                let elsewhere = file.mmap(LEN, READ, SHARED, 0)?;
                let page = device.folio.page(0).ok_or(EINVAL)?.as_ptr();
                // SAFETY: The page is one of a folio of ours, and whole again before that is freed.
                unsafe { crate::bindings::rust_mm_test_set_hwpoison(page, true) };
                let result = mm.read::<1>(elsewhere);
                let refs = device.folio.ref_count();
                // SAFETY: As above.
                unsafe { crate::bindings::rust_mm_test_set_hwpoison(page, false) };
                // Refused by `__do_fault()`, or by the layer; the reference was given up.
                assert_eq!((result, refs), (Err(EFAULT), 2));
                assert!(device.is_unlocked());
                assert_eq!(mm.read(elsewhere)?, [0]);
                mm.munmap(elsewhere, LEN)
            })?;
        }
        Ok(())
    }
}
