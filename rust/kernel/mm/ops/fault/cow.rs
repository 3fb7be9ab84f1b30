// SPDX-License-Identifier: GPL-2.0

//! Writes to private mappings.

use crate::{
    bindings,
    mm::{
        memory::page_array::{
            self,
            PageArray, //
        },
        ops::{
            fault::Context,
            VmOperations, //
        }, //
    },
    prelude::*,
    types::NotThreadSafe, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

/// The page that becomes a process's private copy, to be filled by the driver.
///
/// A private mapping gets a copy of a page at the first write to it. Usually the driver answers with
/// its page and the kernel makes the copy. A driver that has no such page, since it would have to
/// make it up, fills the copy itself and answers with that.
///
/// # Invariants
///
/// `page` is the page of a fault that is being handled during `'a`, on this thread. Only values like
/// this one lead to it, and it is initialised.
#[must_use = "this is what the handler answers with"]
pub struct CowPage<'a> {
    page: NonNull<bindings::page>,
    _fault: PhantomData<&'a ()>,
    _not_send: NotThreadSafe,
}

impl<'a> CowPage<'a> {
    /// Returns the page that the kernel has made for a fault, if it has, filled with zeroes.
    #[inline]
    pub(super) fn new<O: VmOperations>(context: &'a Context<O>) -> Option<Self> {
        let vmf = context.as_ptr();
        // SAFETY: By the type invariants of the context, the fault is being handled, on this thread.
        let page = NonNull::new(unsafe { (*vmf).cow_page })?;
        // SAFETY: As above, and there is a page.
        unsafe {
            let addr = (*vmf).__bindgen_anon_1.address;
            bindings::clear_user_highpage(page.as_ptr(), addr);
        }
        // INVARIANT: It stays the kernel's until the answer is acted on, after `'a`, and was just
        // initialised.
        Some(Self {
            page,
            _fault: PhantomData,
            _not_send: NotThreadSafe,
        })
    }

    /// Copies bytes into the page. What is not written is zero.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is not inside the page; nothing has been copied then.
    pub fn write_at(&self, offset: usize, data: &[u8]) -> Result {
        page_array::write_at(self, offset, data)
    }
}

// SAFETY: By the type invariants, the page is there for as long as the value is.
unsafe impl PageArray for CowPage<'_> {
    #[inline]
    fn nr_pages(&self) -> usize {
        1
    }

    #[inline]
    fn page(&self, index: usize) -> Option<NonNull<bindings::page>> {
        (index == 0).then_some(self.page)
    }
}
