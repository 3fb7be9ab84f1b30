// SPDX-License-Identifier: GPL-2.0

//! Pages of user space that are pinned for long, and that their mm is charged for.

use super::{
    HoldFor,
    PinnedLongTerm,
    UserPages, //
};
use crate::{
    mm::account::{
        Charge,
        PinnedVm, //
    },
    prelude::*, //
};
use core::ops::Deref;

/// Pages of user space that are pinned for a time that user space determines, and that the mm is
/// charged for ([`PinnedVm`]) until they are released.
///
/// # Examples
///
/// ```
/// use kernel::{mm::{gup::*, testing::*}, page::PAGE_SIZE};
///
/// let mm = UserMm::attach()?;
/// let addr = mm.mmap_anonymous(2 * PAGE_SIZE)?;
/// let pages = UserPages::<PinnedLongTerm, ReadWrite>::charged(addr, 2)?;
/// assert_eq!(pages.charge().nr_pages(), 2);
/// pages.write_at(0, b"hello")?;
/// drop(pages);
/// assert_eq!(mm.read(addr)?, *b"hello");
/// # Ok::<(), Error>(())
/// ```
// The order of the fields is that in which Rust drops them: the pages are released before the
// charge is returned.
#[must_use = "the pages are released when this is dropped"]
pub struct ChargedPages<A: HoldFor> {
    held: UserPages<PinnedLongTerm, A>,
    charge: Charge<PinnedVm>,
}

impl<A: HoldFor> ChargedPages<A> {
    /// Returns the charge.
    #[inline]
    pub fn charge(&self) -> &Charge<PinnedVm> {
        &self.charge
    }
}

impl<A: HoldFor> Deref for ChargedPages<A> {
    type Target = UserPages<PinnedLongTerm, A>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.held
    }
}

impl<A: HoldFor> UserPages<PinnedLongTerm, A> {
    /// Holds pages of the current mm, as [`fast`](Self::fast) does, and charges the mm for them.
    ///
    /// It may hold fewer pages than `nr_pages`, but at least one. It charges what it holds: a page
    /// that is held twice is charged twice, as by RDMA.
    ///
    /// # Context
    ///
    /// As for [`fast`](Self::fast).
    ///
    /// # Errors
    ///
    /// As for [`fast`](Self::fast), and those of [`Charge::new`]: [`ENOMEM`] if that many pages
    /// exceed `RLIMIT_MEMLOCK`.
    ///
    /// # Examples
    ///
    /// See [`ChargedPages`].
    pub fn charged(start: usize, nr_pages: usize) -> Result<ChargedPages<A>> {
        let mut charge = Charge::new(crate::current!().mm().ok_or(EFAULT)?, nr_pages)?;
        let held = Self::fast(start, nr_pages)?;
        charge.keep(held.nr_pages());
        Ok(ChargedPages { held, charge })
    }
}
