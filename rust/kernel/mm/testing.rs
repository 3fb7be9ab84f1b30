// SPDX-License-Identifier: GPL-2.0

//! A user mm for KUnit tests and for the examples of this documentation.
//!
//! A KUnit case runs on a kernel thread of its own. [`UserMm::attach`] gives that thread an address
//! space, in which files can be mapped for real, and read and written as user space would.
//! [`UserMm::device`] gives a file whose `mmap_prepare` hook is written in the test itself:
//!
//! ```
//! use kernel::{mm::testing::*, page::PAGE_SIZE};
//!
//! let mm = UserMm::attach()?;
//! let file = mm.device(|dev, desc| desc.map_kernel_pages(&dev.pages))?;
//! let addr = file.mmap(PAGE_SIZE, READ | WRITE, SHARED, 0)?;
//! mm.write(addr, b"hello")?;
//! assert_eq!(mm.read(addr)?, *b"hello");
//! mm.munmap(addr, PAGE_SIZE)?;
//! assert_eq!(mm.read::<1>(addr), Err(EFAULT));
//! # Ok::<(), Error>(())
//! ```
//!
//! C source: [`lib/kunit/user_alloc.c`](srctree/lib/kunit/user_alloc.c)

#[cfg(CONFIG_X86)]
use crate::mm::DeviceMemory;
use crate::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    fs::File,
    miscdevice::{
        mmap::set_address_space,
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::{
        desc::{
            Mapping,
            VmaDesc, //
        },
        rmap::AddressSpace,
        KernelPages,
        MmWithUser, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    types::{
        ForeignOwnable,
        NotThreadSafe, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};
use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    }, //
};

/// `PROT_READ`.
pub const READ: usize = bindings::PROT_READ as usize;
/// `PROT_WRITE`.
pub const WRITE: usize = bindings::PROT_WRITE as usize;
/// `PROT_EXEC`.
pub const EXEC: usize = bindings::PROT_EXEC as usize;
/// `MAP_SHARED`.
pub const SHARED: usize = bindings::MAP_SHARED as usize;
/// `MAP_PRIVATE`.
pub const PRIVATE: usize = bindings::MAP_PRIVATE as usize;

/// What a test does in place of a driver's `mmap_prepare`.
pub type Hook =
    for<'f> fn(&'f TestDevice, VmaDesc<'f, TestDevice>) -> Result<Mapping<'f, TestDevice>>;

/// A device with something of each kind that can be mapped.
pub struct TestDevice {
    /// Four pages. The first byte of each is its index.
    pub pages: KernelPages,
    /// The firmware of a PC: 16 pages that can only be read, at physical address 0xf0000. At
    /// [`FIRMWARE_DATE`] there is a date.
    #[cfg(CONFIG_X86)]
    pub firmware: DeviceMemory,
}

/// Where the firmware of a PC has its date, eight characters of the form `MM/DD/YY`.
#[cfg(CONFIG_X86)]
pub const FIRMWARE_DATE: usize = 0xfff5;

impl TestDevice {
    fn new() -> Result<Self> {
        let pages = KernelPages::new(4, GFP_KERNEL)?;
        for index in 0..4 {
            pages.write_at(usize::from(index) << PAGE_SHIFT, &[index])?;
        }
        Ok(Self {
            pages,
            #[cfg(CONFIG_X86)]
            // SAFETY: It is read-only memory, and so can break no promise.
            firmware: unsafe { DeviceMemory::from_phys(0xf0000, 0x10000) }?,
        })
    }
}

/// Returns an address space, as a device has it that can be mapped.
///
/// # Errors
///
/// As [`AddressSpace::new`].
pub fn address_space() -> Result<AddressSpace> {
    AddressSpace::new::<TestFile>()
}

/// An open file of a [`TestDevice`].
///
/// Not public, since what implements a vtable names its module, and that of this crate is private.
struct TestFile {
    device: TestDevice,
    hook: Hook,
    /// Of its own: a case that fails can leave mappings behind, and even the lock of them.
    space: AddressSpace,
}

#[vtable]
impl MiscDevice for TestFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        // Never registered, so never opened by name.
        Err(ENODEV)
    }

    fn address_space<'a>(this: &'a Self, _file: &'a File) -> &'a AddressSpace {
        &this.space
    }

    fn mmap_prepare<'f>(file: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        // SAFETY: The tag in the type decides which operations a mapping may have, and there are
        // none for a `TestDevice`.
        let desc = unsafe { desc.retag::<TestDevice>() };
        let mapping = (file.hook)(&file.device, desc)?;
        // SAFETY: It goes back to the type that it came with.
        Ok(unsafe { mapping.retag::<Self>() })
    }
}

/// The user mm of the current test.
///
/// # Invariants
///
/// The current thread has an mm, until it ends.
pub struct UserMm(NotThreadSafe);

impl UserMm {
    /// Gives the current test an mm, or returns the one that it has.
    ///
    /// # Errors
    ///
    /// - [`ENOMEM`] if there is not enough memory.
    /// - [`EINVAL`] if this is not the thread of a KUnit test.
    pub fn attach() -> Result<Self> {
        // SAFETY: Looks at the current thread.
        if unsafe { bindings::kunit_get_current_test() }.is_null() {
            return Err(EINVAL);
        }
        // SAFETY: The thread is one that KUnit has made for this test, and that ends with it. Such a
        // thread may use an mm.
        to_result(unsafe { bindings::kunit_attach_mm() })?;
        // INVARIANT: It has one now, and nothing takes it away before the thread ends.
        Ok(Self(NotThreadSafe))
    }

    /// Returns a file with the operations of a misc device and the given private data, as if it had
    /// been opened for reading and writing.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`] or [`ENFILE`] if there cannot be another file.
    pub fn open<T>(&self, device: T::Ptr) -> Result<UserFile<'_>>
    where
        T: MiscDevice + 'static,
        T::Ptr: 'static,
    {
        self.open_with::<T>(device, bindings::O_RDWR)
    }

    /// As [`open`](Self::open), but for reading only.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_read_only<T>(&self, device: T::Ptr) -> Result<UserFile<'_>>
    where
        T: MiscDevice + 'static,
        T::Ptr: 'static,
    {
        self.open_with::<T>(device, bindings::O_RDONLY)
    }

    fn open_with<T>(&self, device: T::Ptr, flags: u32) -> Result<UserFile<'_>>
    where
        T: MiscDevice + 'static,
        T::Ptr: 'static,
    {
        let misc = MiscDeviceOptions {
            name: c"rust_mm_test",
        }
        .into_raw::<T>();
        let private = device.into_foreign();

        // SAFETY: The operations are a constant, the name is only read during the call, and the
        // private data is what the operations of `T` expect.
        let file = from_err_ptr(unsafe {
            bindings::anon_inode_getfile(
                c"[rust_mm_test]".as_char_ptr(),
                misc.fops,
                private,
                flags as c_int,
            )
        });
        match file {
            // INVARIANT: We own the reference that was just made.
            Ok(file) => {
                // As when a file is opened: `address_space` gets it before it is.
                //
                // SAFETY: Nobody else has the file yet, and it has its private data.
                unsafe {
                    bindings::rust_mm_test_mark_opened(file, false);
                    set_address_space::<T>(file);
                    bindings::rust_mm_test_mark_opened(file, true);
                }
                Ok(UserFile {
                    // SAFETY: A pointer that is no error is a file.
                    file: unsafe { NonNull::new_unchecked(file) },
                    _mm: PhantomData,
                })
            }
            Err(err) => {
                // SAFETY: It comes from `into_foreign` above, and no file has got it.
                drop(unsafe { T::Ptr::from_foreign(private) });
                Err(err)
            }
        }
    }

    /// Returns a file of a [`TestDevice`], open for reading and writing, whose hook is `hook`.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`] or [`ENFILE`] if there cannot be another file.
    pub fn device(&self, hook: Hook) -> Result<UserFile<'_>> {
        let file = TestFile {
            device: TestDevice::new()?,
            hook,
            space: address_space()?,
        };
        self.open::<TestFile>(KBox::new(file, GFP_KERNEL)?)
    }

    /// Reads memory as user space.
    ///
    /// # Errors
    ///
    /// [`EFAULT`] where user space would get a signal.
    pub fn read<const N: usize>(&self, addr: usize) -> Result<[u8; N]> {
        let mut out = [0; N];
        UserSlice::new(UserPtr::from_addr(addr), N)
            .reader()
            .read_slice(&mut out)?;
        Ok(out)
    }

    /// Writes memory as user space.
    ///
    /// # Errors
    ///
    /// [`EFAULT`] where user space would get a signal.
    pub fn write(&self, addr: usize, data: &[u8]) -> Result {
        UserSlice::new(UserPtr::from_addr(addr), data.len())
            .writer()
            .write_slice(data)
    }

    /// `mmap(2)` of private memory without a file, which can be read and written.
    ///
    /// # Errors
    ///
    /// As the system call.
    pub fn mmap_anonymous(&self, len: usize) -> Result<usize> {
        // SAFETY: By the type invariants, the thread has an mm, which is a test's own.
        let addr = unsafe { bindings::vm_mmap(ptr::null_mut(), 0, len, READ | WRITE, PRIVATE, 0) };
        if addr > usize::MAX - bindings::MAX_ERRNO as usize {
            return Err(Error::from_errno(addr as isize as c_int));
        }
        Ok(addr)
    }

    /// Returns the mm.
    pub fn current(&self) -> &MmWithUser {
        // SAFETY: By the type invariants, the thread has an mm until it ends, and uses it.
        unsafe { MmWithUser::from_raw((*bindings::get_current()).mm) }
    }

    /// `munmap(2)`.
    ///
    /// # Errors
    ///
    /// As the system call.
    pub fn munmap(&self, addr: usize, len: usize) -> Result {
        // SAFETY: By the type invariants, the thread has an mm, which is a test's own.
        to_result(unsafe { bindings::vm_munmap(addr, len) })
    }
}

/// What a call says that returns how much it has read or written.
fn transferred(done: isize) -> Result<usize> {
    usize::try_from(done).map_err(|_| Error::from_errno(done as c_int))
}

/// An open file in a test.
///
/// # Invariants
///
/// `file` is a file, of which this value owns a reference.
pub struct UserFile<'mm> {
    file: NonNull<bindings::file>,
    _mm: PhantomData<&'mm UserMm>,
}

impl UserFile<'_> {
    /// `mmap(2)`, except that the offset is in pages.
    ///
    /// # Errors
    ///
    /// As the system call.
    pub fn mmap(&self, len: usize, prot: usize, flags: usize, pgoff: usize) -> Result<usize> {
        self.mmap_at(0, len, prot, flags, pgoff)
    }

    /// As [`mmap`](Self::mmap), at a given address, which must be free.
    ///
    /// # Errors
    ///
    /// As the system call; [`EEXIST`] if something is mapped there.
    pub fn mmap_at(
        &self,
        addr: usize,
        len: usize,
        prot: usize,
        flags: usize,
        pgoff: usize,
    ) -> Result<usize> {
        let fixed = match addr {
            0 => 0,
            _ => bindings::MAP_FIXED_NOREPLACE as usize,
        };
        self.vm_mmap(addr, len, prot, flags | fixed, pgoff)
    }

    /// As [`mmap`](Self::mmap), at a given address, in place of what is there.
    ///
    /// # Errors
    ///
    /// As the system call.
    pub fn mmap_over(
        &self,
        addr: usize,
        len: usize,
        prot: usize,
        flags: usize,
        pgoff: usize,
    ) -> Result<usize> {
        self.vm_mmap(addr, len, prot, flags | bindings::MAP_FIXED as usize, pgoff)
    }

    /// `pread(2)`, but into memory of the kernel.
    ///
    /// # Errors
    ///
    /// As the system call.
    pub fn pread(&self, out: &mut [u8], mut pos: i64) -> Result<usize> {
        // SAFETY: By the type invariants, the file is open, and `out` may be written to.
        let done = unsafe {
            bindings::kernel_read(
                self.file.as_ptr(),
                out.as_mut_ptr().cast(),
                out.len(),
                &raw mut pos,
            )
        };
        transferred(done)
    }

    /// `pwrite(2)`, but of memory of the kernel.
    ///
    /// # Errors
    ///
    /// As the system call.
    pub fn pwrite(&self, data: &[u8], mut pos: i64) -> Result<usize> {
        // SAFETY: By the type invariants, the file is open, and `data` may be read.
        let done = unsafe {
            bindings::kernel_write(
                self.file.as_ptr(),
                data.as_ptr().cast(),
                data.len(),
                &raw mut pos,
            )
        };
        transferred(done)
    }

    /// Returns the file.
    pub fn file(&self) -> &File {
        // SAFETY: By the type invariants, it is a file for as long as `self` is. Nobody uses its
        // position without a lock, since there is no file descriptor.
        unsafe { File::from_raw_file(self.file.as_ptr()) }
    }

    /// Returns the file, which is valid for as long as `self` is.
    pub(super) fn as_ptr(&self) -> *mut bindings::file {
        self.file.as_ptr()
    }

    fn vm_mmap(
        &self,
        addr: usize,
        len: usize,
        prot: usize,
        flags: usize,
        pgoff: usize,
    ) -> Result<usize> {
        let offset = pgoff.checked_mul(1 << PAGE_SHIFT).ok_or(EOVERFLOW)?;
        // SAFETY: By the type invariants, the file is open, and the thread has an address space,
        // which is a test's own.
        let addr = unsafe { bindings::vm_mmap(self.file.as_ptr(), addr, len, prot, flags, offset) };
        if addr > usize::MAX - bindings::MAX_ERRNO as usize {
            return Err(Error::from_errno(addr as isize as c_int));
        }
        Ok(addr)
    }
}

impl Drop for UserFile<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, we own a reference, which is not used after this.
        unsafe { bindings::fput(self.file.as_ptr()) };
    }
}
