// SPDX-License-Identifier: GPL-2.0

//! Step 7 of the tutorial: what is in the pages, and a reader that waits for it.

use kernel::{
    fs::{
        poll::{
            Events,
            Poll, //
        },
        File,
        Kiocb, //
    },
    ioctl::_IO,
    iov::IovIterDest,
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
        ops::{
            Fault,
            FaultAnswer,
            FaultError,
            Ordinary,
            PerFile,
            VmOperations, //
        },
        FaultedPages, //
    },
    new_mutex,
    new_poll_condvar,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        poll::PollCondVar,
        Mutex, //
    }, //
};

module! {
    type: Step7,
    name: "step7_messages",
    authors: ["Rust mm developers"],
    description: "Rust mm tutorial, step 7: contents of pages, poll and read",
    license: "GPL",
}

/// Sends the message in the next slot: `read(2)` returns it.
const STEP7_SEND: u32 = _IO('7' as u32, 0);

/// The number of slots.
///
/// Each slot is a page: the length of a message as a `u32`, and then the bytes of the message.
const SLOTS: usize = 4;
/// The length of the length.
const HEADER: usize = size_of::<u32>();

/// The module: the device exists for as long as the module is loaded.
#[pin_data]
struct Step7 {
    #[pin]
    _device: MiscDeviceRegistration<Messages>,
}

impl kernel::InPlaceModule for Step7 {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"step7_messages",
            }),
        })
    }
}

/// How many messages were sent so far, and how many of them were read.
#[derive(Default)]
struct Progress {
    sent: u64,
    read: u64,
}

/// What belongs to an open file.
#[pin_data]
struct Messages {
    /// A page for each slot.
    pages: FaultedPages,
    #[pin]
    progress: Mutex<Progress>,
    /// Notified when a message is sent.
    #[pin]
    sent: PollCondVar,
}

impl Messages {
    /// Takes the message out of a slot, and marks the slot as free by the length 0.
    fn take(&self, slot: usize) -> Result<KVec<u8>> {
        let offset = slot * PAGE_SIZE;
        // User space can write to the page at any time. What was copied does not change, so read
        // the length once, check the copy, and use the copy.
        let mut len = [0; HEADER];
        self.pages.read_at(offset, &mut len)?;
        self.pages.write_at(offset, &[0; HEADER])?;
        let len = u32::from_ne_bytes(len) as usize;
        if len > PAGE_SIZE - HEADER {
            return Err(EINVAL);
        }
        let mut message = KVec::from_elem(0u8, len, GFP_KERNEL)?;
        self.pages.read_at(offset + HEADER, &mut message)?;
        Ok(message)
    }
}

#[vtable]
impl MiscDevice for Messages {
    type Ptr = Pin<KBox<Self>>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Pin<KBox<Self>>> {
        KBox::pin_init(
            try_pin_init!(Self {
                pages: FaultedPages::new(SLOTS, GFP_KERNEL_ACCOUNT)?,
                progress <- new_mutex!(Progress::default()),
                sent <- new_poll_condvar!(),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    fn mmap_prepare<'f>(
        _messages: Pin<&'f Self>,
        mut desc: VmaDesc<'f, Self>,
    ) -> Result<Mapping<'f, Self>> {
        desc.deny_cow()?;
        Ok(desc.with_ops::<MessageOps>()?.on_fault())
    }

    fn ioctl(messages: Pin<&Self>, _file: &File, cmd: u32, _arg: usize) -> Result<isize> {
        match cmd {
            STEP7_SEND => {
                let mut progress = messages.progress.lock();
                if progress.sent - progress.read == SLOTS as u64 {
                    return Err(EBUSY);
                }
                progress.sent += 1;
                messages.sent.notify_all();
            }
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }

    fn read_iter(kiocb: Kiocb<'_, Self::Ptr>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        // The kernel itself reads files that are mapped, for a process that asks for a build ID. It
        // must neither get a message nor wait for one.
        if !iov.is_user_backed() {
            return Err(EINVAL);
        }
        let messages = kiocb.file();
        let mut progress = messages.progress.lock();
        while progress.read == progress.sent {
            if kiocb.is_nonblocking() {
                return Err(EAGAIN);
            }
            if messages.sent.wait_interruptible(&mut progress) {
                return Err(ERESTARTSYS);
            }
        }
        let message = messages.take((progress.read % SLOTS as u64) as usize);
        progress.read += 1;
        // The buffer of user space may be in a mapping of this driver, and not be mapped yet: the
        // copy then calls `fault`. So no lock is held that a fault handler might take.
        drop(progress);
        let message = message?;
        match iov.copy_to_iter(&message) {
            0 if !message.is_empty() && !iov.is_empty() => Err(EFAULT),
            done => Ok(done),
        }
    }

    fn poll<'a>(messages: Pin<&'a Self>, poll: &Poll<'a>) -> Events {
        let messages = messages.get_ref();
        // First of all, so that no message is missed.
        poll.register_wait(&messages.sent);
        let progress = messages.progress.lock();
        if progress.read == progress.sent {
            return Events::NONE;
        }
        Events::READABLE
    }
}

/// The callbacks of the mappings.
struct MessageOps;

#[vtable]
impl VmOperations for MessageOps {
    type File = Messages;
    type Data = PerFile;
    type Memory = Ordinary;

    fn fault(vmf: &Fault<Self>) -> Result<FaultAnswer<'_>, FaultError> {
        vmf.data().pages.fault(vmf)
    }
}

kernel::vm_operations!(MessageOps);
