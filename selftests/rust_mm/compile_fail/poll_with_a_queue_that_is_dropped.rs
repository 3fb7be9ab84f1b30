// SPDX-License-Identifier: GPL-2.0

// A driver lets poll(2) wait for a condition variable that it can drop before the file is released.
// error: E0597
// message: `events` does not live long enough

include!("prelude.rs");

use kernel::{
    fs::{
        poll::{Events, Poll},
        FileOperations,
    },
    sync::poll::PollCondVar,
};

#[pin_data]
struct Device {
    #[pin]
    events: PollCondVar,
    #[pin]
    replaceable: Mutex<Arc<PollCondVar>>,
}

#[vtable]
impl FileOperations for Device {
    type Ptr = Arc<Self>;

    fn poll<'a>(device: ArcBorrow<'a, Self>, poll: &Poll<'a>) -> Events {
        let device = device.into_ref();
        let events = device.replaceable.lock().clone();
        #[cfg(not(twin))]
        poll.register_wait(&events);
        #[cfg(twin)]
        poll.register_wait(&device.events);
        let _ = &events;
        Events::NONE
    }
}
