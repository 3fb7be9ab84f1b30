// SPDX-License-Identifier: GPL-2.0

//! Long borrows of what a device's private data points to.

use crate::sync::ArcBorrow;

impl<'a, T> ArcBorrow<'a, T> {
    /// Turns the borrow into an ordinary reference that lives as long.
    ///
    /// `Deref` gives a reference that lives only as long as the [`ArcBorrow`] value, which is a
    /// local variable. What a mapping is made of must live longer than that.
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
        // SAFETY: `ArcBorrow::from_raw` has its caller promise that, for the duration of the lifetime
        // annotated on it, which is `'a`, the value is alive and there is no mutable reference to it.
        unsafe { &*value }
    }
}
