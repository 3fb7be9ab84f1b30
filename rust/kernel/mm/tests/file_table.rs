// SPDX-License-Identifier: GPL-2.0

//! Tests of files with a hand-written table of file operations.

use crate::{
    bindings,
    error::from_err_ptr,
    fs::{
        File,
        FileOf,
        FileOperations,
        FileTable, //
    },
    mm::{
        desc::{
            Mapping,
            VmaDesc, //
        },
        ops::{
            DeviceRef,
            Fault,
            FaultAnswer,
            FaultError,
            Ordinary,
            PerFile,
            VmOperations, //
        },
        revoke::Revocation,
        rmap::AddressSpace,
        testing::{
            UserMm,
            READ,
            SHARED, //
        },
        Folio, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow, //
    }, //
};
use core::{
    ops::Range,
    ptr::NonNull, //
};

/// The device of a case.
#[pin_data]
struct Device {
    folio: ARef<Folio>,
    #[pin]
    revocation: Revocation,
    opened: Atomic<i32>,
    /// What `release` has found: 1 if the file used the address space of its inode, otherwise -1.
    released: Atomic<i32>,
}

impl Device {
    fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            try_pin_init!(Self {
                folio: Folio::alloc(0, GFP_KERNEL)?,
                revocation <- Revocation::new::<FileOf<Client>>(),
                opened: Atomic::new(0),
                released: Atomic::new(0),
            }? Error),
            GFP_KERNEL,
        )
    }
}

/// The data of an open file.
struct Client {
    device: Arc<Device>,
}

#[vtable]
impl FileOperations for Client {
    type Ptr = Arc<Self>;

    fn address_space<'a>(client: ArcBorrow<'a, Self>, _file: &'a File) -> &'a AddressSpace {
        client.into_ref().device.revocation.address_space()
    }

    fn mmap_prepare<'f>(
        _client: ArcBorrow<'f, Self>,
        desc: VmaDesc<'f, FileOf<Self>>,
    ) -> Result<Mapping<'f, FileOf<Self>>> {
        Ok(desc.with_ops::<ClientOps>()?.on_fault())
    }
}

struct ClientOps;

#[vtable]
impl VmOperations for ClientOps {
    type File = FileOf<Client>;
    type Data = PerFile;
    type Memory = Ordinary;

    fn may_map(_: DeviceRef<'_, Self>, pgoffs: Range<usize>, _writable: bool) -> Result {
        match pgoffs.end {
            0..=2 => Ok(()),
            _ => Err(ENXIO),
        }
    }

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        vmf.return_page(vmf.data().device.folio.clone(), 0)
    }
}

crate::vm_operations!(ClientOps, mergeable: FileOf<Client>);

/// As C code does it, the device is found through a pointer that the inode or the file has.
///
/// # Safety
///
/// C must be calling this for a file with the operations `TABLE`, whose private data is an
/// `Arc<Device>`.
unsafe extern "C" fn open(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
    // SAFETY: By the safety requirements of this function, the file is valid, and its private data
    // is an `Arc<Device>`, which this takes.
    let device = unsafe { Arc::from_raw((*file).private_data.cast::<Device>()) };
    device.opened.fetch_add(1, Relaxed);
    match Arc::new(Client { device }, GFP_KERNEL) {
        Ok(client) => {
            // SAFETY: The file is in its `open`, which succeeds, and its operations are `TABLE`.
            unsafe { TABLE.opened(file, client) };
            0
        }
        Err(err) => Error::from(err).to_errno(),
    }
}

/// # Safety
///
/// C must be calling this for a file with the operations `TABLE`.
unsafe extern "C" fn release(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
    // SAFETY: The file is in its `release`, and its operations are `TABLE`.
    let client = unsafe { TABLE.released(file) };
    // SAFETY: The file and its inode are valid during `release`.
    let reset = unsafe { core::ptr::eq((*file).f_mapping, (*(*file).f_inode).i_mapping) };
    client
        .device
        .released
        .fetch_add(if reset { 1 } else { -1 }, Relaxed);
    0
}

// SAFETY: `open` calls `opened` once, just before it returns 0. `release` calls `released`. The
// code is built in, so there is no owner.
static TABLE: FileTable<Client> = unsafe {
    FileTable::new(bindings::file_operations {
        open: Some(open),
        release: Some(release),
        mmap_prepare: FileTable::<Client>::OPERATIONS.mmap_prepare,
        ..pin_init::zeroed()
    })
};

/// Makes a file that is not opened yet, as the kernel does before it calls `open`.
fn unopened(device: &Arc<Device>) -> Result<ARef<File>> {
    // SAFETY: The table is static, and the name is only read during the call.
    let file = from_err_ptr(unsafe {
        bindings::anon_inode_getfile(
            c"[rust_mm_test]".as_char_ptr(),
            TABLE.as_ptr(),
            Arc::into_raw(device.clone()).cast_mut().cast(),
            bindings::O_RDWR as c_int,
        )
    })?;
    // SAFETY: No other thread has the new file.
    unsafe { bindings::rust_mm_test_mark_opened(file, false) };
    // SAFETY: The reference is ours, and the file has no file descriptor.
    Ok(unsafe { ARef::from_raw(NonNull::new_unchecked(file).cast()) })
}

/// Opens a file, as the kernel does.
///
/// # Safety
///
/// `file` must come from `unopened`, and must not have been opened.
unsafe fn do_open(file: *mut bindings::file) -> Result {
    // SAFETY: By the safety requirements of this function, the operations of the file are `TABLE`,
    // and its private data is an `Arc<Device>`.
    crate::error::to_result(unsafe { open((*file).f_inode, file) })?;
    // SAFETY: No other thread uses the file.
    unsafe { bindings::rust_mm_test_mark_opened(file, true) };
    Ok(())
}

#[kunit_tests(rust_mm_file_table)]
mod cases {
    use super::*;

    #[test]
    fn opened_and_released() -> Result {
        let mm = UserMm::attach()?;
        let device = Device::new()?;
        device.folio.write_at(0, b"page")?;
        let file = unopened(&device)?;
        let raw = file.as_ptr();
        let file = mm.file(file);

        // SAFETY: The operations of the file are `TABLE`.
        assert_eq!(unsafe { TABLE.private_data(raw) }.err(), Some(EBADF));
        assert_eq!(file.mmap(PAGE_SIZE, READ, SHARED, 0), Err(EBADF));
        // SAFETY: The file comes from `unopened`, and this is the first call.
        unsafe { do_open(raw) }?;

        // SAFETY: The operations of the file are `TABLE`, and it remains open.
        let client = unsafe { TABLE.private_data(raw) }?;
        assert!(core::ptr::eq(&*client.device, &*device));
        // SAFETY: The file is open.
        let mapping = unsafe { (*raw).f_mapping };
        assert!(core::ptr::eq(
            mapping,
            device.revocation.address_space().as_ptr()
        ));

        let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
        assert_eq!(mm.read(addr)?, *b"page");
        device.revocation.revoke();
        assert_eq!(mm.read::<1>(addr), Err(EFAULT));
        assert_eq!(file.mmap(PAGE_SIZE, READ, SHARED, 0), Err(ENODEV));
        device.revocation.restore();
        assert_eq!(mm.read(addr)?, *b"page");

        // The mapping keeps the file.
        drop(file);
        assert_eq!(device.released.load(Relaxed), 0);
        mm.munmap(addr, PAGE_SIZE)?;
        for _ in 0..5000 {
            if device.released.load(Relaxed) != 0 {
                break;
            }
            // SAFETY: This thread holds no lock, so it may sleep.
            unsafe { bindings::msleep(1) };
        }
        assert_eq!(device.released.load(Relaxed), 1);
        assert_eq!(device.opened.load(Relaxed), 1);
        Ok(())
    }

    #[test]
    fn mergeable() -> Result {
        let mm = UserMm::attach()?;
        let device = Device::new()?;
        let file = unopened(&device)?;
        let raw = file.as_ptr();
        // SAFETY: The file comes from `unopened`, and this is the first call.
        unsafe { do_open(raw) }?;
        let file = mm.file(file);

        let addr = file.mmap(PAGE_SIZE, READ, SHARED, 0)?;
        mm.munmap(addr, PAGE_SIZE)?;
        let addr = file.mmap_at(addr, PAGE_SIZE, READ, SHARED, 0)?;
        file.mmap_at(addr + PAGE_SIZE, PAGE_SIZE, READ, SHARED, 1)?;
        {
            let vma = mm
                .current()
                .lock_driver_vma::<ClientOps>(addr)
                .ok_or(ESRCH)?;
            assert_eq!((vma.start(), vma.end()), (addr, addr + 2 * PAGE_SIZE));
        }
        assert_eq!(file.mmap(PAGE_SIZE, READ, SHARED, 2), Err(ENXIO));
        mm.munmap(addr, 2 * PAGE_SIZE)?;
        Ok(())
    }
}
