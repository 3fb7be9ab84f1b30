// SPDX-License-Identifier: GPL-2.0

//! Tests that drop `Send` values on another thread, and use `Sync` values on two threads at once.

use crate::{
    bindings,
    mm::{
        gup::{
            Pinned,
            ReadWrite,
            UserPages, //
        },
        memory::page_array::PageArray,
        pgtable::{
            FaultAccess,
            Handled, //
        },
        testing::UserMm,
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
        Arc,
        Completion, //
    },
    workqueue, //
};
use core::ptr::NonNull;

/// The result of a closure that another thread runs.
#[pin_data]
pub(super) struct Outcome {
    /// The error, or 0.
    err: Atomic<i32>,
    #[pin]
    done: Completion,
}

/// Runs a closure on another thread.
pub(super) fn elsewhere(f: impl FnOnce() -> Result + Send + 'static) -> Result<Arc<Outcome>> {
    let outcome = Arc::pin_init(
        pin_init!(Outcome {
            err: Atomic::new(0),
            done <- Completion::new(),
        }),
        GFP_KERNEL,
    )?;
    let theirs = outcome.clone();
    workqueue::system_unbound().try_spawn(GFP_KERNEL, move || {
        theirs
            .err
            .store(f().map_or_else(Error::to_errno, |()| 0), Relaxed);
        theirs.done.complete_all();
    })?;
    Ok(outcome)
}

impl Outcome {
    /// Waits for the closure, and returns its result.
    pub(super) fn wait(&self) -> Result {
        self.done.wait_for_completion();
        crate::error::to_result(self.err.load(Relaxed))
    }
}

/// Writes to the same pages on this thread and on another one, each to different bytes.
fn both_write<T: Send + 'static>(
    ours: &T,
    theirs: T,
    write_at: fn(&T, usize, &[u8]) -> Result,
    read_at: fn(&T, usize, &mut [u8]) -> Result,
) -> Result {
    let outcome = elsewhere(move || {
        for offset in (0..PAGE_SIZE).step_by(2) {
            write_at(&theirs, offset, b"e")?;
        }
        Ok(())
    })?;
    for offset in (1..PAGE_SIZE).step_by(2) {
        write_at(ours, offset, b"o")?;
    }
    outcome.wait()?;
    let mut pair = [0; 2];
    for offset in (0..PAGE_SIZE).step_by(2) {
        read_at(ours, offset, &mut pair)?;
        assert_eq!(pair, *b"eo");
    }
    Ok(())
}

#[macros::kunit_tests(rust_mm_threads)]
mod cases {
    use super::*;

    #[test]
    fn folio() -> Result {
        let folio = Folio::alloc(0, GFP_KERNEL)?;
        both_write(
            &folio,
            folio.clone(),
            |folio, at, data| folio.write_at(at, data),
            |folio, at, out| folio.read_at(at, out),
        )?;
        assert_eq!(folio.ref_count(), 1);
        // The other thread drops the last reference.
        elsewhere(move || {
            let last: ARef<Folio> = folio;
            match last.ref_count() {
                1 => Ok(()),
                _ => Err(EBUSY),
            }
        })?
        .wait()
    }

    #[test]
    fn kernel_pages() -> Result {
        let pages = Arc::new(KernelPages::new(2, GFP_KERNEL)?, GFP_KERNEL)?;
        both_write(
            &pages,
            pages.clone(),
            |pages, at, data| pages.write_at(at, data),
            |pages, at, out| pages.read_at(at, out),
        )?;
        elsewhere(move || {
            drop(pages);
            Ok(())
        })?
        .wait()
    }

    /// Dropping the pages frees them.
    ///
    /// No debug tool reports leaks of whole pages.
    #[test]
    fn kernel_pages_are_given_back() -> Result {
        let pages = KernelPages::new(2, GFP_KERNEL)?;
        let page = pages.page(1).ok_or(EINVAL)?;
        // SAFETY: The array owns the page, so the folio is valid. The call below takes the
        // reference that the `ARef` owns.
        let folio: ARef<Folio> = unsafe {
            ARef::from_raw(NonNull::from(Folio::from_raw(bindings::page_folio(
                page.as_ptr(),
            ))))
        };
        // SAFETY: The array owns the page, so the folio is valid. `folio` drops this reference.
        unsafe { bindings::folio_get_saturating(folio.as_ptr()) };
        assert_eq!(folio.ref_count(), 2);
        drop(pages);
        assert_eq!(folio.ref_count(), 1);
        Ok(())
    }

    #[test]
    fn user_pages() -> Result {
        let mm = UserMm::attach()?;
        let addr = mm.mmap_anonymous(2 * PAGE_SIZE)?;
        let pages = UserPages::<Pinned, ReadWrite>::fast(addr, 2)?;
        let pages = Arc::new(pages, GFP_KERNEL)?;
        both_write(
            &pages,
            pages.clone(),
            |pages, at, data| pages.write_at(at, data),
            |pages, at, out| pages.read_at(at, out),
        )?;
        // The other thread writes to the pages and then drops them.
        elsewhere(move || {
            pages.write_at(2 * PAGE_SIZE - 4, b"over")?;
            drop(pages);
            Ok(())
        })?
        .wait()?;
        assert_eq!(mm.read(addr + 2 * PAGE_SIZE - 4)?, *b"over");
        assert_eq!(mm.read(addr)?, *b"eo");
        mm.munmap(addr, 2 * PAGE_SIZE)
    }

    /// A thread without an mm, or with another one, can handle faults of this mm.
    #[test]
    fn fault_for_another_address_space() -> Result {
        let mm = UserMm::attach()?;
        let addr = mm.mmap_anonymous(PAGE_SIZE)?;
        let theirs: ARef<MmWithUser> = mm.current().into();
        elsewhere(move || {
            // Return errors: KUnit does not notice a failed assertion of this thread.
            if theirs.is_current() {
                return Err(EBUSY);
            }
            let guard = theirs.mmap_read_lock();
            if guard.folio_walk(addr).is_some() {
                return Err(EEXIST);
            }
            let Handled::Done(guard) = guard.handle_mm_fault(addr, FaultAccess::Write) else {
                return Err(EIO);
            };
            match guard.folio_walk(addr) {
                Some(found) if found.writable => Ok(()),
                _ => Err(EFAULT),
            }
        })?
        .wait()?;
        assert!(mm.current().is_current());
        assert!(mm.current().mmap_read_lock().folio_walk(addr).is_some());
        mm.munmap(addr, PAGE_SIZE)
    }
}
