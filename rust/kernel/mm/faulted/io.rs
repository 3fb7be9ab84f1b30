// SPDX-License-Identifier: GPL-2.0

//! Copying to and from pages that are allocated when they are accessed.

use super::{
    FaultedPages,
    Mappings, //
};
use crate::{
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    mm::memory::{
        position,
        zero_iter,
        zero_user, //
    },
    prelude::*,
    uaccess::{
        UserSliceReader,
        UserSliceWriter, //
    }, //
};

impl<M: Mappings> FaultedPages<M> {
    /// Copies bytes out of the pages; those of holes are zeroes.
    ///
    /// If user space writes to the pages at the same time, each byte is either the old or the new
    /// one.
    ///
    /// # Context
    ///
    /// Does not sleep.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is not inside the array. Nothing is copied in that case.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::FaultedPages, page::PAGE_SIZE};
    ///
    /// let pages = FaultedPages::new(2, GFP_KERNEL)?;
    /// pages.write_at(PAGE_SIZE, b"abc")?;
    /// let mut out = [1; 5];
    /// pages.read_at(PAGE_SIZE - 2, &mut out)?;
    /// assert_eq!(&out, b"\0\0abc");
    /// // The first page is still a hole.
    /// assert_eq!(pages.nr_present(), 1);
    /// assert_eq!(pages.read_at(2 * PAGE_SIZE - 4, &mut out), Err(EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn read_at(&self, offset: usize, out: &mut [u8]) -> Result {
        self.slots.check(offset, out.len())?;
        let total = out.len();
        let mut left = out;
        let (_, result) = self.slots.for_each_part(offset, total, |index, at, len| {
            let (part, rest) = core::mem::take(&mut left)
                .split_at_mut_checked(len)
                .ok_or(EINVAL)?;
            left = rest;
            match self.get(index) {
                Some(page) => page.read_at(at, part)?,
                None => part.fill(0),
            }
            Ok(len)
        });
        result
    }

    /// Copies bytes into the pages, and allocates those that are holes.
    ///
    /// # Context
    ///
    /// Sleeps if the flags allow it.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the range is not inside the array. Nothing is copied in that case.
    /// - [`ENOMEM`] if there is not enough memory. The pages may have been written in part.
    ///
    /// # Examples
    ///
    /// See [`read_at`](Self::read_at).
    pub fn write_at(&self, offset: usize, data: &[u8]) -> Result {
        self.slots.check(offset, data.len())?;
        let mut left = data;
        let (_, result) = self
            .slots
            .for_each_part(offset, data.len(), |index, at, len| {
                let (part, rest) = left.split_at_checked(len).ok_or(EINVAL)?;
                left = rest;
                self.get_or_make(index)?.write_at(at, part)?;
                Ok(len)
            });
        result
    }

    /// Copies `len` bytes from user space, to `offset` in the pages, and allocates those that are
    /// holes.
    ///
    /// # Context
    ///
    /// May fault in user memory, and so may sleep. The caller must hold neither the mmap lock nor a
    /// lock that a [fault handler](crate::mm::ops::VmOperations::fault) takes.
    ///
    /// # Errors
    ///
    /// In all cases but the first, the pages may have been written in part.
    ///
    /// - [`EINVAL`] if the range is not inside the array. Nothing is copied in that case.
    /// - [`ENOMEM`] if there is not enough memory.
    /// - [`EFAULT`] if `from` has less than `len` bytes, or user space cannot access some of them.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::{testing::*, FaultedPages},
    ///     page::PAGE_SIZE,
    ///     uaccess::{UserPtr, UserSlice}, //
    /// };
    ///
    /// let user = UserMm::attach()?;
    /// let addr = user.mmap_anonymous(PAGE_SIZE)?;
    /// user.write(addr, b"from user space")?;
    ///
    /// let pages = FaultedPages::new(3, GFP_KERNEL)?;
    /// let slice = || UserSlice::new(UserPtr::from_addr(addr), 15);
    /// pages.copy_from_user(PAGE_SIZE - 4, &mut slice().reader(), 15)?;
    /// assert_eq!(pages.nr_present(), 2);
    /// let mut out = [1; 16];
    /// pages.read_at(PAGE_SIZE - 4, &mut out)?;
    /// assert_eq!(&out, b"from user space\0");
    ///
    /// // The last byte that is copied is in a hole.
    /// pages.copy_to_user(2 * PAGE_SIZE - 2, &mut slice().writer(), 3)?;
    /// assert_eq!(user.read(addr)?, *b"\0\0\0m");
    /// assert_eq!(pages.copy_from_user(0, &mut slice().reader(), 16), Err(EFAULT));
    /// assert_eq!(pages.copy_to_user(pages.len(), &mut slice().writer(), 1), Err(EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn copy_from_user(&self, offset: usize, from: &mut UserSliceReader, len: usize) -> Result {
        self.slots.check(offset, len)?;
        let (_, result) = self.slots.for_each_part(offset, len, |index, at, len| {
            self.get_or_make(index)?.copy_from_user(at, from, len)?;
            Ok(len)
        });
        result
    }

    /// Copies `len` bytes, starting at `offset` in the pages, to user space.
    ///
    /// # Context
    ///
    /// As [`copy_from_user`](Self::copy_from_user).
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the range is not inside the array. Nothing is copied in that case.
    /// - [`EFAULT`] if `to` has less than `len` bytes, or user space cannot access some of them.
    ///   Some bytes may have been copied.
    ///
    /// # Examples
    ///
    /// See [`copy_from_user`](Self::copy_from_user).
    pub fn copy_to_user(&self, offset: usize, to: &mut UserSliceWriter, len: usize) -> Result {
        self.slots.check(offset, len)?;
        let (_, result) = self.slots.for_each_part(offset, len, |index, at, len| {
            match self.get(index) {
                Some(page) => page.copy_to_user(at, to, len)?,
                None => zero_user(to, len)?,
            }
            Ok(len)
        });
        result
    }

    /// Serves `read(2)` from the pages; holes read as zeroes.
    ///
    /// Copies bytes from position `*pos`, and advances `*pos` by their number. Returns the number,
    /// which is 0 at the end of the array.
    ///
    /// # Context
    ///
    /// As [`copy_from_user`](Self::copy_from_user).
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `*pos` is negative.
    /// - [`EFAULT`] if no byte could be copied.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{iov::IovIterDest, mm::FaultedPages};
    ///
    /// /// The body of a driver's `read_iter`.
    /// fn read(pages: &FaultedPages, pos: &mut i64, iov: &mut IovIterDest<'_>) -> Result<usize> {
    ///     pages.read_iter(pos, iov)
    /// }
    /// ```
    pub fn read_iter(&self, pos: &mut i64, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let offset = position(*pos)?;
        if iov.is_empty() || offset >= self.len() {
            return Ok(0);
        }
        let (done, _) = self
            .slots
            .for_each_part(offset, iov.len(), |index, at, len| {
                // This copies `len` bytes at most: up to the end of the page, or of `iov`.
                Ok(match self.get(index) {
                    Some(page) => page.copy_to_iter(at, iov),
                    None => zero_iter(iov, len),
                })
            });
        if done == 0 {
            return Err(EFAULT);
        }
        // Cannot overflow: the sum is at most `self.len()`.
        *pos += done as i64;
        Ok(done)
    }

    /// Serves `write(2)` into the pages, and allocates those that are holes.
    ///
    /// Copies bytes to position `*pos`, and advances `*pos` by their number. Returns the number,
    /// which is less than the length of `iov` if the array ends before, or if there is not enough
    /// memory.
    ///
    /// # Context
    ///
    /// As [`copy_from_user`](Self::copy_from_user).
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `*pos` is negative.
    /// - [`ENOSPC`] if `*pos` is at or past the end of the array.
    /// - [`ENOMEM`] if there is not enough memory for the first page.
    /// - [`EFAULT`] if no byte could be copied.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{iov::IovIterSource, mm::FaultedPages};
    ///
    /// /// The body of a driver's `write_iter`.
    /// fn write(
    ///     pages: &FaultedPages,
    ///     pos: &mut i64,
    ///     iov: &mut IovIterSource<'_>,
    /// ) -> Result<usize> {
    ///     pages.write_iter(pos, iov)
    /// }
    /// ```
    pub fn write_iter(&self, pos: &mut i64, iov: &mut IovIterSource<'_>) -> Result<usize> {
        let offset = position(*pos)?;
        if iov.is_empty() {
            return Ok(0);
        }
        if offset >= self.len() {
            return Err(ENOSPC);
        }
        let (done, result) = self.slots.for_each_part(offset, iov.len(), |index, at, _| {
            // This copies up to the end of the page, or of `iov`.
            Ok(self.get_or_make(index)?.copy_from_iter(at, iov))
        });
        if done == 0 {
            result?;
            return Err(EFAULT);
        }
        // Cannot overflow: the sum is at most `self.len()`.
        *pos += done as i64;
        Ok(done)
    }
}
