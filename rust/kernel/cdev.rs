// SPDX-License-Identifier: GPL-2.0

//! Character devices.
//!
//! A driver allocates a [`Region`] of device numbers, and registers a device for each number that
//! it uses. The kernel makes a node for the device in `/dev`. A driver with a single device can use
//! a [misc device](crate::miscdevice) instead.
//!
//! C header: [`include/linux/cdev.h`](srctree/include/linux/cdev.h)

use crate::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    fs::{
        File,
        FileOf,
        FileOperations, //
    },
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
    types::ForeignOwnable, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

/// The files of a character device.
///
/// # Examples
///
/// A device whose files share one buffer, which lives for as long as one of them is open or mapped:
///
/// ```
/// # #[cfg(CONFIG_MMU)]
/// # fn example() -> Result {
/// use kernel::{
///     cdev::{CharDevice, Region, Registration},
///     fs::{File, FileOf, FileOperations},
///     mm::{desc::{Mapping, VmaDesc}, KernelPages},
///     sync::{Arc, ArcBorrow},
/// };
///
/// struct Buffer {
///     pages: KernelPages,
/// }
///
/// #[vtable]
/// impl FileOperations for Buffer {
///     type Ptr = Arc<Self>;
///
///     fn mmap_prepare<'f>(
///         buffer: ArcBorrow<'f, Self>,
///         desc: VmaDesc<'f, FileOf<Self>>,
///     ) -> Result<Mapping<'f, FileOf<Self>>> {
///         desc.map_kernel_pages(&buffer.into_ref().pages)
///     }
/// }
///
/// impl CharDevice for Buffer {
///     type Data = Arc<Self>;
///
///     fn open(buffer: ArcBorrow<'_, Self>, _file: &File) -> Result<Arc<Self>> {
///         Ok(buffer.into())
///     }
/// }
///
/// let region = Region::alloc(c"rust_doctest", 2)?;
/// for index in 0..2 {
///     let buffer = Arc::new(Buffer { pages: KernelPages::new(4, GFP_KERNEL)? }, GFP_KERNEL)?;
///     let device = Registration::<Buffer>::new(region.clone(), index, c"rust_doctest", buffer)?;
///     // Each number has one device at a time.
///     let buffer = Arc::new(Buffer { pages: KernelPages::new(4, GFP_KERNEL)? }, GFP_KERNEL)?;
///     let second = Registration::<Buffer>::new(region.clone(), index, c"rust_second", buffer);
///     assert_eq!(second.err(), Some(EBUSY));
///     drop(device);
/// }
/// # Ok(())
/// # }
/// # #[cfg(CONFIG_MMU)]
/// # example()?;
/// # Ok::<(), Error>(())
/// ```
pub trait CharDevice: FileOperations {
    /// The pointer type that owns the data of a device, which [`open`](Self::open) borrows.
    type Data: ForeignOwnable + Send + Sync + 'static;

    /// Called when a file of the device is opened; returns the data of the file.
    ///
    /// The device can be unregistered while the file is open. So the file must own all that its
    /// operations use.
    ///
    /// # Context
    ///
    /// Process context. May sleep. Files of one device are opened one after the other. Must not
    /// drop the [`Registration`], which waits for this.
    ///
    /// # Errors
    ///
    /// `open(2)` fails with the error.
    fn open(data: <Self::Data as ForeignOwnable>::Borrowed<'_>, file: &File) -> Result<Self::Ptr>;
}

/// A region of device numbers: one major number, and consecutive minor numbers.
///
/// # Invariants
///
/// The `count` numbers from `first` on are allocated for this value.
#[pin_data(PinnedDrop)]
pub struct Region {
    first: bindings::dev_t,
    count: u32,
    /// Whether there is a device with the number.
    #[pin]
    taken: Mutex<KVec<bool>>,
}

impl Region {
    /// Allocates a region of `count` numbers.
    ///
    /// `name` is what `/proc/devices` shows.
    ///
    /// # Context
    ///
    /// Process context. May sleep.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `count` is 0 or larger than the number of minor numbers.
    /// - [`EBUSY`] if there is no free major number.
    /// - [`ENOMEM`] if there is not enough memory.
    ///
    /// # Examples
    ///
    /// See [`CharDevice`].
    pub fn alloc(name: &CStr, count: u32) -> Result<Arc<Self>> {
        if count == 0 || count > 1 << bindings::MINORBITS {
            return Err(EINVAL);
        }
        let taken = KVec::from_elem(false, count as usize, GFP_KERNEL)?;
        Arc::pin_init(
            try_pin_init!(Self {
                first: {
                    let mut first = 0;
                    // SAFETY: `first` is valid for writes. The function copies the name.
                    to_result(unsafe {
                        bindings::alloc_chrdev_region(&mut first, 0, count, name.as_char_ptr())
                    })?;
                    // INVARIANT: The numbers from `first` on are allocated.
                    first
                },
                count,
                taken <- new_mutex!(taken),
            }? Error),
            GFP_KERNEL,
        )
    }

    /// Returns the major number.
    #[inline]
    pub fn major(&self) -> u32 {
        self.first >> bindings::MINORBITS
    }

    /// Marks a number as taken.
    fn take_number(&self, index: u32) -> Result {
        let mut taken = self.taken.lock();
        let taken = taken.get_mut(index as usize).ok_or(EINVAL)?;
        if *taken {
            return Err(EBUSY);
        }
        *taken = true;
        Ok(())
    }

    /// Marks a number as free.
    fn give_back(&self, index: u32) {
        if let Some(taken) = self.taken.lock().get_mut(index as usize) {
            *taken = false;
        }
    }
}

#[pinned_drop]
impl PinnedDrop for Region {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants, the numbers are allocated for this value.
        unsafe { bindings::unregister_chrdev_region(self.first, self.count) };
    }
}

/// The registration of a character device.
///
/// The device exists, with a node in `/dev`, until this is dropped. Dropping it waits until no
/// [`CharDevice::open`] is running, and drops the data. Files that are open remain so.
///
/// # Invariants
///
/// `device` is a device with the operations of `T`, and its data comes from `into_foreign` of
/// `T::Data`. `data` is the same pointer.
pub struct Registration<T: CharDevice> {
    device: NonNull<bindings::rust_cdev>,
    data: *mut c_void,
    region: Arc<Region>,
    index: u32,
    _data: PhantomData<T::Data>,
}

// SAFETY: Any thread may delete the device, and drop the data, which is `Send`.
unsafe impl<T: CharDevice> Send for Registration<T> {}
// SAFETY: A shared reference gives access to the region only.
unsafe impl<T: CharDevice> Sync for Registration<T> {}

impl<T: CharDevice> Registration<T> {
    /// Registers the device with the number `index` of a region.
    ///
    /// User space can open the device before this returns. `name` is the name of the node in
    /// `/dev`, and in `/sys/class/rust_cdev`, where no other device may have it.
    ///
    /// # Context
    ///
    /// Process context. Sleeps.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the region does not have that number.
    /// - [`EBUSY`] if there is a device with that number.
    /// - [`EEXIST`] if there is another device of that name.
    /// - [`ENOMEM`] if there is not enough memory.
    ///
    /// # Examples
    ///
    /// See [`CharDevice`].
    pub fn new(region: Arc<Region>, index: u32, name: &CStr, data: T::Data) -> Result<Self> {
        region.take_number(index)?;
        let data = data.into_foreign();
        // SAFETY:
        // - The number is in the region, and this is its only device.
        // - The operations are a constant of the module that they call into, which is their owner.
        //   Their `open` expects the data of `T`.
        // - The function copies the name.
        let device = from_err_ptr(unsafe {
            bindings::rust_cdev_add(
                region.first + index,
                name.as_char_ptr(),
                FileOf::<T>::CHAR_DEVICE_OPERATIONS,
                data,
            )
        });
        match device {
            // INVARIANT: The device has just been added, with these operations and this data.
            Ok(device) => Ok(Self {
                // SAFETY: A pointer that is not an error is a device, so it is not null.
                device: unsafe { NonNull::new_unchecked(device) },
                data,
                region,
                index,
                _data: PhantomData,
            }),
            Err(err) => {
                region.give_back(index);
                // SAFETY: `data` comes from `into_foreign` above. The function has failed, so no
                // `open` borrows it.
                drop(unsafe { T::Data::from_foreign(data) });
                Err(err)
            }
        }
    }

    /// Returns the region of the device.
    #[inline]
    pub fn region(&self) -> &Arc<Region> {
        &self.region
    }
}

impl<T: CharDevice> Drop for Registration<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the device has been added. This value does not use it
        // after this.
        unsafe { bindings::rust_cdev_del(self.device.as_ptr()) };
        self.region.give_back(self.index);
        // SAFETY: By the type invariants, `data` comes from `into_foreign`. The device is deleted,
        // so no `open` borrows it.
        drop(unsafe { T::Data::from_foreign(self.data) });
    }
}

impl<T: CharDevice> FileOf<T> {
    /// The operations of the files of a character device.
    const CHAR_DEVICE_OPERATIONS: &'static bindings::file_operations = &bindings::file_operations {
        open: Some(Self::open_char_device),
        ..Self::OPERATIONS
    };

    /// `file_operations::open` of a character device.
    ///
    /// # Safety
    ///
    /// C must be calling this for `file`, which must be of this kind. `inode` must be that of a
    /// device with the operations of `T`.
    unsafe extern "C" fn open_char_device(
        inode: *mut bindings::inode,
        file: *mut bindings::file,
    ) -> c_int {
        // SAFETY: By the safety requirements of this function, the inode is that of a device that
        // `rust_cdev_add` has made. The file that is being opened has a reference to the device.
        let data = unsafe { bindings::rust_cdev_open_begin(inode) };
        if data.is_null() {
            return ENXIO.to_errno();
        }
        let opened = {
            // SAFETY: The data of a device with the operations of `T` comes from `into_foreign` of
            // `T::Data`. It goes back to `from_foreign` only after `rust_cdev_del`, which waits for
            // `rust_cdev_open_end`.
            let data = unsafe { T::Data::borrow(data) };
            // SAFETY: The file is valid until this function returns, and this thread has no active
            // `fdget_pos` region on it.
            T::open(data, unsafe { File::from_raw_file(file) })
        };
        // SAFETY: `rust_cdev_open_begin` has returned data.
        unsafe { bindings::rust_cdev_open_end(inode) };
        match opened {
            Ok(device) => {
                // SAFETY: By the safety requirements of this function, the file is of this kind. It
                // is in its `open`, which succeeds.
                unsafe { Self::set_private_data(file, device) };
                0
            }
            Err(err) => err.to_errno(),
        }
    }
}
