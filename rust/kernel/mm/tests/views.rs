// SPDX-License-Identifier: GPL-2.0

//! Tests of views of several pages.

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
    mm::{
        memory::page_array::PageArray,
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
            Relaxed, //
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
}
