// SPDX-License-Identifier: GPL-2.0

//! Kinds of files that can be mapped.

use crate::types::ForeignOwnable;

pub(crate) mod sealed {
    /// The layer reads the private data of a file as what `Ptr` says, so only the abstractions of this
    /// crate say what that is.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` is not a type of file that can be mapped",
        note = "implement `MiscDevice`, of which `MapFile` follows"
    )]
    pub trait Sealed {}
}

/// A kind of file that can be mapped: every misc device is.
///
/// What [`VmOperations`](super::ops::VmOperations) belong to.
pub trait MapFile: sealed::Sealed + Sized + 'static {
    /// What the private data of the file is wrapped in.
    type Ptr: ForeignOwnable + Send + Sync + 'static;

    /// Whether the mappings are kept with an [`AddressSpace`](super::rmap::AddressSpace) of the driver,
    /// for each file of this kind.
    #[doc(hidden)]
    const HAS_ADDRESS_SPACE: bool;
}
