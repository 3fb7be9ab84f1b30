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
        note = "implement `MiscDevice`, which implies `MapFile`",
        note = "with `FileOperations`, the type of the file is `FileOf<{Self}>`"
    )]
    pub trait Sealed {}
}

/// A kind of file that can be mapped.
///
/// Each implementation of [`VmOperations`](super::ops::VmOperations) names one as its `File`:
///
/// - The files of a [`MiscDevice`](crate::miscdevice::MiscDevice) have the type of the driver.
/// - All other files that Rust code makes have the type [`FileOf`](crate::fs::FileOf) of the
///   driver's [`FileOperations`](crate::fs::FileOperations).
pub trait MapFile: sealed::Sealed + Sized + 'static {
    /// The pointer type that owns the private data of the file.
    type Ptr: ForeignOwnable + Send + Sync + 'static;

    /// The type that the driver has declared: it can implement traits for this one.
    #[doc(hidden)]
    type Driver;

    /// Whether each file of this kind uses an [`AddressSpace`](super::rmap::AddressSpace) of the
    /// driver, instead of that of its inode.
    #[doc(hidden)]
    const HAS_ADDRESS_SPACE: bool;
}
