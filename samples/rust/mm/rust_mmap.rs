// SPDX-License-Identifier: GPL-2.0

//! A buffer of memory that user space can map.
//!
//! `/dev/rust_mmap` is a few pages. Every open file shows the same ones, and `read`, `write`,
//! `lseek` and `mmap` all work on the same bytes:
//!
//! ```sh
//! insmod rust_mmap.ko pages=16
//! echo hello > /dev/rust_mmap
//! head -c 6 /dev/rust_mmap
//! cat /proc/self/fdinfo/3 3< /dev/rust_mmap    # what the driver has counted
//! ```
//!
//! The buffer is allocated when the module is loaded. It is freed when the module is unloaded,
//! which cannot happen while a file is open or a mapping exists.

use kernel::{
    fs::{
        seek::Seek,
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
    seq_print,
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

/// Where `open` finds the buffer of the loaded module.
static BUFFER: Published<Buffer> = Published::new();

/// The module. The fields are dropped in this order: the device goes before the buffer.
#[pin_data]
struct RustMmap {
    #[pin]
    _device: MiscDeviceRegistration<Buffer>,
    _buffer: Publication<Buffer>,
}

impl kernel::InPlaceModule for RustMmap {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // First, so that a device that can be opened has a buffer.
            _buffer: {
                let buffer = Buffer::new(*module_parameters::pages.value_ref())?;
                BUFFER.publish(Arc::new(buffer, GFP_KERNEL)?)?
            },
            _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"rust_mmap",
            }),
        })
    }
}

/// The device: its memory, and what has been done to it.
struct Buffer {
    pages: KernelPages,
    opens: Atomic<i64>,
    reads: Atomic<i64>,
    writes: Atomic<i64>,
    mmaps: Atomic<i64>,
}

impl Buffer {
    fn new(nr_pages: u32) -> Result<Self> {
        Ok(Self {
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

    fn mmap_prepare<'f>(
        buffer: ArcBorrow<'f, Self>,
        mut desc: VmaDesc<'f, Self>,
    ) -> Result<Mapping<'f, Self>> {
        let buffer = buffer.into_ref();

        // Everybody sees the same bytes. A private mapping could have its own after a write.
        desc.deny_cow()?;

        let mapping = desc.map_kernel_pages(&buffer.pages)?;
        // Counts what was asked for: whether the mapping comes about is not known here.
        buffer.mmaps.fetch_add(1, Relaxed);
        Ok(mapping)
    }

    fn show_fdinfo(buffer: ArcBorrow<'_, Self>, m: &SeqFile, _file: &File) {
        seq_print!(m, "size:\t{}\n", buffer.pages.len());
        seq_print!(m, "opens:\t{}\n", buffer.opens.load(Relaxed));
        seq_print!(m, "reads:\t{}\n", buffer.reads.load(Relaxed));
        seq_print!(m, "writes:\t{}\n", buffer.writes.load(Relaxed));
        seq_print!(m, "mmaps:\t{}\n", buffer.mmaps.load(Relaxed));
    }
}
