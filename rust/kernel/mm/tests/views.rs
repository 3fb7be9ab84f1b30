// SPDX-License-Identifier: GPL-2.0

//! Tests of views of several pages, and of vectors whose memory becomes pages.

use super::{
    refs::{
        xchg_folio,
        Count,
        TOO_MANY, //
    },
    threads::elsewhere, //
};
use crate::{
    bindings,
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
        memory::page_array::PageArray,
        testing::{
            UserMm,
            READ,
            SHARED,
            WRITE, //
        },
        Folio,
        KernelPages, //
    },
    new_spinlock,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Relaxed,
            Release, //
        }, //
    }, //
};
use pin_init::stack_pin_init;

/// Takes a reference to a page of an array.
fn folio_of(pages: &KernelPages, index: usize) -> Result<ARef<Folio>> {
    let page = pages.page(index).ok_or(EINVAL)?;
    // SAFETY: The array owns the page, which is of order 0, so it is a folio.
    Ok(unsafe { Folio::from_raw(page.as_ptr().cast()) }.into())
}

/// Waits until a folio has that many references.
fn wait_for_refs(folio: &Folio, count: usize) -> Result {
    for _ in 0..1000 {
        if folio.ref_count() == count {
            return Ok(());
        }
        // SAFETY: The cases run in a thread, and hold no lock here.
        unsafe { bindings::msleep(10) };
    }
    Err(ETIMEDOUT)
}

/// A file whose memory was a vector.
struct VectorFile(KernelPages);

#[vtable]
impl MiscDevice for VectorFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn mmap_prepare<'f>(file: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        desc.map_kernel_pages(&file.0)
    }
}

#[macros::kunit_tests(rust_mm_views)]
mod cases {
    use super::*;

    #[test]
    fn contents() -> Result {
        let pages = KernelPages::new(2, GFP_KERNEL)?;
        let view = pages.vmap()?;
        let end = view.len();
        for offset in PAGE_SIZE - 20..PAGE_SIZE + 4 {
            let record: [u8; 13] = core::array::from_fn(|i| (i + offset) as u8);
            view.write_record(offset, record)?;
            assert_eq!(pages.read_record::<[u8; 13]>(offset)?, record);
            assert_eq!(view.read_record::<[u8; 13]>(offset)?, record);
            let mut out = [0; 13];
            view.read_at(offset, &mut out)?;
            assert_eq!(out, record);
            view.write_at(offset, b"0123456789abc")?;
            assert_eq!(pages.read_record::<[u8; 13]>(offset)?, *b"0123456789abc");
        }

        for (offset, error) in [
            (end - 4, Ok(())),
            (end - 3, Err(EINVAL)),
            (end, Err(EINVAL)),
            (2, Err(EINVAL)),
            (usize::MAX - 3, Err(EINVAL)),
        ] {
            assert_eq!(view.write_record(offset, 1_u32), error);
            assert_eq!(view.read_record::<u32>(offset).map(|_| ()), error);
            assert_eq!(view.atomic::<u32>(offset).map(|_| ()), error);
        }
        assert_eq!(pages.read_record::<[u32; 2]>(end - 8)?, [0, 1]);
        assert!(view.read_at(end - 3, &mut [0; 4]).is_err());
        assert!(view.write_at(end - 3, &[0; 4]).is_err());
        assert!(view.write_at(usize::MAX, &[0; 4]).is_err());
        for count in [usize::MAX, usize::MAX / 4 + 2, PAGE_SIZE / 2 + 1] {
            assert!(view.atomics::<u32>(0, count).is_err());
        }
        let words = view.atomics::<u32>(PAGE_SIZE - 4, 2)?;
        words[1].store(8, Relaxed);
        assert_eq!(pages.atomic::<u32>(PAGE_SIZE)?.load(Acquire), 8);
        assert_eq!(view.atomics::<u32>(end, 0)?.len(), 0);
        Ok(())
    }

    /// A view holds references, which it drops where it is dropped, or later.
    #[test]
    fn view_dropped_anywhere() -> Result {
        let pages = KernelPages::new(3, GFP_KERNEL)?;
        let folio = folio_of(&pages, 1)?;
        assert_eq!(folio.ref_count(), 2);
        let view = pages.vmap()?;
        assert_eq!((view.nr_pages(), view.len()), (3, 3 * PAGE_SIZE));
        assert_eq!(folio.ref_count(), 3);
        drop(view);
        wait_for_refs(&folio, 2)?;

        // Where code must not sleep.
        let view = pages.vmap()?;
        let guard = crate::sync::rcu::read_lock();
        drop(view);
        drop(guard);
        wait_for_refs(&folio, 2)?;

        let view = pages.vmap()?;
        stack_pin_init!(let lock = new_spinlock!(Some(view)));
        *lock.lock() = None;
        wait_for_refs(&folio, 2)?;

        // The view, and then the last reference here, outlive the array.
        let view = pages.vmap()?;
        pages.write_at(2 * PAGE_SIZE, b"kept")?;
        drop(pages);
        assert_eq!(folio.ref_count(), 2);
        assert_eq!(view.read_record::<[u8; 4]>(2 * PAGE_SIZE)?, *b"kept");
        elsewhere(move || {
            drop(view);
            Ok(())
        })?
        .wait()?;
        wait_for_refs(&folio, 1)
    }

    /// vfree() would keep a list in memory that user space can write.
    #[test]
    fn where_softirqs_are_disabled() -> Result {
        let pages = KernelPages::new(1, GFP_KERNEL)?;
        let folio = folio_of(&pages, 0)?;
        let view = pages.vmap()?;
        // vfree() keeps its list in them: KASAN reports it if they are smaller than a pointer.
        let mut vmalloc = VVec::new();
        vmalloc.push(1_u64, GFP_KERNEL)?;
        let mut kmalloc = KVVec::new();
        kmalloc.push(1_u64, GFP_KERNEL)?;

        // SAFETY: Softirqs are enabled again below.
        unsafe { bindings::rust_mm_test_disable_bh() };
        drop(view);
        let from_vvec = KernelPages::from_vvec(vmalloc).map(|_| ());
        let from_kvvec = KernelPages::from_kvvec(kmalloc).map(|_| ());
        // SAFETY: They were disabled above.
        unsafe { bindings::rust_mm_test_enable_bh() };

        assert_eq!((from_vvec, from_kvvec), (Err(EINVAL), Err(EINVAL)));
        wait_for_refs(&folio, 2)
    }

    #[test]
    fn view_of_pages_that_cannot_be_mapped() -> Result {
        let pages = KernelPages::new(2, GFP_KERNEL)?;
        assert!(pages.slice(2, 0)?.vmap().is_err_and(|e| e == EINVAL));
        let folio = folio_of(&pages, 1)?;
        let count = Count::set(folio.as_ptr(), xchg_folio, TOO_MANY);
        assert!(pages.vmap().is_err_and(|e| e == ENOMEM));
        assert!(pages.slice(0, 1)?.vmap().is_ok());
        drop(count);
        assert_eq!(folio.ref_count(), 2);
        assert!(pages.vmap().is_ok());
        Ok(())
    }

    /// The memory of a vector that is mapped has nothing else for user space to see.
    #[test]
    fn vector_becomes_pages() -> Result {
        const LEN: usize = PAGE_SIZE + 100;
        let mut vec = VVec::with_capacity(3 * PAGE_SIZE, GFP_KERNEL)?;
        vec.resize(3 * PAGE_SIZE, 0x5a_u8, GFP_KERNEL)?;
        vec.truncate(LEN);
        let pages = KernelPages::from_vvec(vec)?;
        assert_eq!(pages.nr_pages(), 2);
        assert_eq!(pages.read_record::<[u8; 2]>(LEN - 1)?, [0x5a, 0]);
        let view = pages.vmap()?;
        for offset in (0..2 * PAGE_SIZE).rev() {
            let expected = if offset < LEN { 0x5a } else { 0 };
            assert_eq!(view.read_record::<u8>(offset)?, expected);
        }
        drop(view);
        // The references are those of the array.
        let folio = folio_of(&pages, 0)?;
        wait_for_refs(&folio, 2)?;
        let last = folio_of(&pages, 1)?;
        drop(pages);
        assert_eq!((folio.ref_count(), last.ref_count()), (1, 1));
        // The contents are still there.
        assert_eq!(folio.read_record::<u8>(17)?, 0x5a);
        Ok(())
    }

    /// User space maps the memory of a vector, and keeps it.
    #[test]
    fn vector_in_user_space() -> Result {
        let mm = UserMm::attach()?;
        let mut vec = VVec::new();
        vec.resize(PAGE_SIZE / 4 + 1, 0x0a0b_0c0d_u32, GFP_KERNEL)?;
        let pages = KernelPages::from_vvec(vec)?;
        let folio = folio_of(&pages, 1)?;
        let view = pages.vmap()?;
        let device = KBox::new(VectorFile(pages), GFP_KERNEL)?;
        let file = mm.open::<VectorFile>(device)?;
        let addr = file.mmap(2 * PAGE_SIZE, READ | WRITE, SHARED, 0)?;
        drop(file);
        assert_eq!(mm.read(addr)?, 0x0a0b_0c0d_u32.to_ne_bytes());
        assert_eq!(mm.read(addr + PAGE_SIZE)?, 0x0a0b_0c0d_u32.to_ne_bytes());
        assert_eq!(mm.read(addr + PAGE_SIZE + 4)?, [0; 4]);
        assert_eq!(mm.read(addr + 2 * PAGE_SIZE - 4)?, [0; 4]);
        mm.write(addr + PAGE_SIZE + 8, b"user")?;
        assert_eq!(folio.read_record::<[u8; 4]>(8)?, *b"user");

        // Each side sees what the other one has written, and so do views.
        mm.write(addr + PAGE_SIZE + 12, &7_u32.to_ne_bytes())?;
        assert_eq!(view.atomic::<u32>(PAGE_SIZE + 12)?.load(Acquire), 7);
        assert_eq!(folio.atomic::<u32>(12)?.load(Acquire), 7);
        view.atomic::<u32>(PAGE_SIZE + 12)?.store(8, Release);
        view.write_record(PAGE_SIZE + 16, *b"kernel")?;
        assert_eq!(mm.read(addr + PAGE_SIZE + 12)?, 8_u32.to_ne_bytes());
        assert_eq!(mm.read(addr + PAGE_SIZE + 16)?, *b"kernel");
        mm.munmap(addr, 2 * PAGE_SIZE)
    }

    /// Memory of both allocators becomes pages.
    #[test]
    fn vector_of_either_allocator() -> Result {
        for len in [1_usize, 4096, 300_000] {
            let mut vec = KVVec::new();
            for i in 0..len {
                vec.push(i as u32, GFP_KERNEL)?;
            }
            // SAFETY: The function only compares the address.
            let vmalloc = unsafe { bindings::is_vmalloc_addr(vec.as_ptr().cast()) };
            // 1.2 MB do not come from kmalloc if memory is fragmented, and 4 bytes always do.
            assert!(!vmalloc || len > 1);
            let pages = KernelPages::from_kvvec(vec)?;
            assert_eq!(pages.nr_pages(), (4 * len).div_ceil(PAGE_SIZE));
            for i in (0..len).step_by(511) {
                assert_eq!(pages.read_record::<u32>(4 * i)?, i as u32);
            }
            let folio = folio_of(&pages, 0)?;
            wait_for_refs(&folio, 2)?;
        }
        assert!(KernelPages::from_kvvec(KVVec::<u64>::new()).is_err_and(|e| e == EINVAL));
        assert!(KernelPages::from_vvec(VVec::<u64>::new()).is_err_and(|e| e == EINVAL));

        let mut nothing = VVec::new();
        nothing.push((), GFP_KERNEL)?;
        assert!(KernelPages::from_vvec(nothing).is_err_and(|e| e == EINVAL));
        Ok(())
    }
}
