// SPDX-License-Identifier: GPL-2.0

//! Values that a module publishes, so that its callbacks find them.
//!
//! Some callbacks get only a file, and a module has no safe way from there to what it set up when
//! it was loaded. A [`Published`] in a `static` is such a way. It holds a value from when the
//! module publishes the value until the module drops the [`Publication`]. It then holds nothing,
//! and keeps no reference.

use crate::{
    bindings,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full, //
        },
        rcu,
        Arc,
        ArcBorrow, //
    }, //
};
use core::{
    ffi::c_void,
    marker::PhantomData,
    ptr, //
};

/// A place that holds a value for as long as the value is published.
///
/// Reading takes no lock. An RCU read-side critical section protects the reader until it has a
/// reference to the value.
///
/// # Invariants
///
/// `value` is null, or comes from `Arc::into_raw`. In the latter case, its reference is dropped
/// only after `value` has been set to null and an RCU grace period has passed.
///
/// # Examples
///
/// ```
/// use kernel::sync::{Arc, Published};
///
/// static ANSWER: Published<u32> = Published::new();
///
/// assert!(ANSWER.get().is_none());
/// let publication = ANSWER.publish(Arc::new(42, GFP_KERNEL)?)?;
/// assert_eq!(ANSWER.get().as_deref(), Some(&42));
/// // A value is published already.
/// assert!(ANSWER.publish(Arc::new(43, GFP_KERNEL)?).is_err_and(|e| e == EBUSY));
/// drop(publication);
/// assert!(ANSWER.get().is_none());
/// # Ok::<(), Error>(())
/// ```
pub struct Published<T: 'static> {
    value: Atomic<*mut c_void>,
    _value: PhantomData<Arc<T>>,
}

// SAFETY: Any thread may use the value, and may drop it, since `T` is `Send` and `Sync`.
unsafe impl<T: Send + Sync> Sync for Published<T> {}
// SAFETY: Any thread may use the value, and may drop it, since `T` is `Send` and `Sync`.
unsafe impl<T: Send + Sync> Send for Published<T> {}

impl<T> Published<T> {
    /// Creates a place that holds no value.
    #[expect(clippy::new_without_default)]
    pub const fn new() -> Self {
        // INVARIANT: `value` is null.
        Self {
            value: Atomic::new(ptr::null_mut()),
            _value: PhantomData,
        }
    }
}

impl<T: Send + Sync> Published<T> {
    /// Publishes a value for as long as the result lives.
    ///
    /// # Context
    ///
    /// Does not sleep, unless a value is published already: dropping the new one may sleep.
    ///
    /// # Errors
    ///
    /// [`EBUSY`] if a value is published already.
    ///
    /// # Examples
    ///
    /// See [`Published`].
    pub fn publish(&'static self, value: Arc<T>) -> Result<Publication<T>> {
        let new = Arc::into_raw(value).cast_mut();
        if !put(&self.value, new.cast()) {
            // SAFETY: `new` comes from `into_raw` above, and no other thread has seen it.
            drop(unsafe { Arc::from_raw(new) });
            return Err(EBUSY);
        }
        // INVARIANT: `new` comes from `into_raw`. The publication drops its reference only after a
        // grace period.
        Ok(Publication { place: self })
    }

    /// Returns the published value, or [`None`] if there is none.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Examples
    ///
    /// See [`Published`].
    pub fn get(&self) -> Option<Arc<T>> {
        let _rcu = rcu::read_lock();
        let value = self.value.load(Acquire).cast::<T>();
        if value.is_null() {
            return None;
        }
        // SAFETY: By the type invariants, `value` comes from `Arc::into_raw`. Its reference is
        // dropped only after a grace period, which cannot pass before the critical section ends.
        let value = unsafe { ArcBorrow::from_raw(value) };
        Some(value.into())
    }
}

/// Puts a value into a place, and returns whether the place held none.
///
/// Like [`withdraw`], not generic, so that modules share it.
fn put(place: &Atomic<*mut c_void>, value: *mut c_void) -> bool {
    place.cmpxchg(ptr::null_mut(), value, Full).is_ok()
}

/// Takes the value out of a place, and returns it after a grace period.
///
/// # Context
///
/// Sleeps.
fn withdraw(place: &Atomic<*mut c_void>) -> *mut c_void {
    // Full order: a thread that publishes next sees what this thread did before the withdrawal.
    let value = place.xchg(ptr::null_mut(), Full);
    // SAFETY: `synchronize_rcu` requires only that sleeping is allowed, as this function does.
    unsafe { bindings::synchronize_rcu() };
    value
}

/// A published value, whose publication ends when this is dropped.
///
/// # Invariants
///
/// `place` holds the value that was published, and only this instance takes it out.
#[must_use = "the value is withdrawn when this is dropped"]
pub struct Publication<T: Send + Sync + 'static> {
    place: &'static Published<T>,
}

impl<T: Send + Sync> Drop for Publication<T> {
    /// Ends the publication.
    ///
    /// # Context
    ///
    /// Sleeps until an RCU grace period has passed.
    fn drop(&mut self) {
        let value = withdraw(&self.place.value).cast::<T>();
        // SAFETY: By the type invariants, `value` is the pointer that `publish` got from
        // `Arc::into_raw`, and only this instance takes it out. After the grace period, no reader
        // is between loading the pointer and taking a reference.
        drop(unsafe { Arc::from_raw(value) });
    }
}
