// SPDX-License-Identifier: GPL-2.0

//! Buffers with file descriptors of their own.
//!
//! `/dev/rust_mmap_buffers` hands out buffers, as the driver of a GPU does: an ioctl makes one and
//! returns a file descriptor, which user space maps, and can send to another process. The buffer
//! exists until its last descriptor and its last mapping are gone; what is left of the device does
//! not matter. It can be revoked, which `poll(2)` signals. `lseek(2)` returns its size, and
//! `/proc/<pid>/fdinfo` shows its state.
//!
//! Another ioctl makes a ring, whose mapping consists of several objects: a page that user space
//! can only read, a page that is a hole, and the data twice, so that user space can access a record
//! that goes across the end in one piece.
//!
//! This sample implements [`FileOperations`] for files of an anonymous inode, without a line of
//! `unsafe`.

use kernel::{
    alloc::flags::__GFP_NOWARN,
    fs::{
        anon_inode,
        area::{
            Area,
            AreaRequest, //
        },
        file::flags::{
            O_CLOEXEC,
            O_RDWR, //
        },
        poll::{
            Events,
            Poll, //
        },
        seek::Seek,
        File,
        FileOf,
        FileOperations, //
    },
    ioctl::{
        _IO,
        _IOW, //
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
        flags::SetFlags,
        ops::{
            Fault,
            FaultAnswer,
            FaultError,
            HugeAnswer,
            HugeFault,
            HugeOrder,
            Ordinary,
            PageSource,
            PerFile,
            Pieces,
            VmOperations, //
        },
        revoke::Revocation,
        rmap::AddressSpace,
        Folio,
        KernelPages, //
    },
    new_mutex,
    new_poll_condvar,
    page::PAGE_SIZE,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        poll::PollCondVar,
        Arc,
        ArcBorrow,
        Mutex, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

module! {
    type: RustMmapBuffers,
    name: "rust_mmap_buffers",
    authors: ["Rust mm developers"],
    description: "Rust sample: buffers with file descriptors of their own",
    license: "GPL",
}

/// Makes a buffer, to whose size in bytes the argument points, and returns its file descriptor.
const BUFFERS_CREATE: u32 = _IOW::<u64>('B' as u32, 0);
/// Revokes a buffer, whose descriptor this is for, and frees its memory.
const BUFFERS_REVOKE: u32 = _IO('B' as u32, 1);
/// Makes a ring, to the size of whose data in bytes the argument points, and returns its file
/// descriptor.
const BUFFERS_RING: u32 = _IOW::<u64>('B' as u32, 2);

/// What the buffers of an open device may have together, in bytes.
const QUOTA: usize = 64 << 20;

/// The module: the device exists for as long as the module is loaded.
#[pin_data]
struct RustMmapBuffers {
    #[pin]
    _device: MiscDeviceRegistration<Allocator>,
}

impl kernel::InPlaceModule for RustMmapBuffers {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"rust_mmap_buffers",
            }),
        })
    }
}

/// What belongs to an open file of the device.
#[pin_data]
struct Allocator {
    /// The bytes that its buffers have.
    #[pin]
    used: Mutex<usize>,
}

#[vtable]
impl MiscDevice for Allocator {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self { used <- new_mutex!(0) }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    fn ioctl(allocator: ArcBorrow<'_, Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        if cmd != BUFFERS_CREATE && cmd != BUFFERS_RING {
            return Err(ENOTTY);
        }
        let arg = UserSlice::new(UserPtr::from_addr(arg), size_of::<u64>());
        let size = usize::try_from(arg.reader().read::<u64>()?).map_err(|_| ENOSPC)?;
        if cmd == BUFFERS_RING {
            let ring = Ring::new(allocator.into(), size)?;
            let file = anon_inode::getfd::<Ring>(c"[rust_ring]", ring, O_RDWR | O_CLOEXEC)?;
            return Ok(file.install() as isize);
        }
        let buffer = Buffer::new(allocator.into(), size)?;
        let file = anon_inode::getfd::<Buffer>(c"[rust_buffer]", buffer, O_RDWR | O_CLOEXEC)?;
        Ok(file.install() as isize)
    }

    fn show_fdinfo(allocator: ArcBorrow<'_, Self>, m: &SeqFile, _file: &File) {
        seq_print!(m, "used:\t{}\n", *allocator.used.lock());
    }
}

/// A part of the quota of an open device.
struct Share {
    /// Keeps the quota, even if user space closes the device.
    allocator: Arc<Allocator>,
    size: usize,
}

impl Share {
    fn new(allocator: Arc<Allocator>, size: usize) -> Result<Self> {
        let mut used = allocator.used.lock();
        match used.checked_add(size) {
            Some(sum) if sum <= QUOTA => *used = sum,
            _ => return Err(ENOSPC),
        }
        drop(used);
        Ok(Self { allocator, size })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        *self.allocator.used.lock() -= self.size;
    }
}

/// A buffer.
#[pin_data]
struct Buffer {
    /// Folios of equal size; none if the buffer is revoked.
    #[pin]
    folios: Mutex<KVVec<ARef<Folio>>>,
    /// The number of pages of a folio.
    folio_pages: usize,
    #[pin]
    revocation: Revocation,
    /// Notified when the buffer is revoked.
    #[pin]
    revoked: PollCondVar,
    huge_faults: Atomic<i64>,
    share: Share,
}

impl Buffer {
    /// Makes a buffer, of huge pages if its size is a multiple of their size.
    fn new(allocator: Arc<Allocator>, size: usize) -> Result<Arc<Self>> {
        if size == 0 || size % PAGE_SIZE != 0 {
            return Err(EINVAL);
        }
        let share = Share::new(allocator, size)?;
        let folio_pages = match HugeOrder::Pmd {
            huge if size % huge.len() == 0 => huge.nr_pages(),
            _ => 1,
        };
        let mut folios = KVVec::new();
        for _ in 0..size / PAGE_SIZE / folio_pages {
            // User space chooses the size, so do not warn.
            let folio = Folio::alloc(folio_pages.ilog2(), GFP_KERNEL_ACCOUNT | __GFP_NOWARN)?;
            folios.push(folio, GFP_KERNEL_ACCOUNT)?;
        }
        Arc::pin_init(
            try_pin_init!(Self {
                folios <- new_mutex!(folios),
                folio_pages,
                revocation <- Revocation::new::<FileOf<Self>>(),
                revoked <- new_poll_condvar!(),
                huge_faults: Atomic::new(0),
                share,
            }? Error),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Revokes the buffer, and frees its memory.
    fn revoke(&self) {
        // Not with `folios` locked: this waits for fault handlers, which take that lock.
        self.revocation.revoke_for_good();
        drop(core::mem::take(&mut *self.folios.lock()));
        self.revoked.notify_all();
    }
}

#[vtable]
impl FileOperations for Buffer {
    type Ptr = Arc<Self>;

    fn address_space<'a>(buffer: ArcBorrow<'a, Self>, _file: &'a File) -> &'a AddressSpace {
        buffer.into_ref().revocation.address_space()
    }

    fn get_unmapped_area<'a>(
        _buffer: ArcBorrow<'a, Self>,
        request: AreaRequest<'a>,
    ) -> Result<Area<'a>> {
        request.for_huge_pages()
    }

    fn mmap_prepare<'f>(
        buffer: ArcBorrow<'f, Self>,
        mut desc: VmaDesc<'f, FileOf<Self>>,
    ) -> Result<Mapping<'f, FileOf<Self>>> {
        desc.deny_cow()?;
        let end = desc.pgoff().checked_add(desc.nr_pages()).ok_or(ENXIO)?;
        if end > buffer.share.size / PAGE_SIZE {
            return Err(ENXIO);
        }
        desc.set(SetFlags::HUGEPAGE);
        Ok(desc.with_ops::<BufferOps>()?.on_fault())
    }

    fn poll<'a>(buffer: ArcBorrow<'a, Self>, poll: &Poll<'a>) -> Events {
        poll.register_wait(&buffer.into_ref().revoked);
        if buffer.revocation.is_revoked() {
            Events::HANGUP
        } else {
            Events::NONE
        }
    }

    fn llseek(buffer: ArcBorrow<'_, Self>, seek: Seek<'_>) -> Result<i64> {
        seek.fixed_size(buffer.share.size)
    }

    fn ioctl(buffer: ArcBorrow<'_, Self>, _file: &File, cmd: u32, _arg: usize) -> Result<isize> {
        match cmd {
            BUFFERS_REVOKE => buffer.revoke(),
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }

    fn show_fdinfo(buffer: ArcBorrow<'_, Self>, m: &SeqFile, _file: &File) {
        let revoked = u8::from(buffer.revocation.is_revoked());
        seq_print!(m, "size:\t{}\n", buffer.share.size);
        seq_print!(m, "revoked:\t{}\n", revoked);
        seq_print!(m, "huge_faults:\t{}\n", buffer.huge_faults.load(Relaxed));
    }
}

/// The callbacks of the mappings of a buffer.
struct BufferOps;

#[vtable]
impl VmOperations for BufferOps {
    type File = FileOf<Buffer>;
    type Data = PerFile;
    type Memory = Ordinary;

    fn huge_fault(vmf: &HugeFault<Self>) -> Result<HugeAnswer<'_>, FaultError> {
        let buffer = vmf.data();
        let Some(pgoffs) = vmf.pgoff_range() else {
            return Ok(HugeAnswer::Fallback);
        };
        // The PMD has to map exactly one folio.
        if pgoffs.len() != buffer.folio_pages || pgoffs.start % buffer.folio_pages != 0 {
            return Ok(HugeAnswer::Fallback);
        }
        let folios = buffer.folios.lock();
        let folio = folios.get(pgoffs.start / buffer.folio_pages);
        let answer = vmf.insert_folio(folio.ok_or(FaultError::SigBus)?)?;
        if let HugeAnswer::Inserted(_) = answer {
            buffer.huge_faults.fetch_add(1, Relaxed);
        }
        Ok(answer)
    }

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        let buffer = vmf.data();
        let folios = buffer.folios.lock();
        let index = vmf.index_in(folios.len() * buffer.folio_pages)?;
        let folio = folios[index / buffer.folio_pages].clone();
        vmf.return_page(folio, index % buffer.folio_pages)
    }
}

kernel::vm_operations!(BufferOps);

/// A ring.
struct Ring {
    pieces: Pieces<PageSource>,
    space: AddressSpace,
    /// For the data.
    _share: Share,
}

impl Ring {
    /// The page offset of the data, after the header and a hole.
    const DATA: usize = 2;

    /// Makes a ring with `size` bytes of data.
    fn new(allocator: Arc<Allocator>, size: usize) -> Result<Arc<Self>> {
        if size == 0 || size % PAGE_SIZE != 0 {
            return Err(EINVAL);
        }
        let share = Share::new(allocator, size)?;
        let nr_pages = size / PAGE_SIZE;
        // User space can have as many rings made as it has file descriptors, and pays for them.
        let header = Folio::alloc(0, GFP_KERNEL_ACCOUNT)?;
        header.write_at(0, &(size as u64).to_ne_bytes())?;
        let data = KernelPages::new(nr_pages, GFP_KERNEL_ACCOUNT | __GFP_NOWARN)?;
        let data = Arc::new(data, GFP_KERNEL_ACCOUNT)?;
        let mut pieces = Pieces::new(Self::DATA + 2 * nr_pages, 3, GFP_KERNEL_ACCOUNT)?;
        pieces.add_read_only(0, header, 0..1)?;
        pieces.add(Self::DATA, data.clone(), 0..nr_pages)?;
        pieces.add(Self::DATA + nr_pages, data, 0..nr_pages)?;
        let ring = Self {
            pieces,
            space: AddressSpace::new::<FileOf<Self>>()?,
            _share: share,
        };
        Ok(Arc::new(ring, GFP_KERNEL_ACCOUNT)?)
    }
}

#[vtable]
impl FileOperations for Ring {
    type Ptr = Arc<Self>;

    fn address_space<'a>(ring: ArcBorrow<'a, Self>, _file: &'a File) -> &'a AddressSpace {
        &ring.into_ref().space
    }

    fn mmap_prepare<'f>(
        ring: ArcBorrow<'f, Self>,
        mut desc: VmaDesc<'f, FileOf<Self>>,
    ) -> Result<Mapping<'f, FileOf<Self>>> {
        desc.deny_cow()?;
        // The ring owns the pieces, and the mapping keeps the file, which keeps the ring.
        desc.map_pieces(&ring.into_ref().pieces)
    }
}
