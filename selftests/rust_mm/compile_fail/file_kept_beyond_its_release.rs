// SPDX-License-Identifier: GPL-2.0

// A driver takes a reference to a file in `release`; the kernel frees the file when that returns.
// error: E0277
// message: the trait bound `ARef<kernel::fs::File>: From<&ReleasedFile>` is not satisfied

include!("prelude.rs");

#[allow(unused_imports)]
use kernel::fs::ReleasedFile;

struct Dev {
    #[allow(dead_code)]
    kept: Arc<SetOnce<ARef<File>>>,
}

#[vtable]
impl MiscDevice for Dev {
    type Ptr = KBox<Self>;

    fn open(_: &File, _: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn release(this: KBox<Self>, file: &ReleasedFile) {
        #[cfg(not(twin))]
        this.kept.populate(file.into());
        #[cfg(twin)]
        let _ = (this, file.flags());
    }
}
