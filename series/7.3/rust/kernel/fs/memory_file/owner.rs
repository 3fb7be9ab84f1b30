// SPDX-License-Identifier: GPL-2.0

//! The module that implements a type of memory file: the `#[vtable]` macro names it.

use crate::{
    bindings,
    mm::uffd::UffdOps,
    module::this_module, //
};

/// Returns the module that implements `T`.
pub(super) const fn owner<T: UffdOps>() -> *mut bindings::module {
    this_module::<T::OwnerModule>().as_ptr()
}
