// SPDX-License-Identifier: GPL-2.0

//! A user mm for KUnit tests and for the examples of this documentation.
//!
//! Each KUnit case runs in a kernel thread of its own. [`UserMm::attach`] gives that thread an mm,
//! in which a test maps files, and reads and writes them as user space does. [`UserMm::device`]
//! makes a file whose `mmap_prepare` hook is part of the test:
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
    fs::{
        mmap::set_address_space,
        File, //
    },
    miscdevice::{
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
    sync::aref::ARef,
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

/// The hook of a test in place of a driver's `mmap_prepare`.
pub type Hook =
    for<'f> fn(&'f TestDevice, VmaDesc<'f, TestDevice>) -> Result<Mapping<'f, TestDevice>>;

/// A device with memory of each kind that can be mapped.
pub struct TestDevice {
    /// Four pages, the first byte of each of which is its index.
    pub pages: KernelPages,
    /// The firmware of a PC: 16 read-only pages at physical address 0xf0000.
    ///
    /// At [`FIRMWARE_DATE`] there is a date.
    #[cfg(CONFIG_X86)]
    pub firmware: DeviceMemory,
}

/// The offset of the date in the firmware of a PC: eight characters of the form `MM/DD/YY`.
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
            // SAFETY: The memory is read-only, so no access to it can break anything that the
            // kernel relies on. It belongs to no driver, and never becomes RAM or another device's.
            firmware: unsafe { DeviceMemory::from_phys(0xf0000, 0x10000) }?,
        })
    }
}

/// Returns an address space such as the driver of a device that can be mapped has.
///
/// # Errors
///
/// As for [`AddressSpace::new`].
pub fn address_space() -> Result<AddressSpace> {
    AddressSpace::new::<TestFile>()
}

/// An open file of a [`TestDevice`].
///
/// Not public: `#[vtable]` gives it an associated type that is private to this crate.
struct TestFile {
    device: TestDevice,
    hook: Hook,
    /// Each file has its own, since a test that fails can leave mappings behind, and hold their
    /// lock.
    space: AddressSpace,
}

#[vtable]
impl MiscDevice for TestFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        // The device is not registered, so nothing calls this.
        Err(ENODEV)
    }

    fn address_space<'a>(this: &'a Self, _file: &'a File) -> &'a AddressSpace {
        &this.space
    }

    fn mmap_prepare<'f>(file: &'f Self, desc: VmaDesc<'f, Self>) -> Result<Mapping<'f, Self>> {
        // SAFETY: The type of the file decides which operations a mapping may have. No operations
        // are for files of the type `TestDevice`, so the hook cannot choose any.
        let desc = unsafe { desc.retag::<TestDevice>() };
        let mapping = (file.hook)(&file.device, desc)?;
        // SAFETY: The mapping is made from the descriptor of a file of the type `Self`, and has no
        // operations that another type of file would need.
        Ok(unsafe { mapping.retag::<Self>() })
    }
}

/// The user mm of the current test.
///
/// # Context
///
/// The methods of this type and of [`UserFile`] sleep, and the test must not hold a lock of the mm
/// meanwhile. The exceptions are [`current`](Self::current) and [`UserFile::file`].
///
/// # Invariants
///
/// The current thread has an mm until it ends.
pub struct UserMm(NotThreadSafe);

impl UserMm {
    /// Returns the mm of the current test, which the first call creates.
    ///
    /// # Errors
    ///
    /// - [`ENOMEM`] if there is not enough memory.
    /// - [`EINVAL`] if this is not the thread of a KUnit test.
    pub fn attach() -> Result<Self> {
        // SAFETY: `kunit_get_current_test` only looks at the current thread.
        if unsafe { bindings::kunit_get_current_test() }.is_null() {
            return Err(EINVAL);
        }
        // SAFETY: The current thread is one that KUnit has created for this test and that ends with
        // it. Such a thread may have an mm.
        to_result(unsafe { bindings::kunit_attach_mm() })?;
        // INVARIANT: The current thread has an mm now, and nothing detaches it before the thread
        // ends.
        Ok(Self(NotThreadSafe))
    }

    /// Returns a file with the operations and private data of a misc device, open for reading and
    /// writing.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`] or [`ENFILE`] if the kernel cannot allocate another file.
    pub fn open<T>(&self, device: T::Ptr) -> Result<UserFile<'_>>
    where
        T: MiscDevice + 'static,
        T::Ptr: 'static,
    {
        self.open_with::<T>(device, bindings::O_RDWR)
    }

    /// Returns a file as [`open`](Self::open) does, but open for reading only.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
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

        // SAFETY: `fops` is a constant, the name is only read during the call, and the private data
        // is what the operations of `T` expect.
        let file = from_err_ptr(unsafe {
            bindings::anon_inode_getfile(
                c"[rust_mm_test]".as_char_ptr(),
                misc.fops,
                private,
                flags as c_int,
            )
        });
        match file {
            // INVARIANT: `anon_inode_getfile` has returned a new file, and the reference is ours.
            Ok(file) => {
                // As when a device is opened, the file gets its address space before it is marked
                // as opened.
                //
                // SAFETY: The file is new and has its private data, and no other thread has it yet.
                unsafe {
                    bindings::rust_mm_test_mark_opened(file, false);
                    set_address_space::<T>(file);
                    bindings::rust_mm_test_mark_opened(file, true);
                }
                Ok(UserFile {
                    // SAFETY: A pointer that is not an error is a file, so it is not null.
                    file: unsafe { NonNull::new_unchecked(file) },
                    _mm: PhantomData,
                })
            }
            Err(err) => {
                // SAFETY: `private` comes from `into_foreign` above, and no file has it.
                drop(unsafe { T::Ptr::from_foreign(private) });
                Err(err)
            }
        }
    }

    /// Returns a file of any kind, to be mapped in this mm.
    pub fn file(&self, file: ARef<File>) -> UserFile<'_> {
        // INVARIANT: The `ARef` owns a reference to the file, which this takes over.
        UserFile {
            file: ARef::into_raw(file).cast(),
            _mm: PhantomData,
        }
    }

    /// Returns a file of a [`TestDevice`] with the hook `hook`, open for reading and writing.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`] or [`ENFILE`] if the kernel cannot allocate another file.
    pub fn device(&self, hook: Hook) -> Result<UserFile<'_>> {
        let file = TestFile {
            device: TestDevice::new()?,
            hook,
            space: address_space()?,
        };
        self.open::<TestFile>(KBox::new(file, GFP_KERNEL)?)
    }

    /// Reads memory as user space does.
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

    /// Writes memory as user space does.
    ///
    /// # Errors
    ///
    /// [`EFAULT`] where user space would get a signal.
    pub fn write(&self, addr: usize, data: &[u8]) -> Result {
        UserSlice::new(UserPtr::from_addr(addr), data.len())
            .writer()
            .write_slice(data)
    }

    /// Maps private anonymous memory, readable and writable, as `mmap(2)` does.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn mmap_anonymous(&self, len: usize) -> Result<usize> {
        // SAFETY: By the type invariants, the current thread has an mm, which only this test uses.
        let addr = unsafe { bindings::vm_mmap(ptr::null_mut(), 0, len, READ | WRITE, PRIVATE, 0) };
        if addr > usize::MAX - bindings::MAX_ERRNO as usize {
            return Err(Error::from_errno(addr as isize as c_int));
        }
        Ok(addr)
    }

    /// Returns the mm of the test.
    pub fn current(&self) -> &MmWithUser {
        // SAFETY: By the type invariants, the current thread has an mm until it ends, and the
        // result does not outlive `self`, which cannot be sent to another thread.
        unsafe { MmWithUser::from_raw((*bindings::get_current()).mm) }
    }

    /// Unmaps a range of addresses, as `munmap(2)` does.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn munmap(&self, addr: usize, len: usize) -> Result {
        // SAFETY: By the type invariants, the current thread has an mm, which only this test uses.
        to_result(unsafe { bindings::vm_munmap(addr, len) })
    }
}

/// Turns the result of a C function that reads or writes into a number of bytes or an error.
fn transferred(done: isize) -> Result<usize> {
    usize::try_from(done).map_err(|_| Error::from_errno(done as c_int))
}

/// An open file in a test.
///
/// # Invariants
///
/// `file` is a file, to which this value owns a reference.
pub struct UserFile<'mm> {
    file: NonNull<bindings::file>,
    _mm: PhantomData<&'mm UserMm>,
}

impl UserFile<'_> {
    /// Maps the file, as `mmap(2)` does, but with the offset in pages.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn mmap(&self, len: usize, prot: usize, flags: usize, pgoff: usize) -> Result<usize> {
        self.mmap_at(0, len, prot, flags, pgoff)
    }

    /// Maps the file at a given address, at which nothing may be mapped.
    ///
    /// # Errors
    ///
    /// [`EEXIST`] if something is mapped there, or another error of the system call.
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

    /// Maps the file at a given address, in place of what is mapped there.
    ///
    /// # Errors
    ///
    /// Those of the system call.
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

    /// Reads from the file into kernel memory, as `pread(2)` does.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn pread(&self, out: &mut [u8], mut pos: i64) -> Result<usize> {
        // SAFETY: By the type invariants, the file is open. `out` is valid for writes of its
        // length.
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

    /// Writes kernel memory to the file, as `pwrite(2)` does.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn pwrite(&self, data: &[u8], mut pos: i64) -> Result<usize> {
        // SAFETY: By the type invariants, the file is open. `data` is valid for reads of its
        // length.
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
        // SAFETY: By the type invariants, the file is valid for as long as `self`. It has no file
        // descriptor, so this thread has no active `fdget_pos` region on it.
        unsafe { File::from_raw_file(self.file.as_ptr()) }
    }

    /// Returns the pointer to the file, which is valid for as long as `self`.
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
        // SAFETY: By the type invariants, the file is open. The current thread has an mm, as long
        // as there is a `UserMm`, and only this test uses it.
        let addr = unsafe { bindings::vm_mmap(self.file.as_ptr(), addr, len, prot, flags, offset) };
        if addr > usize::MAX - bindings::MAX_ERRNO as usize {
            return Err(Error::from_errno(addr as isize as c_int));
        }
        Ok(addr)
    }
}

impl Drop for UserFile<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, this value owns a reference, which is not used after
        // this.
        unsafe { bindings::fput(self.file.as_ptr()) };
    }
}
