// SPDX-License-Identifier: GPL-2.0

// A driver converts a view of one kind of VMA to that of another, whose type is a supertype.
// error: E0308
// message: found reference `&DriverVmaInfo<Kind<for<'a> fn(&'a ())>>`

include!("prelude.rs");

use core::marker::PhantomData;

pub struct Kind<T>(PhantomData<T>);
pub type One = Kind<for<'a> fn(&'a ())>;
pub type Two = Kind<fn(&'static ())>;

#[cfg(not(twin))]
pub fn view(vma: &DriverVmaInfo<One>) -> &DriverVmaInfo<Two> {
    vma
}

#[cfg(twin)]
pub fn view(vma: &DriverVmaInfo<One>) -> &DriverVmaInfo<One> {
    vma
}
