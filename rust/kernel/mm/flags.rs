// SPDX-License-Identifier: GPL-2.0

//! VMA flags.
//!
//! The kernel keeps the flags of a VMA in a bitmap, `vma_flags_t`, and names each flag by its bit
//! number. [`VmaFlag`] is one bit, [`VmaFlags`] is a bitmap.
//!
//! The kernel validates the flags before it calls an `mmap_prepare` hook, and never again:
//! write-execute policy, memory accounting and the count of writable mappings of the file are
//! settled by then. Therefore the flags that a driver may change have types of their own:
//! [`SetFlags`] are those that it may set, [`ClearFlags`] are those that it may clear.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use crate::{
    bindings,
    ffi::c_ulong,
    fmt, //
};
use core::{
    mem::size_of,
    ops::BitOr, //
};

/// The number of words in a `vma_flags_t`.
const WORDS: usize = size_of::<bindings::vma_flags_t>() / size_of::<c_ulong>();

/// One flag of a VMA: the number of its bit in a [`VmaFlags`] bitmap.
///
/// Only flags that mean the same on every architecture have a name here.
///
/// # Examples
///
/// ```
/// use kernel::mm::flags::{VmaFlag, VmaFlags};
///
/// let flags = VmaFlags::new([VmaFlag::READ, VmaFlag::MAYREAD]);
/// assert!(flags.contains(VmaFlag::READ));
/// assert!(!flags.contains(VmaFlag::WRITE));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VmaFlag(u8);

macro_rules! vma_flags {
    ($($(#[$attr:meta])* $name:ident = $bit:ident, $text:literal;)*) => {
        impl VmaFlag {
            $($(#[$attr])* pub const $name: Self = Self(bindings::$bit as u8);)*

            /// Every flag that has a name, with that name, for printing.
            const NAMES: &'static [(Self, &'static str)] = &[
                $((Self(bindings::$bit as u8), $text),)*
            ];
        }
    };
}

vma_flags! {
    /// User space may read.
    READ = VMA_READ_BIT, "read";
    /// User space may write.
    WRITE = VMA_WRITE_BIT, "write";
    /// User space may execute.
    EXEC = VMA_EXEC_BIT, "exec";
    /// Writes go to the mapped object.
    ///
    /// Not set for a `MAP_SHARED` mapping of a file that is open for reading only: such a mapping
    /// has only [`MAYSHARE`](Self::MAYSHARE).
    SHARED = VMA_SHARED_BIT, "shared";
    /// `mprotect` may grant [`READ`](Self::READ).
    MAYREAD = VMA_MAYREAD_BIT, "mayread";
    /// `mprotect` may grant [`WRITE`](Self::WRITE).
    MAYWRITE = VMA_MAYWRITE_BIT, "maywrite";
    /// `mprotect` may grant [`EXEC`](Self::EXEC).
    MAYEXEC = VMA_MAYEXEC_BIT, "mayexec";
    /// The mapping was made with `MAP_SHARED`.
    MAYSHARE = VMA_MAYSHARE_BIT, "mayshare";
    /// A stack that grows towards lower addresses.
    GROWSDOWN = VMA_GROWSDOWN_BIT, "growsdown";
    /// userfaultfd serves missing pages.
    UFFD_MISSING = VMA_UFFD_MISSING_BIT, "uffd_missing";
    /// The page table entries are PFNs, which are not reference-counted.
    PFNMAP = VMA_PFNMAP_BIT, "pfnmap";
    /// userfaultfd tracks writes.
    UFFD_WP = VMA_UFFD_WP_BIT, "uffd_wp";
    /// The mapping may contain guard regions.
    ///
    /// The only flag that the kernel sets while other threads may read the flags.
    MAYBE_GUARD = VMA_MAYBE_GUARD_BIT, "maybe_guard";
    /// Locked into memory.
    LOCKED = VMA_LOCKED_BIT, "locked";
    /// Device memory: no `ptrace` access other than through the driver, no core dump.
    IO = VMA_IO_BIT, "io";
    /// The application reads sequentially.
    SEQ_READ = VMA_SEQ_READ_BIT, "seq_read";
    /// The application reads in no order.
    RAND_READ = VMA_RAND_READ_BIT, "rand_read";
    /// Not inherited by `fork`.
    DONTCOPY = VMA_DONTCOPY_BIT, "dontcopy";
    /// Neither extended by `mremap` nor merged with neighbours.
    DONTEXPAND = VMA_DONTEXPAND_BIT, "dontexpand";
    /// Pages become locked as they are faulted in.
    LOCKONFAULT = VMA_LOCKONFAULT_BIT, "lockonfault";
    /// Charged against the limit on committed memory.
    ACCOUNT = VMA_ACCOUNT_BIT, "account";
    /// Not charged, on request of user space.
    NORESERVE = VMA_NORESERVE_BIT, "noreserve";
    /// hugetlbfs memory.
    HUGETLB = VMA_HUGETLB_BIT, "hugetlb";
    /// Page faults are synchronous (DAX).
    SYNC = VMA_SYNC_BIT, "sync";
    /// A forked child sees zeroes.
    WIPEONFORK = VMA_WIPEONFORK_BIT, "wipeonfork";
    /// Left out of core dumps.
    DONTDUMP = VMA_DONTDUMP_BIT, "dontdump";
    /// Holds both reference-counted pages and PFNs.
    MIXEDMAP = VMA_MIXEDMAP_BIT, "mixedmap";
    /// Advice to use transparent huge pages.
    HUGEPAGE = VMA_HUGEPAGE_BIT, "hugepage";
    /// Advice not to use transparent huge pages.
    NOHUGEPAGE = VMA_NOHUGEPAGE_BIT, "nohugepage";
    /// KSM may merge identical pages.
    MERGEABLE = VMA_MERGEABLE_BIT, "mergeable";
}

impl VmaFlag {
    /// Returns the number of the flag's bit.
    #[inline]
    pub const fn bit(self) -> usize {
        self.0 as usize
    }
}

/// The flags of a VMA.
///
/// # Examples
///
/// ```
/// use kernel::mm::flags::{VmaFlag, VmaFlags};
///
/// const ACCESS: VmaFlags = VmaFlags::new([VmaFlag::READ, VmaFlag::WRITE, VmaFlag::EXEC]);
///
/// let flags = VmaFlags::EMPTY.with(VmaFlag::READ).with(VmaFlag::SHARED);
/// assert!(flags.intersects(ACCESS));
/// assert!(!flags.contains_all(ACCESS));
/// assert_eq!(flags.without(VmaFlag::SHARED), VmaFlags::new([VmaFlag::READ]));
/// assert!(VmaFlags::EMPTY.is_empty());
/// ```
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct VmaFlags(bindings::vma_flags_t);

impl VmaFlags {
    /// No flag.
    pub const EMPTY: Self = Self(bindings::vma_flags_t {
        __vma_flags: [0; WORDS],
    });

    /// Returns the bitmap in which exactly the listed flags are set.
    #[inline]
    pub const fn new<const N: usize>(flags: [VmaFlag; N]) -> Self {
        let mut all = Self::EMPTY;
        let mut i = 0;
        while i < N {
            all = all.with(flags[i]);
            i += 1;
        }
        all
    }

    /// Wraps the kernel's representation.
    #[inline]
    pub const fn from_raw(raw: bindings::vma_flags_t) -> Self {
        Self(raw)
    }

    /// Returns the kernel's representation.
    #[inline]
    pub const fn into_raw(self) -> bindings::vma_flags_t {
        self.0
    }

    /// Splits a flag into the index of its word and its mask there.
    #[inline]
    const fn position(flag: VmaFlag) -> (usize, c_ulong) {
        let bits = c_ulong::BITS as usize;
        (flag.bit() / bits, 1 << (flag.bit() % bits))
    }

    /// Returns whether `flag` is set.
    #[inline]
    pub const fn contains(self, flag: VmaFlag) -> bool {
        let (word, mask) = Self::position(flag);
        self.0.__vma_flags[word] & mask != 0
    }

    /// Returns whether every flag of `other` is set.
    #[inline]
    pub const fn contains_all(self, other: Self) -> bool {
        let mut i = 0;
        while i < WORDS {
            if other.0.__vma_flags[i] & !self.0.__vma_flags[i] != 0 {
                return false;
            }
            i += 1;
        }
        true
    }

    /// Returns whether any flag of `other` is set.
    #[inline]
    pub const fn intersects(self, other: Self) -> bool {
        let mut i = 0;
        while i < WORDS {
            if other.0.__vma_flags[i] & self.0.__vma_flags[i] != 0 {
                return true;
            }
            i += 1;
        }
        false
    }

    /// Returns whether no flag is set.
    #[inline]
    pub const fn is_empty(self) -> bool {
        !self.intersects(self)
    }

    /// Returns whether user space may read: [`READ`](VmaFlag::READ) is set.
    #[inline]
    pub const fn readable(self) -> bool {
        self.contains(VmaFlag::READ)
    }

    /// Returns whether user space may write: [`WRITE`](VmaFlag::WRITE) is set.
    #[inline]
    pub const fn writable(self) -> bool {
        self.contains(VmaFlag::WRITE)
    }

    /// Returns whether user space may execute: [`EXEC`](VmaFlag::EXEC) is set.
    #[inline]
    pub const fn executable(self) -> bool {
        self.contains(VmaFlag::EXEC)
    }

    /// Returns whether user space made the mapping with `MAP_SHARED`.
    ///
    /// This is [`MAYSHARE`](VmaFlag::MAYSHARE), and not [`SHARED`](VmaFlag::SHARED): the kernel
    /// clears the latter for a shared mapping of a file that is not open for writing.
    #[inline]
    pub const fn is_shared(self) -> bool {
        self.contains(VmaFlag::MAYSHARE)
    }

    /// Returns whether a write makes a copy-on-write page, now or after an `mprotect`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::flags::{VmaFlag, VmaFlags};
    ///
    /// let private = VmaFlags::new([VmaFlag::READ, VmaFlag::MAYREAD, VmaFlag::MAYWRITE]);
    /// assert!(private.readable() && !private.writable() && private.is_cow());
    /// let read_only = VmaFlags::new([VmaFlag::READ, VmaFlag::MAYREAD, VmaFlag::MAYSHARE]);
    /// assert!(read_only.is_shared() && !read_only.is_cow());
    /// ```
    #[inline]
    pub const fn is_cow(self) -> bool {
        self.contains(VmaFlag::MAYWRITE) && !self.contains(VmaFlag::SHARED)
    }

    /// Returns whether user space can write the mapped object, now or after an `mprotect`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::flags::{VmaFlag, VmaFlags};
    ///
    /// let shared = VmaFlags::new([VmaFlag::SHARED, VmaFlag::MAYSHARE, VmaFlag::MAYWRITE]);
    /// assert!(!shared.writable() && shared.is_shared_maywrite());
    /// // A write makes a copy-on-write page.
    /// let private = VmaFlags::new([VmaFlag::WRITE, VmaFlag::MAYWRITE]);
    /// assert!(private.writable() && !private.is_shared_maywrite());
    /// ```
    #[inline]
    pub const fn is_shared_maywrite(self) -> bool {
        self.contains_all(Self::new([VmaFlag::SHARED, VmaFlag::MAYWRITE]))
    }

    /// Returns these flags with `flag` set.
    #[inline]
    pub const fn with(mut self, flag: VmaFlag) -> Self {
        let (word, mask) = Self::position(flag);
        self.0.__vma_flags[word] |= mask;
        self
    }

    /// Returns these flags with `flag` cleared.
    #[inline]
    pub const fn without(mut self, flag: VmaFlag) -> Self {
        let (word, mask) = Self::position(flag);
        self.0.__vma_flags[word] &= !mask;
        self
    }

    /// Returns the flags that are set in `self` or in `other`.
    #[inline]
    pub const fn union(mut self, other: Self) -> Self {
        let mut i = 0;
        while i < WORDS {
            self.0.__vma_flags[i] |= other.0.__vma_flags[i];
            i += 1;
        }
        self
    }

    /// Returns the flags that are set in `self` and not in `other`.
    #[inline]
    pub const fn difference(mut self, other: Self) -> Self {
        let mut i = 0;
        while i < WORDS {
            self.0.__vma_flags[i] &= !other.0.__vma_flags[i];
            i += 1;
        }
        self
    }
}

impl BitOr for VmaFlags {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl PartialEq for VmaFlags {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.0.__vma_flags == other.0.__vma_flags
    }
}

impl Eq for VmaFlags {}

impl fmt::Debug for VmaFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.iter().find(|(flag, _)| flag == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "bit{}", self.0),
        }
    }
}

/// Prints the names of the flags, separated by `|`.
///
/// A bit that has no name here is printed as `bit` and its number.
impl fmt::Debug for VmaFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for bit in 0..(WORDS * c_ulong::BITS as usize) {
            let flag = VmaFlag(bit as u8);
            if self.contains(flag) {
                write!(f, "{separator}{flag:?}")?;
                separator = "|";
            }
        }
        Ok(())
    }
}

/// Flags that a driver may set in its `mmap_prepare` hook.
///
/// Each of them is advice, or restricts what the kernel does with the mapping. The other flags are
/// left out on purpose:
///
/// - The kernel validates access bits, `MAY*` bits and `SHARED` before the hook, and not again.
/// - On unmap, the kernel would uncharge [`ACCOUNT`](VmaFlag::ACCOUNT) memory that it has never
///   charged.
/// - [`PFNMAP`](VmaFlag::PFNMAP) and [`MIXEDMAP`](VmaFlag::MIXEDMAP) exclude each other, so they
///   come from the action that the mapping asks for.
/// - The rest belongs to user space or to one particular file system.
///
/// # Examples
///
/// ```
/// use kernel::mm::flags::{SetFlags, VmaFlag};
///
/// let private = SetFlags::DONTCOPY | SetFlags::DONTDUMP;
/// assert!(private.flags().contains(VmaFlag::DONTDUMP));
/// assert!(!private.flags().contains(VmaFlag::DONTEXPAND));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SetFlags(VmaFlags);

impl SetFlags {
    /// Device memory: an access may have side effects.
    ///
    /// The kernel leaves the mapping out of core dumps, and `get_user_pages` refuses it where it
    /// looks at the VMA.
    pub const IO: Self = Self::one(VmaFlag::IO);
    /// A forked child does not inherit the mapping.
    pub const DONTCOPY: Self = Self::one(VmaFlag::DONTCOPY);
    /// `mremap` cannot grow the mapping, and the kernel does not merge it with neighbours.
    pub const DONTEXPAND: Self = Self::one(VmaFlag::DONTEXPAND);
    /// Core dumps leave the mapping out.
    pub const DONTDUMP: Self = Self::one(VmaFlag::DONTDUMP);
    /// Advice to use huge pages.
    ///
    /// Has no effect if the driver or user space has set [`NOHUGEPAGE`](Self::NOHUGEPAGE).
    pub const HUGEPAGE: Self = Self::one(VmaFlag::HUGEPAGE);
    /// Advice not to use huge pages.
    ///
    /// Takes precedence over [`HUGEPAGE`](Self::HUGEPAGE).
    pub const NOHUGEPAGE: Self = Self::one(VmaFlag::NOHUGEPAGE);
    /// Advice to read ahead aggressively.
    ///
    /// Replaces a [`RAND_READ`](Self::RAND_READ) that is already set.
    pub const SEQ_READ: Self = Self::one(VmaFlag::SEQ_READ);
    /// Advice not to read ahead.
    ///
    /// Takes precedence over a [`SEQ_READ`](Self::SEQ_READ) that is set with it or before it.
    pub const RAND_READ: Self = Self::one(VmaFlag::RAND_READ);

    const fn one(flag: VmaFlag) -> Self {
        Self(VmaFlags::EMPTY.with(flag))
    }

    /// Returns the flags as a [`VmaFlags`] bitmap.
    #[inline]
    pub const fn flags(self) -> VmaFlags {
        self.0
    }

    /// Returns the flags that are set in `self` or in `other`.
    #[inline]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0.union(other.0))
    }

    /// Returns `flags` with these flags added, and without flags that contradict each other.
    pub(super) const fn apply_to(self, flags: VmaFlags) -> VmaFlags {
        let mut all = flags;
        if self.0.contains(VmaFlag::SEQ_READ) {
            all = all.without(VmaFlag::RAND_READ);
        }
        all = all.union(self.0);
        if all.contains(VmaFlag::NOHUGEPAGE) {
            all = all.without(VmaFlag::HUGEPAGE);
        }
        if all.contains(VmaFlag::RAND_READ) {
            all = all.without(VmaFlag::SEQ_READ);
        }
        all
    }
}

impl BitOr for SetFlags {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

/// Permissions that a driver may clear in its `mmap_prepare` hook.
///
/// They remain cleared: `mprotect` cannot set them again. A permission can be cleared only if the
/// mapping does not already have the access that it permits.
///
/// # Examples
///
/// ```
/// use kernel::mm::flags::{ClearFlags, VmaFlag, VmaFlags};
///
/// let read_only = ClearFlags::MAYWRITE | ClearFlags::MAYEXEC;
/// assert_eq!(read_only.access(), VmaFlags::new([VmaFlag::WRITE, VmaFlag::EXEC]));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClearFlags(VmaFlags);

impl ClearFlags {
    /// The mapping can never be given `PROT_READ`.
    ///
    /// On most processors, user space can read a writable mapping without it.
    pub const MAYREAD: Self = Self::one(VmaFlag::MAYREAD);
    /// The mapping can never become writable.
    pub const MAYWRITE: Self = Self::one(VmaFlag::MAYWRITE);
    /// The mapping can never become executable.
    pub const MAYEXEC: Self = Self::one(VmaFlag::MAYEXEC);

    const fn one(flag: VmaFlag) -> Self {
        Self(VmaFlags::EMPTY.with(flag))
    }

    /// Returns the flags as a [`VmaFlags`] bitmap.
    #[inline]
    pub const fn flags(self) -> VmaFlags {
        self.0
    }

    /// Returns the kinds of access that these flags permit.
    pub const fn access(self) -> VmaFlags {
        let mut access = VmaFlags::EMPTY;
        if self.0.contains(VmaFlag::MAYREAD) {
            access = access.with(VmaFlag::READ);
        }
        if self.0.contains(VmaFlag::MAYWRITE) {
            access = access.with(VmaFlag::WRITE);
        }
        if self.0.contains(VmaFlag::MAYEXEC) {
            access = access.with(VmaFlag::EXEC);
        }
        access
    }
}

impl BitOr for ClearFlags {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0.union(other.0))
    }
}

/// The access that user space has to a mapping: a combination of `PROT_*`.
///
/// # Examples
///
/// ```
/// use kernel::mm::flags::Protection;
///
/// let code = Protection::READ | Protection::EXEC;
/// assert!(code != Protection::NONE);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Protection(pub(super) usize);

impl Protection {
    /// No access.
    pub const NONE: Self = Self(bindings::PROT_NONE as usize);
    /// Read access.
    pub const READ: Self = Self(bindings::PROT_READ as usize);
    /// Write access.
    pub const WRITE: Self = Self(bindings::PROT_WRITE as usize);
    /// Read and write access.
    pub const READ_WRITE: Self = Self(Self::READ.0 | Self::WRITE.0);
    /// Execute access.
    pub const EXEC: Self = Self(bindings::PROT_EXEC as usize);
}

impl BitOr for Protection {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
