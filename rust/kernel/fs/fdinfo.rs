// SPDX-License-Identifier: GPL-2.0

//! The lines that a driver adds to `/proc/<pid>/fdinfo`.
//!
//! C header: [`include/linux/seq_file.h`](srctree/include/linux/seq_file.h)

use crate::{
    bindings,
    prelude::*,
    seq_file::SeqFile, //
};

impl SeqFile {
    /// Writes a line with the name and the value of a field, in the form of `/proc/<pid>/fdinfo`.
    ///
    /// For lines of another form, there is [`seq_print!`](crate::seq_print). This takes fewer
    /// instructions, since the name and the value are not formatted by Rust code.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     seq_file::SeqFile,
    ///     sync::atomic::{Atomic, Relaxed}, //
    /// };
    ///
    /// /// The body of a driver's `show_fdinfo`.
    /// fn show(m: &SeqFile, len: usize, faults: &Atomic<i64>) {
    ///     // "size:", a tab, the number and a newline.
    ///     m.field(c"size", len as i64);
    ///     m.field(c"faults", faults.load(Relaxed));
    /// }
    /// ```
    pub fn field(&self, name: &CStr, value: i64) {
        let m = core::ptr::from_ref(self).cast_mut().cast();
        // SAFETY: A `SeqFile` is a `struct seq_file` that no other thread accesses. The format
        // takes a string and a `long long`.
        unsafe { bindings::seq_printf(m, c"%s:\t%lld\n".as_char_ptr(), name.as_char_ptr(), value) };
    }
}
