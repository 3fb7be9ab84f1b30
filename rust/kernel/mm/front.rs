// SPDX-License-Identifier: GPL-2.0

//! Where drivers meet the layer: the `mmap_prepare` hooks of the kernel's kinds of files.

use crate::{
    miscdevice::MiscDevice,
    types::ForeignOwnable, //
};

pub(crate) mod misc;

mod sealed {
    use crate::miscdevice::MiscDevice;

    /// The layer reads the private data of a file as what `Ptr` says, so no driver says what that is.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` is not a type of file that can be mapped",
        note = "implement `MiscDevice`, of which `MapFile` follows"
    )]
    pub trait Sealed {}

    impl<T: MiscDevice + 'static> Sealed for T where T::Ptr: 'static {}
}

/// A kind of file that can be mapped: every misc device is.
///
/// What [`VmOperations`](super::ops::VmOperations) belong to.
pub trait MapFile: sealed::Sealed + Sized + 'static {
    /// What the private data of the file is wrapped in.
    type Ptr: ForeignOwnable + Send + Sync + 'static;
}

impl<T: MiscDevice + 'static> MapFile for T
where
    T::Ptr: 'static,
{
    type Ptr = T::Ptr;
}
