// SPDX-License-Identifier: GPL-2.0

//! A driver's own view of a BAR that user space can map.

use super::Device;
use crate::{
    device::Bound,
    mm::revoke::View, //
};

mod access;

pub use access::DevresBarView;

/// A part of a memory BAR, mapped for the driver's own accesses.
///
/// [`ClaimedBar::iomap`](super::ClaimedBar::iomap) makes it. Accesses are those of
/// [`Io`](crate::io::Io), as with a [`Bar`](crate::pci::Bar): naturally aligned, little-endian, and
/// checked against the range.
pub struct BarView<'a, const SIZE: usize = 0> {
    pdev: &'a Device<Bound>,
    view: View<SIZE>,
}

impl<'a, const SIZE: usize> BarView<'a, SIZE> {
    /// Wraps a view of a BAR of `pdev`.
    pub(super) fn new(pdev: &'a Device<Bound>, view: View<SIZE>) -> Self {
        Self { pdev, view }
    }
}
