// SPDX-License-Identifier: GPL-2.0

//! A value that is published for a while.
//!
//! A module has no safe way to get from a callback, which knows only a file, to what it set up when
//! it was loaded. A [`Published`] in a `static` is one: it holds a value from when the module
//! publishes it until the module drops the [`Publication`], and nothing is left behind then.

use crate::{
    bindings,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed, //
        },
        rcu,
        Arc,
        ArcBorrow, //
    }, //
};
use core::{
    marker::PhantomData,
    ptr, //
};

/// A place where a value is found for as long as it is published.
///
/// Reading takes no lock: an RCU read-side critical section protects the moment in which the
/// reference count is taken.
///
/// # Invariants
///
/// `value` is null, or comes from `Arc::into_raw`, and then its reference count is given up only
/// after `value` has been set to null and an RCU grace period has passed.
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
/// // There is room for one.
/// assert!(ANSWER.publish(Arc::new(43, GFP_KERNEL)?).is_err_and(|e| e == EBUSY));
/// drop(publication);
/// assert!(ANSWER.get().is_none());
/// # Ok::<(), Error>(())
/// ```
pub struct Published<T: 'static> {
    value: Atomic<*mut T>,
    _value: PhantomData<Arc<T>>,
}

// SAFETY: The value is handed out to, and may be dropped by, any thread.
unsafe impl<T: Send + Sync> Sync for Published<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync> Send for Published<T> {}

impl<T> Published<T> {
    /// An empty place.
    #[expect(clippy::new_without_default)]
    pub const fn new() -> Self {
        // INVARIANT: Null.
        Self {
            value: Atomic::new(ptr::null_mut()),
            _value: PhantomData,
        }
    }
}

impl<T: Send + Sync> Published<T> {
    /// Publishes a value, for as long as the result lives.
    ///
    /// # Errors
    ///
    /// [`EBUSY`] if a value is published already.
    pub fn publish(&'static self, value: Arc<T>) -> Result<Publication<T>> {
        let new = Arc::into_raw(value).cast_mut();
        match self.value.cmpxchg(ptr::null_mut(), new, Full) {
            // INVARIANT: `new` comes from `into_raw`; the publication gives it up, as it must.
            Ok(_) => Ok(Publication { place: self }),
            Err(_) => {
                // SAFETY: It comes from the `into_raw` above and nobody else has seen it.
                drop(unsafe { Arc::from_raw(new) });
                Err(EBUSY)
            }
        }
    }

    /// Returns what is published, if anything is.
    pub fn get(&self) -> Option<Arc<T>> {
        let _rcu = rcu::read_lock();
        let value = self.value.load(Acquire);
        if value.is_null() {
            return None;
        }
        // SAFETY: By the type invariants, the value is an `Arc`'s, and has a reference count that
        // is given up only after a grace period, which the critical section delays.
        let value = unsafe { ArcBorrow::from_raw(value) };
        Some(value.into())
    }
}

/// Ends the publication of a value when it is dropped.
///
/// # Invariants
///
/// `place` holds the value that was published, and nobody but this instance takes it out.
#[must_use = "the value is withdrawn when this is dropped"]
pub struct Publication<T: Send + Sync + 'static> {
    place: &'static Published<T>,
}

impl<T: Send + Sync> Drop for Publication<T> {
    /// Waits for an RCU grace period, hence sleeps.
    fn drop(&mut self) {
        let value = self.place.value.load(Relaxed);
        // Full order: what was done before the withdrawal is seen by who publishes next.
        self.place.value.xchg(ptr::null_mut(), Full);
        // SAFETY: Waits; may be called wherever sleeping is allowed.
        unsafe { bindings::synchronize_rcu() };
        // SAFETY: By the type invariants, it is what `publish` took from an `Arc`, and we alone
        // take it back. No reader can be between loading it and taking a reference any more.
        drop(unsafe { Arc::from_raw(value) });
    }
}
