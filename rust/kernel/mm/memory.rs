// SPDX-License-Identifier: GPL-2.0

//! Memory that can be mapped into user space.
//!
//! [`Folio`] and [`KernelPages`] are memory that the kernel manages, with reference counts; a
//! [`Vmap`] is a view of it in one piece.
//! [`PfnRange`] and [`DeviceMemory`] are ranges of page frame numbers (PFNs), without reference
//! counts. The modules in this folder do not use those that make mappings.

mod bytes;
mod cache;
mod folio;
pub(super) mod gfp;
mod kernel_pages;
pub(super) mod page_array;
pub(super) mod pfn;
mod shared;
mod slots;
mod vmalloc;
mod vmap;

pub use bytes::SharedBytes;
pub use cache::Cache;
pub use folio::{
    Folio,
    LockedFolio, //
};
pub(super) use kernel_pages::position;
pub use kernel_pages::{
    KernelPages,
    KernelPagesSlice, //
};
pub(super) use page_array::{
    zero_iter,
    zero_user, //
};
pub use pfn::{
    DeviceMemory,
    Frames,
    PfnRange,
    PfnSlice, //
};
pub use shared::SharedInt;
pub(super) use slots::{
    Slot,
    Slots, //
};
pub use vmap::Vmap;
