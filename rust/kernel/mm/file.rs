// SPDX-License-Identifier: GPL-2.0

//! Kinds of files that can be mapped.

use crate::types::ForeignOwnable;

pub(crate) mod sealed {
    /// Keeps drivers from implementing [`MapFile`](super::MapFile).
    ///
    /// The layer reads the private data of a file as a [`MapFile::Ptr`](super::MapFile::Ptr), so
    /// only the abstractions of this crate, which set the private data, name that type.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` is not a type of file that can be mapped",
        note = "implement `MiscDevice`, which implies `MapFile`"
    )]
    pub trait Sealed {}
}

/// A kind of file that can be mapped, as the files of a misc device.
///
/// Each implementation of [`VmOperations`](super::ops::VmOperations) names one as its `File`.
pub trait MapFile: sealed::Sealed + Sized + 'static {
    /// The pointer type that owns the private data of the file.
    type Ptr: ForeignOwnable + Send + Sync + 'static;

    /// Whether each file of this kind uses an [`AddressSpace`](super::rmap::AddressSpace) of the
    /// driver, instead of that of its inode.
    #[doc(hidden)]
    const HAS_ADDRESS_SPACE: bool;
}
