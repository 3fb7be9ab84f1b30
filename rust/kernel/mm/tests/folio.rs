// SPDX-License-Identifier: GPL-2.0

//! Tests of copies between a folio and the buffers of `read` and `write`.

use crate::{
    fs::{
        File,
        Kiocb, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    mm::{
        testing::UserMm,
        Folio, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::aref::ARef, //
};

/// A file whose contents are a folio of two pages.
struct FolioFile(ARef<Folio>);

#[vtable]
impl MiscDevice for FolioFile {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn read_iter(kiocb: Kiocb<'_, KBox<Self>>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let at = usize::try_from(kiocb.ki_pos())?;
        Ok(kiocb.file().0.copy_to_iter(at, iov))
    }

    fn write_iter(kiocb: Kiocb<'_, KBox<Self>>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        let at = usize::try_from(kiocb.ki_pos())?;
        Ok(kiocb.file().0.copy_from_iter(at, iov))
    }
}

#[macros::kunit_tests(rust_mm_folio)]
mod cases {
    use super::*;

    #[test]
    fn copies_of_iterators() -> Result {
        let mm = UserMm::attach()?;
        let folio = Folio::alloc(1, GFP_KERNEL)?;
        let device = KBox::new(FolioFile(folio.clone()), GFP_KERNEL)?;
        let file = mm.open::<FolioFile>(device)?;
        let (middle, end) = (PAGE_SIZE as i64, 2 * PAGE_SIZE as i64);
        let mut buf = [0xff; 8];

        assert_eq!(file.pwrite(b"over the", middle - 4)?, 8);
        folio.read_at(PAGE_SIZE - 5, &mut buf)?;
        assert_eq!(buf, *b"\0over th");
        assert_eq!(file.pread(&mut buf, middle - 3)?, 8);
        assert_eq!(buf, *b"ver the\0");

        // The copies end at the end of the folio.
        assert_eq!(file.pwrite(b"end, and more", end - 4)?, 4);
        buf = [0xff; 8];
        assert_eq!(file.pread(&mut buf, end - 5)?, 5);
        assert_eq!(buf, *b"\0end,\xff\xff\xff");
        for past in [end, end + 1, i64::MAX - 100] {
            assert_eq!(file.pread(&mut buf, past)?, 0);
            assert_eq!(file.pwrite(&buf, past)?, 0);
        }
        // The writes past the end have not changed the start of the folio.
        folio.read_at(0, &mut buf)?;
        assert_eq!(buf, [0; 8]);
        Ok(())
    }
}
