// SPDX-License-Identifier: GPL-2.0

//! Copy-on-write pages that a driver fills.

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

/// The copy-on-write page of a fault, for the driver to fill.
///
/// The first write to a page of a private mapping goes to a copy of the page. In most cases the
/// driver answers with its page, and the kernel copies it. A driver that would have to make up that
/// page can fill the copy instead, and answer with it.
///
/// # Invariants
///
/// `page` is the copy-on-write page of a fault that this thread is handling during `'a`. It is
/// initialised, and only values of this type give access to it.
#[must_use = "this is what the handler answers with"]
pub struct CowPage<'a> {
    page: NonNull<bindings::page>,
    _fault: PhantomData<&'a ()>,
    _not_send: NotThreadSafe,
}

impl<'a> CowPage<'a> {
    /// Returns the copy-on-write page of a fault, filled with zeroes, if it has one.
    #[inline]
    pub(super) fn new<O: VmOperations>(context: &'a Context<O>) -> Option<Self> {
        let vmf = context.as_ptr();
        // SAFETY: By the type invariants of the context, this thread is handling the fault, so
        // `vmf` is valid.
        let page = NonNull::new(unsafe { (*vmf).cow_page })?;
        // SAFETY: By the type invariants of the context, this thread is handling the fault, which
        // has a copy-on-write page.
        unsafe { clear(page, (*vmf).__bindgen_anon_1.address) };
        // INVARIANT: The kernel has the page until the layer acts on the answer, after `'a`. C has
        // just initialised it.
        Some(Self {
            page,
            _fault: PhantomData,
            _not_send: NotThreadSafe,
        })
    }

    /// Copies bytes into the page, which is zero where nothing is written.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is not inside the page, in which case nothing is copied.
    pub fn write_at(&self, offset: usize, data: &[u8]) -> Result {
        page_array::write_at(self, offset, data)
    }
}

// SAFETY: By the type invariants, the page exists for as long as the value does.
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

/// Fills a page that user space will have at the address `addr` with zeroes.
///
/// Not inlined: on some architectures, modules cannot call what the C function calls.
///
/// # Safety
///
/// `page` must be a page that no other code uses.
#[inline(never)]
unsafe fn clear(page: NonNull<bindings::page>, addr: usize) {
    // SAFETY: By the safety requirements of this function, no other code uses the page.
    unsafe { bindings::clear_user_highpage(page.as_ptr(), addr) };
}
