// SPDX-License-Identifier: GPL-2.0

//! Two rings that user space shares with the driver.
//!
//! Each open file of `/dev/rust_ring` has a ring of requests, one of replies, and memory for data,
//! all in one mapping, as io_uring has them. User space writes requests, and has the driver handle
//! them with an ioctl, which any thread may call; `poll(2)` waits for a reply, or for room for a
//! request. `samples/rust/mm/rust_ring.h` has the layout.
//!
//! The driver trusts nothing that is in the mapping, where user space can write at any time:
//!
//! - An index of user space is an atomic. The driver loads it with acquire semantics, so that it
//!   sees what user space has written before, and checks it each time.
//! - Its own indices are in its own memory. It stores copies of them for user space, with release
//!   semantics, and never reads these.
//! - A request is a record: a value, which does not change after the driver has checked it.

use kernel::{
    alloc::flags::GFP_KERNEL_ACCOUNT,
    fs::{
        poll::{
            Events,
            Poll, //
        },
        File, //
    },
    ioctl::_IO,
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
        KernelPages,
        Vmap, //
    },
    new_mutex,
    new_poll_condvar,
    page::PAGE_SIZE,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        poll::PollCondVar,
        Arc,
        ArcBorrow,
        Mutex, //
    }, //
};

module! {
    type: RustRing,
    name: "rust_ring",
    authors: ["Rust mm developers"],
    description: "Rust sample: rings that user space shares with the driver",
    license: "GPL",
}

/// The number of slots of each ring, a power of two: the indices wrap around at 2^32.
const SLOTS: u32 = 128;

/// Where each index is in the mapping.
const REQUEST_HEAD: usize = 0;
const REQUEST_TAIL: usize = 64;
const REPLY_HEAD: usize = 128;
const REPLY_TAIL: usize = 192;

/// Where the slots and the data are, and the size of the mapping.
const REQUESTS: usize = 4096;
const DATA: usize = 8192;
const DATA_SIZE: usize = 16384;
const REPLIES: usize = 24576;
const SIZE: usize = 28672;

/// Handles the requests that are in the ring.
const RING_ENTER: u32 = _IO('R' as u32, 0);

/// The operations.
const OP_ECHO: u32 = 0;
const OP_SUM: u32 = 1;

/// A request.
#[derive(FromBytes)]
#[repr(C)]
struct Request {
    id: u64,
    op: u32,
    len: u32,
    value: u64,
    _reserved: u64,
}

/// The reply to a request.
#[derive(IntoBytes)]
#[repr(C)]
struct Reply {
    id: u64,
    result: i64,
}

/// The module.
#[pin_data]
struct RustRing {
    #[pin]
    _device: MiscDeviceRegistration<Ring>,
}

impl kernel::InPlaceModule for RustRing {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"rust_ring",
            }),
        })
    }
}

/// The indices of the driver, which user space only gets copies of.
struct Indices {
    request_head: u32,
    reply_tail: u32,
}

/// An open file.
#[pin_data]
struct Ring {
    /// What user space maps.
    pages: KernelPages,
    /// The same memory, as the driver sees it.
    view: Vmap,
    #[pin]
    indices: Mutex<Indices>,
    /// Notified when there are replies, and room for requests.
    #[pin]
    handled: PollCondVar,
    /// The number of requests that were handled.
    requests: Atomic<i64>,
}

impl Ring {
    fn new() -> Result<Arc<Self>> {
        // User space has as many of them as it opens files, so its memory cgroup pays for the
        // pages. The kernel's addresses of the view are free.
        let pages = KernelPages::new(SIZE.div_ceil(PAGE_SIZE), GFP_KERNEL_ACCOUNT)?;
        let view = pages.vmap()?;
        Arc::pin_init(
            pin_init!(Self {
                pages,
                view,
                indices <- new_mutex!(Indices {
                    request_head: 0,
                    reply_tail: 0,
                }),
                handled <- new_poll_condvar!(),
                requests: Atomic::new(0),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Returns an index, for atomics.
    fn index(&self, offset: usize) -> Result<&Atomic<u32>> {
        self.view.atomic(offset)
    }

    /// Returns the number of requests that the driver has not taken yet.
    fn waiting(&self, request_head: u32) -> Result<u32> {
        let tail = self.index(REQUEST_TAIL)?.load(Acquire);
        match tail.wrapping_sub(request_head) {
            waiting @ 0..=SLOTS => Ok(waiting),
            _ => Err(ERANGE),
        }
    }

    /// Returns the number of replies that user space has not taken yet.
    fn replies(&self, reply_tail: u32) -> Result<u32> {
        // With acquire semantics: user space has read the slots that it gives back.
        let head = self.index(REPLY_HEAD)?.load(Acquire);
        match reply_tail.wrapping_sub(head) {
            replies @ 0..=SLOTS => Ok(replies),
            _ => Err(ERANGE),
        }
    }

    /// Returns the sum of bytes of the data.
    fn sum(&self, start: u64, len: u32) -> Result<i64> {
        let start = usize::try_from(start).map_err(|_| EINVAL)?;
        let end = start.checked_add(len as usize).ok_or(EINVAL)?;
        if end > DATA_SIZE {
            return Err(EINVAL);
        }
        let (mut sum, mut at, mut chunk) = (0, start, [0; 128]);
        while at < end {
            let len = (end - at).min(chunk.len());
            let chunk = chunk.get_mut(..len).ok_or(EINVAL)?;
            self.view.read_at(DATA + at, chunk)?;
            sum += chunk.iter().map(|&byte| i64::from(byte)).sum::<i64>();
            at += chunk.len();
        }
        Ok(sum)
    }

    /// Handles a request.
    fn handle(&self, request: &Request) -> Reply {
        let result = match request.op {
            OP_ECHO => Ok(request.value as i64),
            OP_SUM => self.sum(request.value, request.len),
            _ => Err(EOPNOTSUPP),
        };
        Reply {
            id: request.id,
            result: result.unwrap_or_else(|e| e.to_errno().into()),
        }
    }

    /// Handles the next request, if there is room for its reply, and returns whether there was.
    fn handle_next(&self, indices: &mut Indices) -> Result<bool> {
        if self.replies(indices.reply_tail)? == SLOTS {
            return Ok(false);
        }
        let slot = (indices.request_head % SLOTS) as usize;
        let request: Request = self
            .view
            .read_record(REQUESTS + slot * size_of::<Request>())?;

        let reply = self.handle(&request);

        let slot = (indices.reply_tail % SLOTS) as usize;
        self.view
            .write_record(REPLIES + slot * size_of::<Reply>(), reply)?;
        // User space that loads these with acquire semantics sees the reply, and may write another
        // request to the slot.
        indices.reply_tail = indices.reply_tail.wrapping_add(1);
        self.index(REPLY_TAIL)?.store(indices.reply_tail, Release);
        indices.request_head = indices.request_head.wrapping_add(1);
        self.index(REQUEST_HEAD)?
            .store(indices.request_head, Release);
        Ok(true)
    }

    /// Handles the requests that are in the ring, and returns their number.
    fn enter(&self) -> Result<isize> {
        let mut indices = self.indices.lock();
        let first = indices.request_head;
        // Those that user space adds meanwhile wait for the next call.
        let waiting = self.waiting(first)?;
        let mut result = Ok(true);
        while result == Ok(true) && indices.request_head.wrapping_sub(first) < waiting {
            result = self.handle_next(&mut indices);
        }
        let handled = indices.request_head.wrapping_sub(first);
        drop(indices);
        if handled > 0 {
            self.requests.fetch_add(handled.into(), Relaxed);
            self.handled.notify_all();
        }
        // Like read(2), report an error only if nothing was handled: the next call meets it again.
        match result {
            Err(e) if handled == 0 => Err(e),
            _ => Ok(handled as isize),
        }
    }

    /// Returns what user space can do without waiting.
    fn events(&self) -> Result<Events> {
        let indices = self.indices.lock();
        let mut events = Events::NONE;
        if self.replies(indices.reply_tail)? > 0 {
            events |= Events::READABLE;
        }
        if self.waiting(indices.request_head)? < SLOTS {
            events |= Events::WRITABLE;
        }
        Ok(events)
    }
}

#[vtable]
impl MiscDevice for Ring {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        Ring::new()
    }

    fn ioctl(ring: ArcBorrow<'_, Self>, _file: &File, cmd: u32, _arg: usize) -> Result<isize> {
        match cmd {
            RING_ENTER => ring.enter(),
            _ => Err(ENOTTY),
        }
    }

    fn poll<'a>(ring: ArcBorrow<'a, Self>, poll: &Poll<'a>) -> Events {
        let ring = ring.into_ref();
        poll.register_wait(&ring.handled);
        ring.events().unwrap_or(Events::ERROR)
    }

    fn mmap_prepare<'f>(
        ring: ArcBorrow<'f, Self>,
        mut desc: VmaDesc<'f, Self>,
    ) -> Result<Mapping<'f, Self>> {
        desc.deny_cow()?;
        desc.map_kernel_pages(&ring.into_ref().pages)
    }

    fn show_fdinfo(ring: ArcBorrow<'_, Self>, m: &SeqFile, _file: &File) {
        seq_print!(m, "requests:\t{}\n", ring.requests.load(Relaxed));
    }
}
