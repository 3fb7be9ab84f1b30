// SPDX-License-Identifier: GPL-2.0

//! A buffer of memory that user space can map.
//!
//! `/dev/rust_mmap` is a buffer of a few pages, shared by all open files. `read`, `write`, `lseek`
//! and `mmap` work on the same bytes:
//!
//! ```sh
//! insmod rust_mmap.ko pages=16
//! echo hello > /dev/rust_mmap
//! head -c 6 /dev/rust_mmap
//! cat /proc/self/fdinfo/3 3< /dev/rust_mmap    # the driver's counters
//! ```
//!
//! The driver allocates the buffer when the module is loaded and frees it when the module is
//! unloaded. The kernel does not unload the module while a file is open or a mapping exists.

use kernel::{
    fs::{
        fsync::Fsync,
        seek::Seek,
        splice::{
            SpliceRead,
            SpliceWrite,
            Spliced, //
        },
        File,
        Kiocb, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
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
        KernelPages, //
    },
    prelude::*,
    seq_file::SeqFile,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow,
        Publication,
        Published, //
    }, //
};

module! {
    type: RustMmap,
    name: "rust_mmap",
    authors: ["Rust mm developers"],
    description: "Rust sample: a buffer that user space can map",
    license: "GPL",
    params: {
        pages: u32 {
            default: 16,
            description: "Size of the buffer in pages",
        },
    },
}

/// The buffer of the loaded module, where `open` finds it.
static BUFFER: Published<Buffer> = Published::new();

/// The module.
///
/// Rust drops the fields from top to bottom: the device is deregistered before the buffer is
/// withdrawn, so `open` finds a buffer whenever it is called.
#[pin_data]
struct RustMmap {
    #[pin]
    _device: MiscDeviceRegistration<Buffer>,
    _buffer: Publication<Buffer>,
}

impl kernel::InPlaceModule for RustMmap {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // Publish the buffer first: user space can open the device as soon as it is registered.
            _buffer: {
                let nr_pages = *module_parameters::pages.value_ref();
                BUFFER.publish(Arc::init(Buffer::new(nr_pages), GFP_KERNEL)?)?
            },
            _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"rust_mmap",
            }),
        })
    }
}

/// The device: its memory, and counters of the operations on it.
struct Buffer {
    pages: KernelPages,
    opens: Atomic<i64>,
    reads: Atomic<i64>,
    writes: Atomic<i64>,
    mmaps: Atomic<i64>,
}

impl Buffer {
    fn new(nr_pages: u32) -> impl Init<Self, Error> {
        try_init!(Self {
            pages: KernelPages::new(nr_pages as usize, GFP_KERNEL)?,
            opens: Atomic::new(0),
            reads: Atomic::new(0),
            writes: Atomic::new(0),
            mmaps: Atomic::new(0),
        })
    }
}

#[vtable]
impl MiscDevice for Buffer {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        let buffer = BUFFER.get().ok_or(ENODEV)?;
        buffer.opens.fetch_add(1, Relaxed);
        Ok(buffer)
    }

    fn read_iter(mut kiocb: Kiocb<'_, Arc<Self>>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let buffer = kiocb.file();
        buffer.reads.fetch_add(1, Relaxed);
        buffer.pages.read_iter(kiocb.ki_pos_mut(), iov)
    }

    fn write_iter(mut kiocb: Kiocb<'_, Arc<Self>>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        let buffer = kiocb.file();
        buffer.writes.fetch_add(1, Relaxed);
        buffer.pages.write_iter(kiocb.ki_pos_mut(), iov)
    }

    fn llseek(buffer: ArcBorrow<'_, Self>, seek: Seek<'_>) -> Result<i64> {
        seek.fixed_size(buffer.pages.len())
    }

    fn splice_read<'a>(
        _buffer: ArcBorrow<'a, Self>,
        request: SpliceRead<'a>,
    ) -> Result<Spliced<'a>> {
        request.by_read_iter()
    }

    fn splice_write<'a>(
        _buffer: ArcBorrow<'a, Self>,
        request: SpliceWrite<'a>,
    ) -> Result<Spliced<'a>> {
        request.by_write_iter()
    }

    fn fsync(_buffer: ArcBorrow<'_, Self>, _request: Fsync<'_>) -> Result {
        // What user space writes is in the buffer at once.
        Ok(())
    }

    fn mmap_prepare<'f>(
        buffer: ArcBorrow<'f, Self>,
        mut desc: VmaDesc<'f, Self>,
    ) -> Result<Mapping<'f, Self>> {
        let buffer = buffer.into_ref();

        // All mappings must show the same bytes. A private mapping gets copy-on-write pages when
        // the process writes to it, so refuse a private mapping that can become writable.
        desc.deny_cow()?;
        // There is no code in the buffer.
        desc.deny_exec();

        let mapping = desc.map_kernel_pages(&buffer.pages)?;
        // This counts requests: the kernel can still fail the `mmap` after this function returns.
        buffer.mmaps.fetch_add(1, Relaxed);
        Ok(mapping)
    }

    fn show_fdinfo(buffer: ArcBorrow<'_, Self>, m: &SeqFile, _file: &File) {
        m.field(c"size", buffer.pages.len() as i64);
        m.field(c"opens", buffer.opens.load(Relaxed));
        m.field(c"reads", buffer.reads.load(Relaxed));
        m.field(c"writes", buffer.writes.load(Relaxed));
        m.field(c"mmaps", buffer.mmaps.load(Relaxed));
    }
}
