// SPDX-License-Identifier: GPL-2.0

//! References to what an [`ArcBorrow`] points to that live as long as the borrow.

use crate::sync::ArcBorrow;

impl<'a, T> ArcBorrow<'a, T> {
    /// Turns the borrow into a reference that lives as long.
    ///
    /// `Deref` returns a reference that lives only as long as the [`ArcBorrow`] value, which is a
    /// local variable of an `mmap_prepare` hook, for example. The memory that a mapping uses must
    /// be borrowed for longer than that.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::sync::{Arc, ArcBorrow};
    ///
    /// fn name<'a>(device: ArcBorrow<'a, (u32, u32)>) -> &'a u32 {
    ///     &device.into_ref().0
    /// }
    ///
    /// let device = Arc::new((1, 2), GFP_KERNEL)?;
    /// assert_eq!(*name(device.as_arc_borrow()), 1);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn into_ref(self) -> &'a T {
        let value: *const T = &*self;
        // SAFETY: The caller of `ArcBorrow::from_raw` has guaranteed that, for the lifetime `'a`,
        // the value is alive and no mutable reference to it exists.
        unsafe { &*value }
    }
}
