// SPDX-License-Identifier: GPL-2.0

//! Access to a mapping's memory by somebody else than its process.

/// What is asked of [`VmOperations::access`](super::VmOperations::access).
///
/// Never longer than what is left of the VMA. Made by the layer only, for that callback: it stands for
/// the mmap lock that is held there.
#[derive(Debug)]
pub enum Access<'a> {
    /// Copy the memory to the buffer.
    #[non_exhaustive]
    Read(&'a mut [u8]),
    /// Copy the buffer to the memory.
    #[non_exhaustive]
    Write(&'a [u8]),
}

impl Access<'_> {
    /// Returns the number of bytes that are asked for.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Access::Read(buf) => buf.len(),
            Access::Write(buf) => buf.len(),
        }
    }

    /// Is nothing asked for? Never true in a callback.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
